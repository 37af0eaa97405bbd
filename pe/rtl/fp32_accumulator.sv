// The end of a floating-point element: a normalised product, registered or not, into an fp32
// accumulator: acc = (first ? +0 : acc) + product, one rounding to nearest even.
// Timing: PRODUCT_REGISTER = 1: acc holds a sum two enabled edges after its product came in; 0: one.
// A low en holds every register. acc_valid when acc holds the sum that in_last closed.
module fp32_accumulator #(
    parameter bit PRODUCT_REGISTER = 1'b1
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        en,
    input  logic        in_valid,
    input  logic        in_first,
    input  logic        in_last,
    input  logic        negative,
    input  logic        infinite,
    input  logic        nan,
    input  logic [ 7:0] exponent,
    input  logic [23:0] significand,
    output logic        acc_valid,
    output logic [31:0] acc
);
  // Valid, first, last, sign, infinity, NaN, exponent, significand: what the sum takes.
  logic [37:0] produced, taken;
  assign produced = {in_valid, in_first, in_last, negative, infinite, nan, exponent, significand};
  generate
    if (PRODUCT_REGISTER) begin : gen_registered
      always_ff @(posedge clk) begin
        if (rst) taken <= '0;
        else if (en) taken <= produced;
      end
    end else begin : gen_direct
      assign taken = produced;
    end
  endgenerate

  logic [31:0] sum;
  fp32_add add (
      .acc(acc & {32{~taken[36]}}), .negative(taken[34]), .exponent(taken[31:24]),
      .significand(taken[23:0]), .is_infinite(taken[33]), .is_nan(taken[32]), .sum(sum));

  always_ff @(posedge clk) begin
    if (rst) begin
      acc_valid <= 1'b0;
      acc       <= '0;
    end else if (en) begin
      acc_valid <= taken[37] & taken[35];
      if (taken[37]) acc <= sum;
    end
  end
endmodule
