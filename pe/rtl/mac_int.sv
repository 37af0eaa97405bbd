// acc + w * a, both operands two's complement: combinational.
//
// Baugh-Wooley rows: the cross terms with one sign bit are complemented and a constant puts the
// difference right, so that no row needs sign extension. Rows, constant and accumulator are one
// sum, which synthesis turns into one carry-save tree; there is no carry chain between product and
// sum. W_BITS rows of A_BITS bits. ACC_BITS >= W_BITS + A_BITS; the sum wraps.
// Source: the textbook array multiplier; pe/designs (int8-mac) has the values.
module mac_int #(
    parameter int W_BITS   = 8,
    parameter int A_BITS   = 8,
    parameter int ACC_BITS = 32
) (
    input  logic [ACC_BITS-1:0] acc_in,
    input  logic [  W_BITS-1:0] w,
    input  logic [  A_BITS-1:0] a,
    output logic [ACC_BITS-1:0] acc_out
);
  localparam logic [ACC_BITS-1:0] ONE = {{(ACC_BITS - 1) {1'b0}}, 1'b1};
  localparam logic [ACC_BITS-1:0] CORRECTION =
      (ONE << (W_BITS - 1)) + (ONE << (A_BITS - 1)) - (ONE << (W_BITS + A_BITS - 1));

  // Complemented where exactly one of the two bits is a sign.
  localparam logic [A_BITS-1:0] TOP = {1'b1, {(A_BITS - 1) {1'b0}}};

  logic [A_BITS-1:0] row;
  integer j;
  always_comb begin
    acc_out = acc_in + CORRECTION;
    row = '0;
    for (j = 0; j < W_BITS; j = j + 1) begin
      row = (a & {A_BITS{w[j]}}) ^ (j == W_BITS - 1 ? ~TOP : TOP);
      acc_out = acc_out + ({{(ACC_BITS - A_BITS) {1'b0}}, row} << j);
    end
  end
endmodule
