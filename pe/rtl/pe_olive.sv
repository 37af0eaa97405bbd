// OliVe element: exponent-integer operands <e, i> from an ovp_decoder at the array's edge,
// acc = (first ? 0 : acc) + (wi * ai) << (we + ae).
//
// Widths: e EXP_BITS (3: 0..6), i INT_BITS two's complement (4: -7..7), acc ACC_BITS (int32; the
// worst product, 192 * 192, is exact for K <= 58,254; wraps). INT_BITS 5, EXP_BITS 5 for the halves
// of 8-bit operands: pe_olive_quad.
// Timing: as pe_int_mac, latency 1.
// Source: OliVe (ISCA 2023, arXiv 2304.07493): 4-bit multiplier, exponent adder, shifter, int32
// adder; values as quant/kernels/ovp_gemm.hpp.
module pe_olive #(
    parameter int INT_BITS = 4,
    parameter int EXP_BITS = 3,
    parameter int ACC_BITS = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic [EXP_BITS-1:0] we_in,
    input  logic [INT_BITS-1:0] wi_in,
    input  logic [EXP_BITS-1:0] ae_in,
    input  logic [INT_BITS-1:0] ai_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic [EXP_BITS-1:0] we_out,
    output logic [INT_BITS-1:0] wi_out,
    output logic [EXP_BITS-1:0] ae_out,
    output logic [INT_BITS-1:0] ai_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  logic [ACC_BITS-1:0] base, next;
  assign base = acc & {ACC_BITS{~in_first}};
  mac_exponent_integer #(.INT_BITS(INT_BITS), .EXP_BITS(EXP_BITS), .ACC_BITS(ACC_BITS)) mac (
      .acc_in(base), .we(we_in), .wi(wi_in), .ae(ae_in), .ai(ai_in), .acc_out(next));

  element_link #(.BITS(2 * (EXP_BITS + INT_BITS))) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({we_in, wi_in, ae_in, ai_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({we_out, wi_out, ae_out, ai_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
