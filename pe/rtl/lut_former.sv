// The table of four activations that pe_lut looks up, and their sum: entry e (0..7) is the sum of
// +-a_j, plus where bit j of e is set, minus for j = 3. Combinational; one at each edge lane that
// takes activations.
// Widths: A_BITS two's complement each; T_BITS three more, or two where no activation is -2^(A_BITS-1).
// Source: LUT Tensor Core (ISCA 2025); quant/kernels/lut_gemm.hpp (lut_table).
module lut_former #(
    parameter int A_BITS = 8,
    parameter int T_BITS = A_BITS + 3
) (
    input  logic [4*A_BITS-1:0] a,
    output logic [9*T_BITS-1:0] table_out
);
  localparam int MORE = T_BITS - A_BITS;
  logic [T_BITS-1:0] a0, a1, a2, a3, plus, minus, upper, lower;
  assign a0 = {{MORE{a[A_BITS-1]}}, a[A_BITS-1:0]};
  assign a1 = {{MORE{a[2*A_BITS-1]}}, a[A_BITS+:A_BITS]};
  assign a2 = {{MORE{a[3*A_BITS-1]}}, a[2*A_BITS+:A_BITS]};
  assign a3 = {{MORE{a[4*A_BITS-1]}}, a[3*A_BITS+:A_BITS]};
  // Halves: +-a0 +-a1 and +-a2 - a3.
  assign plus  = a0 + a1;
  assign minus = a0 - a1;
  assign upper = a2 - a3;
  assign lower = a2 + a3;
  assign table_out = {
      plus + lower,
      upper + plus, upper - minus, upper + minus, upper - plus,
      plus - lower, -(minus + lower), minus - lower, -(plus + lower)};
endmodule
