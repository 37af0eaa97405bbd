// An fp16 number as sign, biased exponent (1..30; a subnormal has 1) and 11-bit significand with
// the hidden one (0 for a subnormal): finite value = (-1)^sign significand 2^(exponent - 25).
// Combinational.
module fp16_unpack (
    input  logic [15:0] bits,
    output logic        negative,
    output logic [ 4:0] exponent,
    output logic [10:0] significand,
    output logic        is_infinite,
    output logic        is_nan
);
  logic subnormal, special;
  assign subnormal   = bits[14:10] == 5'd0;
  assign special     = bits[14:10] == 5'd31;
  assign negative    = bits[15];
  assign exponent    = bits[14:10] | {4'b0, subnormal};
  assign significand = {~subnormal, bits[9:0]};
  assign is_infinite = special & (bits[9:0] == '0);
  assign is_nan      = special & (bits[9:0] != '0);
endmodule
