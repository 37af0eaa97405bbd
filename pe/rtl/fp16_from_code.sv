// An integer of 8 bits, two's complement, or an E2M1 code in the low four bits, as fp16: exact.
// Combinational. Zero is +0, as an encoded float is, but for E2M1's own -0.
// Source: AxCore (MICRO 2025), alignment of the weight to fp16's fields; pe/designs (axcore).
module fp16_from_code (
    input  logic [ 7:0] code,
    input  logic        is_e2m1,
    output logic [15:0] bits
);
  // E2M1 in halves is an integer of up to 12.
  logic negative, subnormal;
  logic [7:0] halves, magnitude;
  logic [6:0] below;  // what follows the leading one
  logic [3:0] zeros;
  assign subnormal = code[2:1] == 2'd0;
  assign halves = {6'b0, ~subnormal, code[0]} << (code[2:1] - {1'b0, ~subnormal});
  assign negative = is_e2m1 ? code[3] : code[7];
  assign magnitude = is_e2m1 ? halves : (code[7] ? -code : code);
  leading_zeros #(.BITS(8)) count (.value(magnitude), .zeros(zeros));
  assign below = magnitude[6:0] << zeros;
  // 2^(7 - zeros), biased by 15; one less for halves.
  assign bits[15] = negative;
  assign bits[14:10] = zeros[3] ? 5'd0 : 5'd22 - {1'b0, zeros} - {4'b0, is_e2m1};
  assign bits[9:0] = {below, 3'b0};
endmodule
