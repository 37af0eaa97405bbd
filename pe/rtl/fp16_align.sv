// A finite fp16 activation as the mantissa of its group: significand 2^(exponent - largest), of
// M_BITS bits, truncated, with its sign; `largest` is the largest biased exponent of the group (1..30,
// a subnormal's is 1). Combinational; one at each edge lane that takes activations. Who finds the
// largest is not here: the group is written before it is read.
// Source: FIGNA (HPCA 2024), iFPU (ICLR 2023); quant/kernels/figna_dot.hpp (align, truncate).
module fp16_align #(
    parameter int M_BITS = 13  // at least 11
) (
    input  logic [  15:0] bits,
    input  logic [   4:0] largest,
    output logic [M_BITS:0] mantissa
);
  logic negative, unused_infinite, unused_nan, unused;
  logic [4:0] exponent, distance;
  logic [10:0] significand;
  logic [M_BITS-1:0] magnitude;
  fp16_unpack unpack (
      .bits(bits), .negative(negative), .exponent(exponent), .significand(significand),
      .is_infinite(unused_infinite), .is_nan(unused_nan));
  assign unused = unused_infinite ^ unused_nan;
  assign distance = largest - exponent;
  assign magnitude = {significand, {(M_BITS - 11) {1'b0}}} >> distance;
  assign mantissa = negative ? -{1'b0, magnitude} : {1'b0, magnitude};
endmodule
