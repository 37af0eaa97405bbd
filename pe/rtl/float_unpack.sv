// A small float as sign, biased exponent (a subnormal has that of the least normal) and significand
// with the hidden one (0 for a subnormal): finite value = (-1)^sign significand
// 2^(exponent - BIAS). Combinational.
//
// FORMAT 0: fp16, BIAS 25. 1: bf16, BIAS 134. 2: fp8, nine bits of which the top one says E5M2 (else
// E4M3), BIAS 18: E4M3 exponents are shifted by 8, E5M2 significands by one bit. 3: E2M1, BIAS 2.
// E4M3 has a NaN and no infinity, E2M1 neither. Source: quant/formats/minifloat.hpp.
module float_unpack #(
    parameter int FORMAT   = 0,
    parameter int BITS     = FORMAT == 3 ? 4 : FORMAT == 2 ? 9 : 16,
    parameter int EXP_BITS = FORMAT == 3 ? 2 : FORMAT == 1 ? 8 : 5,
    parameter int SIG_BITS = FORMAT == 3 ? 2 : FORMAT == 2 ? 4 : FORMAT == 1 ? 8 : 11
) (
    input  logic [    BITS-1:0] bits,
    output logic                negative,
    output logic [EXP_BITS-1:0] exponent,
    output logic [SIG_BITS-1:0] significand,
    output logic                is_infinite,
    output logic                is_nan
);
  generate
    if (FORMAT == 2) begin : gen_fp8
      logic e5m2, subnormal;
      assign e5m2        = bits[8];
      assign negative    = bits[7];
      assign subnormal   = bits[6:3] == 4'd0 & (~e5m2 | ~bits[2]);
      // E4M3: eight more, a subnormal's 1 with them.
      assign exponent    = e5m2 ? {bits[6:3], bits[2] | subnormal}
                                : {1'b0, bits[6:3] | {3'b0, subnormal}} + 5'd8;
      assign significand = e5m2 ? {~subnormal, bits[1:0], 1'b0} : {~subnormal, bits[2:0]};
      assign is_infinite = e5m2 & bits[6:0] == 7'h7C;
      assign is_nan      = e5m2 ? bits[6:2] == 5'h1F & bits[1:0] != 2'd0 : bits[6:0] == 7'h7F;
    end else begin : gen_fields
      logic subnormal, special;
      assign negative    = bits[BITS-1];
      assign subnormal   = bits[BITS-2:SIG_BITS-1] == '0;
      assign exponent    = bits[BITS-2:SIG_BITS-1] | {{(EXP_BITS - 1) {1'b0}}, subnormal};
      assign significand = {~subnormal, bits[SIG_BITS-2:0]};
      assign special     = FORMAT != 3 & (&bits[BITS-2:SIG_BITS-1]);
      assign is_infinite = special & bits[SIG_BITS-2:0] == '0;
      assign is_nan      = special & bits[SIG_BITS-2:0] != '0;
    end
  endgenerate
endmodule
