// Look-up element: a bit plane of four weights picks a signed sum of four activations from their
// table: acc = (first ? 0 : acc) +- (entry(index) + sum) << place, minus for the top plane of a
// signed weight. acc is twice the dot product.
//
// The table travels with the activations: entry e (0..7) at e * T_BITS is the sum of +-a_j, plus
// where bit j of e is set, minus for j = 3; indices from 8 on are minus the entry of the complement.
// `sum` is a_0 + ... + a_3. It is made at the edge (lut_former).
// Widths: T_BITS as lut_former's; index 4, place 0..7, acc ACC_BITS (wraps).
// Timing: as pe_int_mac, latency 1; weights of b bits take b steps.
// Source: LUT Tensor Core (ISCA 2025), T-MAC (EuroSys 2025), FIGLUT; quant/kernels/lut_gemm.hpp.
module pe_lut #(
    parameter int T_BITS   = 11,
    parameter int ACC_BITS = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic [         3:0] w_in,
    input  logic                minus_in,
    input  logic [         2:0] place_in,
    input  logic [9*T_BITS-1:0] a_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic [         3:0] w_out,
    output logic                minus_out,
    output logic [         2:0] place_out,
    output logic [9*T_BITS-1:0] a_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  localparam int S_BITS = T_BITS + 8;
  logic [2:0] index;
  logic [T_BITS-1:0] entry;
  logic [T_BITS:0] twice;
  logic [S_BITS-1:0] shifted;
  logic [ACC_BITS-1:0] next;
  assign index = w_in[2:0] ^ {3{w_in[3]}};
  assign entry = a_in[index*T_BITS+:T_BITS] ^ {T_BITS{w_in[3]}};
  assign twice = {entry[T_BITS-1], entry} + {a_in[9*T_BITS-1], a_in[8*T_BITS+:T_BITS]} +
      {{T_BITS{1'b0}}, w_in[3]};
  assign shifted = {{7{twice[T_BITS]}}, twice} << place_in;
  assign next = (acc & {ACC_BITS{~in_first}}) +
      ({{(ACC_BITS - S_BITS) {shifted[S_BITS-1]}}, shifted} ^ {ACC_BITS{minus_in}}) +
      {{(ACC_BITS - 1) {1'b0}}, minus_in};

  element_link #(.BITS(8 + 9*T_BITS)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, minus_in, place_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, minus_out, place_out, a_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
