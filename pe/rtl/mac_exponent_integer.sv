// acc + (wi * ai) << (we + ae), the multiply-accumulate of exponent-integer operands <e, i>:
// combinational. A small signed multiplier (rows), an exponent adder, a shifter, the accumulator's
// adder. Bits shifted beyond the accumulator are lost (it wraps).
// Widths: integers INT_BITS two's complement, exponents EXP_BITS unsigned. 4-bit operands of OliVe
// and ANT: INT_BITS 4, EXP_BITS 3 (exponents 0..6). Halves of 8-bit operands: INT_BITS 5, EXP_BITS
// 5. Source: ANT (MICRO 2022), OliVe (ISCA 2023, arXiv 2304.07493);
// quant/formats/exponent_integer.hpp.
module mac_exponent_integer #(
    parameter int INT_BITS = 4,
    parameter int EXP_BITS = 3,
    parameter int ACC_BITS = 32
) (
    input  logic [ACC_BITS-1:0] acc_in,
    input  logic [EXP_BITS-1:0] we,
    input  logic [INT_BITS-1:0] wi,
    input  logic [EXP_BITS-1:0] ae,
    input  logic [INT_BITS-1:0] ai,
    output logic [ACC_BITS-1:0] acc_out
);
  // What the largest shift leaves of a product, if that is narrower than the accumulator.
  localparam int MOST = 2 * INT_BITS + 2 * (2 ** EXP_BITS - 1);
  localparam int S_BITS = MOST < ACC_BITS ? MOST : ACC_BITS;

  logic [S_BITS-1:0] shifted;
  product_exponent_integer #(.INT_BITS(INT_BITS), .EXP_BITS(EXP_BITS), .OUT_BITS(S_BITS)) multiply (
      .we(we), .wi(wi), .ae(ae), .ai(ai), .product(shifted));
  generate
    if (S_BITS < ACC_BITS) begin : gen_extended
      assign acc_out = acc_in + {{(ACC_BITS - S_BITS) {shifted[S_BITS-1]}}, shifted};
    end else begin : gen_full
      assign acc_out = acc_in + shifted;
    end
  endgenerate
endmodule
