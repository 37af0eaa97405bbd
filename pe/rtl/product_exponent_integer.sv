// (wi * ai) << (we + ae) of exponent-integer operands <e, i>, OUT_BITS wide: a small signed
// multiplier (rows), an exponent adder, a shifter. Combinational. Bits shifted beyond OUT_BITS are
// lost.
// Source: ANT (MICRO 2022), OliVe (ISCA 2023); quant/formats/exponent_integer.hpp.
module product_exponent_integer #(
    parameter int INT_BITS = 4,
    parameter int EXP_BITS = 3,
    parameter int OUT_BITS = 22  // at least 2 * INT_BITS
) (
    input  logic [EXP_BITS-1:0] we,
    input  logic [INT_BITS-1:0] wi,
    input  logic [EXP_BITS-1:0] ae,
    input  logic [INT_BITS-1:0] ai,
    output logic [OUT_BITS-1:0] product
);
  localparam int P_BITS = 2 * INT_BITS;
  logic [P_BITS-1:0] integers;
  logic [EXP_BITS:0] shift;
  mac_int #(.W_BITS(INT_BITS), .A_BITS(INT_BITS), .ACC_BITS(P_BITS)) multiplier (
      .acc_in('0), .w(wi), .a(ai), .acc_out(integers));
  assign shift = {1'b0, we} + {1'b0, ae};
  assign product = {{(OUT_BITS - P_BITS) {integers[P_BITS-1]}}, integers} << shift;
endmodule
