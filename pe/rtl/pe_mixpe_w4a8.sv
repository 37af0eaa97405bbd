// MixPE shift-and-add element: 4-bit weight x 8-bit activation without a multiplier; weights of 5
// to 8 bits in two passes, the low nibble unsigned, then the high one << 4.
//
// Widths: w 4 and two marks that travel with it (w_signed: two's complement nibble; w_high: counts
// 16-fold), a A_BITS, acc ACC_BITS (wraps). One pass a cycle; `last` belongs to the last pass.
// Timing: as pe_int_mac, latency 1.
// Source: MixPE, arXiv 2411.16158; two passes as in pe/designs (mixpe-w4a8). TWO_PASS = 0: the
// plain W4A8 cell.
module pe_mixpe_w4a8 #(
    parameter int A_BITS   = 8,
    parameter int ACC_BITS = 32,
    parameter bit TWO_PASS = 1'b1
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic [         3:0] w_in,
    input  logic                w_signed_in,
    input  logic                w_high_in,
    input  logic [  A_BITS-1:0] a_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic [         3:0] w_out,
    output logic                w_signed_out,
    output logic                w_high_out,
    output logic [  A_BITS-1:0] a_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  logic [ACC_BITS-1:0] base, next;
  assign base = acc & {ACC_BITS{~in_first}};
  mac_mixpe #(.A_BITS(A_BITS), .ACC_BITS(ACC_BITS), .TWO_PASS(TWO_PASS)) mac (
      .acc_in(base), .w(w_in), .w_signed(w_signed_in), .w_high(w_high_in), .a(a_in),
      .acc_out(next));

  element_link #(.BITS(6 + A_BITS)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, w_signed_in, w_high_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, w_signed_out, w_high_out, a_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
