// OLAccel lane group: LANES 4-bit multipliers and one of 8 bits for outliers (codes that do not fit 4
// bits): acc = (first ? 0 : acc) + sum over lanes without an outlier of w * a (where `lanes`) +
// (outlier ? w[pick] * a[pick] : 0).
//
// A step with several outliers comes again with lanes = 0, once for each further one, so that
// its products count once; who picks them is the edge's.
// Widths: w, a 8 bits two's complement a lane; pick 4; acc ACC_BITS (wraps).
// Timing: as pe_int_mac, latency 1.
// Source: OLAccel (ISCA 2018), one outlier unit for 16 lanes (accelerators.md §8.2); pe/designs.
module pe_olaccel #(
    parameter int LANES    = 16,
    parameter int ACC_BITS = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic                lanes_in,
    input  logic                outlier_in,
    input  logic [         3:0] pick_in,
    input  logic [ LANES*8-1:0] w_in,
    input  logic [ LANES*8-1:0] a_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic                lanes_out,
    output logic                outlier_out,
    output logic [         3:0] pick_out,
    output logic [ LANES*8-1:0] w_out,
    output logic [ LANES*8-1:0] a_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  logic [LANES-1:0] narrow;
  logic [(LANES+1)*ACC_BITS-1:0] partial;
  logic [ACC_BITS-1:0] next;
  assign partial[ACC_BITS-1:0] = acc & {ACC_BITS{~in_first}};
  genvar l;
  generate
    for (l = 0; l < LANES; l = l + 1) begin : gen_lane
      // Both codes are four bits, sign-extended.
      assign narrow[l] = lanes_in & w_in[8*l+3+:5] == {5{w_in[8*l+3]}} &
          a_in[8*l+3+:5] == {5{a_in[8*l+3]}};
      mac_int #(.W_BITS(4), .A_BITS(4), .ACC_BITS(ACC_BITS)) mac (
          .acc_in(partial[l*ACC_BITS+:ACC_BITS]), .w(w_in[8*l+:4] & {4{narrow[l]}}),
          .a(a_in[8*l+:4]), .acc_out(partial[(l+1)*ACC_BITS+:ACC_BITS]));
    end
  endgenerate
  mac_int #(.W_BITS(8), .A_BITS(8), .ACC_BITS(ACC_BITS)) wide (
      .acc_in(partial[LANES*ACC_BITS+:ACC_BITS]), .w(w_in[8*pick_in+:8] & {8{outlier_in}}),
      .a(a_in[8*pick_in+:8]), .acc_out(next));

  element_link #(.BITS(6 + 16*LANES)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({lanes_in, outlier_in, pick_in, w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({lanes_out, outlier_out, pick_out, w_out, a_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
