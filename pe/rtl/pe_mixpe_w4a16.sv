// MixPE W4A16 element: int4 weight x fp16 activation by shift and add, fp32 sum:
// acc = (first ? +0 : acc) + w * a, the product exact, one rounding to nearest even.
//
// Widths: w 4 (two's complement), a fp16; the weight's magnitude (0..8) gates four shifts of the
// 11-bit significand: 14 bits (8 * 2047), sign by XOR, exponent passed through; normalised, then
// added. Subnormal activations count with their value. NaN, and infinity times zero: the quiet NaN.
// Timing: as pe_fp16_mac: latency 2 with PRODUCT_REGISTER, else 1.
// Source: MixPE, arXiv 2411.16158 (shift-and-add of the significand); values as
// quant/kernels/shift_add.hpp, shift_add_dot_fp16.
module pe_mixpe_w4a16 #(
    parameter bit PRODUCT_REGISTER = 1'b1
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        en,
    input  logic        in_valid,
    input  logic        in_first,
    input  logic        in_last,
    input  logic [ 3:0] w_in,
    input  logic [15:0] a_in,
    output logic        out_valid,
    output logic        out_first,
    output logic        out_last,
    output logic [ 3:0] w_out,
    output logic [15:0] a_out,
    output logic        acc_valid,
    output logic [31:0] acc
);
  logic a_negative, a_infinite, a_nan;
  logic [4:0] a_exponent;
  logic [10:0] a_significand;
  fp16_unpack unpack_a (
      .bits(a_in), .negative(a_negative), .exponent(a_exponent), .significand(a_significand),
      .is_infinite(a_infinite), .is_nan(a_nan));

  logic [3:0] magnitude;
  logic [13:0] product;
  assign magnitude = w_in[3] ? -w_in : w_in;
  assign product = {3'b0, a_significand & {11{magnitude[0]}}} +
      {2'b0, a_significand & {11{magnitude[1]}}, 1'b0} +
      {1'b0, a_significand & {11{magnitude[2]}}, 2'b0} +
      {a_significand & {11{magnitude[3]}}, 3'b0};

  logic negative, nan;
  logic [7:0] exponent;
  logic [23:0] significand;
  assign negative = w_in[3] ^ a_negative;
  assign nan = a_nan | (a_infinite & w_in == '0);
  // Lowest bit: 2^(E - 25), biased as fp32 by 150.
  fp32_normalise #(.SIG_BITS(14)) normalise (
      .significand(product), .exponent({4'b0, a_exponent} + 9'd125), .addend_exponent(exponent),
      .addend_significand(significand));

  fp32_accumulator #(.PRODUCT_REGISTER(PRODUCT_REGISTER)) accumulator (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .negative(negative), .infinite(a_infinite), .nan(nan), .exponent(exponent),
      .significand(significand), .acc_valid(acc_valid), .acc(acc));

  element_link #(.BITS(20)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, a_out}));
endmodule
