// FP16 multiply-accumulate element: acc = (first ? +0 : acc) + w * a, the product exact, one
// rounding to nearest even in the fp32 sum.
//
// Widths: w, a fp16 (subnormals count with their value); 11 x 11-bit significands by rows, product
// 22 bits, normalised; acc fp32 with subnormals. NaN, infinity times zero and infinity minus
// infinity give the quiet NaN 7FC0'0000.
// Timing: operands stand at w_out, a_out after the next enabled edge. PRODUCT_REGISTER = 1: the
// normalised product is registered, so acc holds a sum two enabled edges after its operands were at
// the inputs (acc_valid: latency 2), one operand pair a cycle; 0: latency 1. A low en holds every
// register. Source: the FP16 baseline of MixPE, AxCore and BitMoD; values as pe/designs (fp16-mac).
module pe_fp16_mac #(
    parameter bit PRODUCT_REGISTER = 1'b1
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        en,
    input  logic        in_valid,
    input  logic        in_first,
    input  logic        in_last,
    input  logic [15:0] w_in,
    input  logic [15:0] a_in,
    output logic        out_valid,
    output logic        out_first,
    output logic        out_last,
    output logic [15:0] w_out,
    output logic [15:0] a_out,
    output logic        acc_valid,
    output logic [31:0] acc
);
  logic w_negative, w_infinite, w_nan, a_negative, a_infinite, a_nan;
  logic [4:0] w_exponent, a_exponent;
  logic [10:0] w_significand, a_significand;
  fp16_unpack unpack_w (
      .bits(w_in), .negative(w_negative), .exponent(w_exponent), .significand(w_significand),
      .is_infinite(w_infinite), .is_nan(w_nan));
  fp16_unpack unpack_a (
      .bits(a_in), .negative(a_negative), .exponent(a_exponent), .significand(a_significand),
      .is_infinite(a_infinite), .is_nan(a_nan));

  logic [21:0] product;
  integer j;
  always_comb begin
    product = '0;
    for (j = 0; j < 11; j = j + 1)
      product = product + ({11'b0, a_significand & {11{w_significand[j]}}} << j);
  end

  logic negative, infinite, nan;
  logic [8:0] lowest;  // exponent of the product's lowest bit, biased as fp32: Ew + Ea - 50 + 150
  logic [7:0] exponent;
  logic [23:0] significand;
  assign negative = w_negative ^ a_negative;
  assign infinite = w_infinite | a_infinite;
  assign nan = w_nan | a_nan | (w_infinite & a_in[14:0] == '0) | (a_infinite & w_in[14:0] == '0);
  assign lowest = {4'b0, w_exponent} + {4'b0, a_exponent} + 9'd100;
  fp32_normalise #(.SIG_BITS(22)) normalise (
      .significand(product), .exponent(lowest), .addend_exponent(exponent),
      .addend_significand(significand));

  fp32_accumulator #(.PRODUCT_REGISTER(PRODUCT_REGISTER)) accumulator (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .negative(negative), .infinite(infinite), .nan(nan), .exponent(exponent),
      .significand(significand), .acc_valid(acc_valid), .acc(acc));

  element_link #(.BITS(32)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, a_out}));
endmodule
