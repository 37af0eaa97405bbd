// Outlier-victim pair decoder, 8 bit: two bytes to two exponent-integer operands <e, i>.
// Combinational. Identifier 1000'0000; normal values int8 <0, i>; outliers abfloat E4M3 with bias
// 4: <e + 4, +-(8 + m)>.
// Source: OliVe (ISCA 2023), E4M3 as in the paper; quant/formats/ovp.hpp (ovp8_int, paper
// contract). The exponent is 4..19: behind a quantiser that clips at 2^15 at most 12.
module ovp8_decoder (
    input  logic [7:0] left,
    input  logic [7:0] right,
    output logic [4:0] left_e,
    output logic [7:0] left_i,
    output logic [4:0] right_e,
    output logic [7:0] right_i
);
  localparam logic [7:0] IDENTIFIER = 8'h80;
  logic left_is_mark, right_is_mark;
  assign left_is_mark  = left == IDENTIFIER;
  assign right_is_mark = right == IDENTIFIER;

  logic [7:0] left_outlier, right_outlier;
  assign left_outlier  = {4'b0, 1'b1, left[2:0]};
  assign right_outlier = {4'b0, 1'b1, right[2:0]};
  always_comb begin
    left_e  = '0;
    left_i  = left;
    right_e = '0;
    right_i = right;
    if (right_is_mark) begin
      left_e = {1'b0, left[6:3]} + 5'd4;
      left_i = left[7] ? -left_outlier : left_outlier;
    end
    if (left_is_mark) begin
      right_e = {1'b0, right[6:3]} + 5'd4;
      right_i = right[7] ? -right_outlier : right_outlier;
    end
    // Victims, and the two outlier codes that are no values.
    if (left_is_mark | (right_is_mark & left[6:0] == 7'd0)) begin
      left_e = '0;
      left_i = '0;
    end
    if (right_is_mark | (left_is_mark & right[6:0] == 7'd0)) begin
      right_e = '0;
      right_i = '0;
    end
  end
endmodule
