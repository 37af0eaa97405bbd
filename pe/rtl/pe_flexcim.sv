// FlexCiM cell for 2:4 sparse weights: the weight's place picks one of four activations:
// acc = (first ? 0 : acc) + w * a[place].
//
// Widths: w, a W_BITS and A_BITS two's complement, place 2, acc ACC_BITS (wraps). The macro's memory
// cell that holds w and place is not here; its adder tree over rows is the array's column sum.
// Timing: as pe_int_mac, latency 1; two cells serve four weights.
// Source: FLOW / FlexCiM (ISLPED 2025); values as pe/designs (flexcim).
module pe_flexcim #(
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
    input  logic [         1:0] place_in,
    input  logic [4*A_BITS-1:0] a_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic [  W_BITS-1:0] w_out,
    output logic [         1:0] place_out,
    output logic [4*A_BITS-1:0] a_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  logic [ACC_BITS-1:0] next;
  mac_int #(.W_BITS(W_BITS), .A_BITS(A_BITS), .ACC_BITS(ACC_BITS)) mac (
      .acc_in(acc & {ACC_BITS{~in_first}}), .w(w_in), .a(a_in[place_in*A_BITS+:A_BITS]),
      .acc_out(next));

  element_link #(.BITS(W_BITS + 2 + 4*A_BITS)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, place_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, place_out, a_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
