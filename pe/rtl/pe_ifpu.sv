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

  always_ff @(posedge clk) begin
    if (rst) begin
      out_valid <= 1'b0;
      out_first <= 1'b0;
      out_last  <= 1'b0;
      acc_valid <= 1'b0;
      w_out     <= 1'b0;
      minus_out <= 1'b0;
      place_out <= '0;
      a_out     <= '0;
      acc       <= '0;
    end else if (en) begin
      out_valid <= in_valid;
      out_first <= in_first;
      out_last  <= in_last;
      acc_valid <= in_valid & in_last;
      w_out     <= w_in;
      minus_out <= minus_in;
      place_out <= place_in;
      a_out     <= a_in;
      if (in_valid) acc <= next;
    end
  end
endmodule
