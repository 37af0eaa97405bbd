// The accumulator of an element whose step takes one clock: `next` is kept where a step is valid, and
// acc_valid says that it was the last of its sum. With `en` low it holds.
module element_sum #(
    parameter int BITS = 32
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            en,
    input  logic            valid,
    input  logic            last,
    input  logic [BITS-1:0] next,
    output logic            acc_valid,
    output logic [BITS-1:0] acc
);
  always_ff @(posedge clk) begin
    if (rst) begin
      acc_valid <= 1'b0;
      acc       <= '0;
    end else if (en) begin
      acc_valid <= valid & last;
      if (valid) acc <= next;
    end
  end
endmodule
