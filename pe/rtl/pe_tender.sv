// Tender element: acc = ((first ? 0 : acc) << shift) + w * a; a shift travels along the row in place
// of an activation (a = 0) where a class of channels ends.
//
// Widths: w, a INT_BITS two's complement: 5 hold a signed code of 4 bits and both nibbles of an 8-bit
// one, whose four elements' sums are weighted at the edge; acc ACC_BITS (wraps).
// Timing: as pe_int_mac, latency 1; a shift takes a step.
// Source: Tender (ISCA 2024), by third-party description; values as quant/kernels/tender_gemm.hpp.
module pe_tender #(
    parameter int INT_BITS = 5,
    parameter int ACC_BITS = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic                shift_in,
    input  logic [INT_BITS-1:0] w_in,
    input  logic [INT_BITS-1:0] a_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic                shift_out,
    output logic [INT_BITS-1:0] w_out,
    output logic [INT_BITS-1:0] a_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  logic [ACC_BITS-1:0] base, next;
  assign base = (shift_in ? {acc[ACC_BITS-2:0], 1'b0} : acc) & {ACC_BITS{~in_first}};
  mac_int #(.W_BITS(INT_BITS), .A_BITS(INT_BITS), .ACC_BITS(ACC_BITS)) mac (
      .acc_in(base), .w(w_in), .a(a_in), .acc_out(next));

  always_ff @(posedge clk) begin
    if (rst) begin
      out_valid <= 1'b0;
      out_first <= 1'b0;
      out_last  <= 1'b0;
      acc_valid <= 1'b0;
      shift_out <= 1'b0;
      w_out     <= '0;
      a_out     <= '0;
      acc       <= '0;
    end else if (en) begin
      out_valid <= in_valid;
      out_first <= in_first;
      out_last  <= in_last;
      acc_valid <= in_valid & in_last;
      shift_out <= shift_in;
      w_out     <= w_in;
      a_out     <= a_in;
      if (in_valid) acc <= next;
    end
  end
endmodule
