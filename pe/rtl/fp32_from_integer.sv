// A finished integer sum to fp32, one rounding to nearest even: sum * 2^(exponent - 127), exponent
// that of the lowest bit, biased. Combinational; one at the end of each column. The result is a normal
// number or +0: sums of small floats and of aligned fp16 mantissas are never smaller.
// Source: quant/kernels/exact.hpp (round_scaled).
module fp32_from_integer #(
    parameter int BITS = 32
) (
    input  logic [BITS-1:0] sum,
    input  logic [     7:0] exponent,
    output logic [    31:0] bits
);
  // At least a guard bit and a sticky bit.
  localparam int WIDE = BITS < 26 ? 26 : BITS;
  localparam int COUNT = $clog2(WIDE + 1);
  logic [BITS-1:0] absolute;
  logic [WIDE-1:0] magnitude, normal;
  logic [COUNT-1:0] zeros;
  logic [31:0] rounded;
  logic [7:0] top;
  logic up;
  assign absolute = sum[BITS-1] ? -sum : sum;
  assign magnitude = WIDE'(absolute);
  leading_zeros #(.BITS(WIDE)) count (.value(magnitude), .zeros(zeros));
  assign normal = magnitude << zeros;
  assign top = exponent + 8'(WIDE - 1) - 8'(zeros);
  assign up = normal[WIDE-25] & (normal[WIDE-26:0] != '0 | normal[WIDE-24]);
  assign rounded = {sum[BITS-1], top, normal[WIDE-2-:23]} + {31'b0, up};
  assign bits = normal[WIDE-1] ? rounded : '0;
endmodule
