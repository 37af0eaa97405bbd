// The triangle of skew registers of one edge: lane l of LANES leaves l + 1 enabled edges after it
// was issued, so that lane 0 passes the edge's one link register and each next lane one more.
module skew_registers #(
    parameter int LANES = 4,
    parameter int WIDTH = 8
) (
    input  logic                   clk,
    input  logic                   rst,
    input  logic                   en,
    input  logic [LANES*WIDTH-1:0] issued,
    output logic [LANES*WIDTH-1:0] skewed
);
  genvar l;
  generate
    for (l = 0; l < LANES; l = l + 1) begin : gen_lane
      logic [(l+1)*WIDTH-1:0] line, line_next;
      if (l == 0) begin : gen_link
        assign line_next = issued[WIDTH-1:0];
      end else begin : gen_longer
        assign line_next = {line[l*WIDTH-1:0], issued[l*WIDTH+:WIDTH]};
      end
      always_ff @(posedge clk) begin
        if (rst) line <= '0;
        else if (en) line <= line_next;
      end
      assign skewed[l*WIDTH+:WIDTH] = line[l*WIDTH+:WIDTH];
    end
  endgenerate
endmodule
