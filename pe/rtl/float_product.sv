// The product of two small floats as the addend of fp32_add: exact, but for bf16's outside fp32's
// normal range, which are rounded once. Combinational: significands by rows, normalised.
//
// FORMAT and words as float_unpack. NaN, and infinity times zero: is_nan.
// Source: pe/designs/float_mac.cpp.
module float_product #(
    parameter int FORMAT = 0,
    parameter int BITS   = FORMAT == 3 ? 4 : FORMAT == 2 ? 9 : 16
) (
    input  logic [BITS-1:0] w,
    input  logic [BITS-1:0] a,
    output logic            negative,
    output logic            infinite,
    output logic            nan,
    output logic [     7:0] exponent,
    output logic [    23:0] significand
);
  localparam int EXP_BITS = FORMAT == 3 ? 2 : FORMAT == 1 ? 8 : 5;
  localparam int SIG_BITS = FORMAT == 3 ? 2 : FORMAT == 2 ? 4 : FORMAT == 1 ? 8 : 11;
  localparam int BIAS = FORMAT == 3 ? 2 : FORMAT == 2 ? 18 : FORMAT == 1 ? 134 : 25;
  localparam logic [9:0] LOWEST = 10'(150 - 2 * BIAS);

  logic w_negative, w_infinite, w_nan, a_negative, a_infinite, a_nan;
  logic [EXP_BITS-1:0] w_exponent, a_exponent;
  logic [SIG_BITS-1:0] w_significand, a_significand;
  float_unpack #(.FORMAT(FORMAT)) unpack_w (
      .bits(w), .negative(w_negative), .exponent(w_exponent), .significand(w_significand),
      .is_infinite(w_infinite), .is_nan(w_nan));
  float_unpack #(.FORMAT(FORMAT)) unpack_a (
      .bits(a), .negative(a_negative), .exponent(a_exponent), .significand(a_significand),
      .is_infinite(a_infinite), .is_nan(a_nan));

  logic [2*SIG_BITS-1:0] product;
  integer j;
  always_comb begin
    product = '0;
    for (j = 0; j < SIG_BITS; j = j + 1)
      product = product +
          ({{SIG_BITS{1'b0}}, a_significand & {SIG_BITS{w_significand[j]}}} << j);
  end

  logic [9:0] lowest;  // exponent of the product's lowest bit, biased as fp32
  assign lowest = {{(10 - EXP_BITS) {1'b0}}, w_exponent} + {{(10 - EXP_BITS) {1'b0}}, a_exponent} +
      LOWEST;
  assign negative = w_negative ^ a_negative;
  assign nan = w_nan | a_nan | (w_infinite & a_significand == '0) |
      (a_infinite & w_significand == '0);
  generate
    if (FORMAT == 1) begin : gen_wide_range
      logic too_large;
      fp32_place #(.SIG_BITS(2 * SIG_BITS)) place (
          .significand(product), .exponent(lowest), .addend_exponent(exponent),
          .addend_significand(significand), .too_large(too_large));
      assign infinite = w_infinite | a_infinite | too_large;
    end else begin : gen_in_range
      logic unused;
      assign unused = lowest[9];
      fp32_normalise #(.SIG_BITS(2 * SIG_BITS)) normalise (
          .significand(product), .exponent(lowest[8:0]), .addend_exponent(exponent),
          .addend_significand(significand));
      assign infinite = w_infinite | a_infinite;
    end
  endgenerate
endmodule
