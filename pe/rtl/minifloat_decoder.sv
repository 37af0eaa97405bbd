// A code of a float without infinities to an exponent-integer operand <e, i> in units of its least
// subnormal: e = max(E, 1) - 1, i the significand with its sign. Combinational; one at each edge lane
// of an array. A NaN is no operand (quantisers give none).
// Source: quant/formats/minifloat.hpp; pe/arithmetic.cpp (decode_codes).
module minifloat_decoder #(
    parameter int E_BITS = 4,
    parameter int M_BITS = 3
) (
    input  logic [E_BITS+M_BITS:0] code,
    output logic [     E_BITS-1:0] e,
    output logic [     M_BITS+1:0] i
);
  logic normal;
  logic [M_BITS+1:0] magnitude;
  assign normal    = code[E_BITS+M_BITS-1:M_BITS] != '0;
  assign magnitude = {1'b0, normal, code[M_BITS-1:0]};
  assign e         = code[E_BITS+M_BITS-1:M_BITS] - {{(E_BITS - 1) {1'b0}}, normal};
  assign i         = code[E_BITS+M_BITS] ? -magnitude : magnitude;
endmodule
