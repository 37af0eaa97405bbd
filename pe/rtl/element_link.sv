// What passes through an element to its neighbour: operands with the marks of a sum's first and last
// step, a clock later. With `en` low it holds.
module element_link #(
    parameter int BITS = 16
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            en,
    input  logic            in_valid,
    input  logic            in_first,
    input  logic            in_last,
    input  logic [BITS-1:0] in_data,
    output logic            out_valid,
    output logic            out_first,
    output logic            out_last,
    output logic [BITS-1:0] out_data
);
  always_ff @(posedge clk) begin
    if (rst) begin
      out_valid <= 1'b0;
      out_first <= 1'b0;
      out_last  <= 1'b0;
      out_data  <= '0;
    end else if (en) begin
      out_valid <= in_valid;
      out_first <= in_first;
      out_last  <= in_last;
      out_data  <= in_data;
    end
  end
endmodule
