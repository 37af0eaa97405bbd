// Dot unit of integers: acc = (first ? 0 : acc) + sum over lanes of w * a.
//
// Widths: LANES words of W_BITS and A_BITS (two's complement, lane l at l * W_BITS), acc ACC_BITS
// (wraps). The rows of all lanes and the accumulator are one sum. INT8: the defaults; NVFP4: E2M1 in
// halves is an integer of five bits, ACC_BITS 24 is exact to 58,254 elements (a block has 16).
// Timing: as pe_int_mac, latency 1.
// Source: the common integer baseline; values as pe/designs (int8-dot, int4-dot, nvfp4-dot).
module pe_int_dot #(
    parameter int LANES    = 16,
    parameter int W_BITS   = 8,
    parameter int A_BITS   = 8,
    parameter int ACC_BITS = 32
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    en,
    input  logic                    in_valid,
    input  logic                    in_first,
    input  logic                    in_last,
    input  logic [LANES*W_BITS-1:0] w_in,
    input  logic [LANES*A_BITS-1:0] a_in,
    output logic                    out_valid,
    output logic                    out_first,
    output logic                    out_last,
    output logic [LANES*W_BITS-1:0] w_out,
    output logic [LANES*A_BITS-1:0] a_out,
    output logic                    acc_valid,
    output logic [    ACC_BITS-1:0] acc
);
  logic [(LANES+1)*ACC_BITS-1:0] partial;
  assign partial[ACC_BITS-1:0] = acc & {ACC_BITS{~in_first}};
  genvar l;
  generate
    for (l = 0; l < LANES; l = l + 1) begin : gen_lane
      mac_int #(.W_BITS(W_BITS), .A_BITS(A_BITS), .ACC_BITS(ACC_BITS)) mac (
          .acc_in(partial[l*ACC_BITS+:ACC_BITS]), .w(w_in[l*W_BITS+:W_BITS]),
          .a(a_in[l*A_BITS+:A_BITS]), .acc_out(partial[(l+1)*ACC_BITS+:ACC_BITS]));
    end
  endgenerate

  element_link #(.BITS(LANES*W_BITS + LANES*A_BITS)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, a_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last),
      .next(partial[LANES*ACC_BITS+:ACC_BITS]), .acc_valid(acc_valid), .acc(acc));
endmodule
