// As fp32_normalise for products that may leave the range of fp32 (bf16): rounded once, to nearest
// even, where they are subnormal; too large gives infinity. Combinational.
//
// value = significand * 2^(exponent - 150), exponent two's complement.
module fp32_place #(
    parameter int SIG_BITS = 16  // at most 23
) (
    input  logic [SIG_BITS-1:0] significand,
    input  logic [         9:0] exponent,
    output logic [         7:0] addend_exponent,
    output logic [        23:0] addend_significand,
    output logic                too_large
);
  localparam int COUNT = $clog2(SIG_BITS + 1);
  logic [COUNT-1:0] zeros;
  logic [23:0] top;
  logic [9:0] placed, below;
  logic is_zero, subnormal;
  leading_zeros #(.BITS(SIG_BITS)) count (.value(significand), .zeros(zeros));
  assign is_zero = significand == '0;
  assign top = {significand, {(24 - SIG_BITS) {1'b0}}} << zeros;
  assign placed = exponent - 10'(24 - SIG_BITS) - {{(10 - COUNT) {1'b0}}, zeros};
  assign subnormal = placed[9] | placed == '0;
  assign below = 10'd1 - placed;  // places to shift right, where subnormal
  assign too_large = ~is_zero & ~placed[9] & placed >= 10'd255;

  logic [48:0] shifted;
  logic up;
  assign shifted = {top, 25'b0} >> (below > 10'd25 ? 5'd25 : below[4:0]);
  assign up = shifted[24] & (shifted[23:0] != '0 | shifted[25]);
  assign addend_significand = subnormal ? shifted[48:25] + {23'b0, up} : top;
  assign addend_exponent = subnormal | is_zero ? 8'd1 : placed[7:0];
endmodule
