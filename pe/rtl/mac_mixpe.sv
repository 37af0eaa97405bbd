// acc + (nibble * a) << (w_high ? 4 : 0) by shift and add: combinational.
//
// Four gated shifts of the activation: b0 a + b1 (a << 1) + b2 (a << 2) +- b3 (a << 3); the last is
// subtracted where the nibble is two's complement (w_signed), added where it is the low half of a
// wider weight. Sign bits of the rows are complemented and put right by a constant (no sign
// extension inside the product). The product of a high nibble goes through one multiplexer, left by
// four; TWO_PASS = 0 leaves it out (weights of at most 4 bits).
// Widths: product 12 bits for an 8-bit activation (A_BITS + 4), 16 after the multiplexer.
// Source: MixPE, arXiv 2411.16158 (shift-and-add); the two-pass mode is ours, as in pe/designs
// (mixpe-w4a8).
module mac_mixpe #(
    parameter int A_BITS   = 8,
    parameter int ACC_BITS = 32,
    parameter bit TWO_PASS = 1'b1
) (
    input  logic [ACC_BITS-1:0] acc_in,
    input  logic [         3:0] w,
    input  logic                w_signed,
    input  logic                w_high,
    input  logic [  A_BITS-1:0] a,
    output logic [ACC_BITS-1:0] acc_out
);
  localparam int P_BITS = A_BITS + 4;
  localparam logic [P_BITS-1:0] ONE = {{(P_BITS - 1) {1'b0}}, 1'b1};
  localparam logic [P_BITS-1:0] CORRECTION = {P_BITS{1'b0}} - ((ONE << (A_BITS - 1)) * 15);
  localparam logic [A_BITS-1:0] TOP = {1'b1, {(A_BITS - 1) {1'b0}}};

  logic              subtract;
  logic [A_BITS-1:0] row0, row1, row2, row3;
  logic [P_BITS-1:0] product;
  assign subtract = w_signed & w[3];
  assign row0 = (a & {A_BITS{w[0]}}) ^ TOP;
  assign row1 = (a & {A_BITS{w[1]}}) ^ TOP;
  assign row2 = (a & {A_BITS{w[2]}}) ^ TOP;
  assign row3 = ((a ^ {A_BITS{w_signed}}) & {A_BITS{w[3]}}) ^ TOP;
  assign product = {4'b0, row0} + {3'b0, row1, 1'b0} + {2'b0, row2, 2'b0} + {1'b0, row3, 3'b0} +
      {{(P_BITS - 4) {1'b0}}, subtract, 3'b0} + CORRECTION;

  generate
    if (TWO_PASS) begin : gen_two_pass
      logic [P_BITS+3:0] placed;
      assign placed  = w_high ? {product, 4'b0} : {{4{product[P_BITS-1]}}, product};
      assign acc_out = acc_in + {{(ACC_BITS - P_BITS - 4) {placed[P_BITS+3]}}, placed};
    end else begin : gen_one_pass
      logic unused;
      assign unused  = w_high;
      assign acc_out = acc_in + {{(ACC_BITS - P_BITS) {product[P_BITS-1]}}, product};
    end
  endgenerate
endmodule
