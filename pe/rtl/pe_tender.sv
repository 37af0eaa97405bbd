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

  element_link #(.BITS(1 + 2*INT_BITS)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({shift_in, w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({shift_out, w_out, a_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
