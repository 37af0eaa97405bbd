// Integer multiply-accumulate element: acc = (first ? 0 : acc) + w * a.
//
// Widths: w W_BITS, a A_BITS (two's complement), acc ACC_BITS (wraps). INT8 x INT8: the defaults;
// INT4 x INT8: W_BITS 4; INT4 x INT4: both 4.
// Timing: operands at the inputs are multiplied and added at the next enabled edge, and stand at
// w_out, a_out (with their marks) after it: one register a hop. acc_valid says that acc holds the
// sum that `last` closed: latency 1. A low en holds every register.
// Source: the INT8 baseline of ANT, OliVe and MixPE; values as pe/designs (int8-mac).
module pe_int_mac #(
    parameter int W_BITS   = 8,
    parameter int A_BITS   = 8,
    parameter int ACC_BITS = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic [  W_BITS-1:0] w_in,
    input  logic [  A_BITS-1:0] a_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic [  W_BITS-1:0] w_out,
    output logic [  A_BITS-1:0] a_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  logic [ACC_BITS-1:0] base, next;
  assign base = acc & {ACC_BITS{~in_first}};
  mac_int #(.W_BITS(W_BITS), .A_BITS(A_BITS), .ACC_BITS(ACC_BITS)) mac (
      .acc_in(base), .w(w_in), .a(a_in), .acc_out(next));

  element_link #(.BITS(W_BITS + A_BITS)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, a_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
