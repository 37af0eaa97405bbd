// iFPU element: one bit of the weight meets an aligned mantissa a cycle:
// acc = (first ? 0 : acc) +- (w ? a << place : 0), minus for the top bit of a weight.
//
// Widths: a A_BITS two's complement (24-bit mantissas and their sign), place 0..7, acc ACC_BITS:
// exact to 2^15 weights of 8 bits. The mantissas' exponent and the one rounding are the edge's.
// Timing: as pe_int_mac, latency 1; a weight of b bits takes b steps.
// Source: iFPU (ICLR 2023); values as quant/kernels/figna_dot.hpp (ifpu_dot).
module pe_ifpu #(
    parameter int A_BITS   = 25,
    parameter int ACC_BITS = 48
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic                w_in,
    input  logic                minus_in,
    input  logic [         2:0] place_in,
    input  logic [  A_BITS-1:0] a_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic                w_out,
    output logic                minus_out,
    output logic [         2:0] place_out,
    output logic [  A_BITS-1:0] a_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  localparam int S_BITS = A_BITS + 7;
  logic [S_BITS-1:0] shifted;
  logic [ACC_BITS-1:0] next;
  logic subtract;
  assign subtract = w_in & minus_in;
  assign shifted = ({{7{a_in[A_BITS-1]}}, a_in} << place_in) & {S_BITS{w_in}};
  assign next = (acc & {ACC_BITS{~in_first}}) +
      ({{(ACC_BITS - S_BITS) {shifted[S_BITS-1]}}, shifted} ^ {ACC_BITS{subtract}}) +
      {{(ACC_BITS - 1) {1'b0}}, subtract};

  element_link #(.BITS(5 + A_BITS)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, minus_in, place_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, minus_out, place_out, a_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
