// Bit-serial dot product, activations serial, weights parallel (Stripes-like): LANES weights of
// W_BITS meet one bit of each of LANES activations a cycle, most significant bit first. An
// activation of p bits takes p cycles, so p is free: 1..16 with the widths below.
//
// Each cycle: tree = sum over lanes of w[l] where a_bit[l]; partial = (msb ? 0 : 2 partial) + tree,
// the tree of the first bit negated where a_signed; with lsb the finished partial is added to acc
// (first: replaces it).
// Marks: in_first the first cycle of a sum, in_last its last; in_msb, in_lsb the ends of a group of
// LANES activations. Widths: tree W_BITS + log2(LANES), partial PARTIAL_BITS, acc ACC_BITS (wraps).
// Timing: weights and bits pass on through registers; acc_valid the edge after the last bit:
// latency 1. Source: Stripes (MICRO 2016), serial inner-product unit.
module pe_bitserial #(
    parameter int LANES        = 16,
    parameter int W_BITS       = 8,
    parameter int PARTIAL_BITS = 28,
    parameter int ACC_BITS     = 32
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    en,
    input  logic                    in_valid,
    input  logic                    in_first,
    input  logic                    in_last,
    input  logic                    in_msb,
    input  logic                    in_lsb,
    input  logic                    a_signed_in,
    input  logic [LANES*W_BITS-1:0] w_in,         // two's complement, lane l at l * W_BITS
    input  logic [       LANES-1:0] a_in,         // one bit a lane
    output logic                    out_valid,
    output logic                    out_first,
    output logic                    out_last,
    output logic                    out_msb,
    output logic                    out_lsb,
    output logic                    a_signed_out,
    output logic [LANES*W_BITS-1:0] w_out,
    output logic [       LANES-1:0] a_out,
    output logic                    acc_valid,
    output logic [    ACC_BITS-1:0] acc
);
  localparam int T_BITS = W_BITS + $clog2(LANES) + 1;
  localparam logic [T_BITS-1:0] ONE = {{(T_BITS - 1) {1'b0}}, 1'b1};
  // Sign bits of the lanes complemented: LANES * 2^(W_BITS - 1) too much.
  localparam logic [T_BITS-1:0] CORRECTION =
      {T_BITS{1'b0}} - ((ONE << (W_BITS - 1)) * T_BITS'(LANES));
  localparam logic [W_BITS-1:0] TOP = {1'b1, {(W_BITS - 1) {1'b0}}};

  logic [T_BITS-1:0] tree;
  logic [W_BITS-1:0] lane;
  integer l;
  always_comb begin
    tree = CORRECTION;
    lane = '0;
    for (l = 0; l < LANES; l = l + 1) begin
      lane = (w_in[l*W_BITS+:W_BITS] & {W_BITS{a_in[l]}}) ^ TOP;
      tree = tree + {{(T_BITS - W_BITS) {1'b0}}, lane};
    end
  end

  logic subtract;
  logic [PARTIAL_BITS-2:0] partial;  // its top bit would be shifted out
  logic [PARTIAL_BITS-1:0] finished;
  logic [ACC_BITS-1:0] next;
  assign subtract = in_msb & a_signed_in;
  assign finished = ({partial, 1'b0} & {PARTIAL_BITS{~in_msb}}) +
      ({{(PARTIAL_BITS - T_BITS) {tree[T_BITS-1]}}, tree} ^ {PARTIAL_BITS{subtract}}) +
      {{(PARTIAL_BITS - 1) {1'b0}}, subtract};
  // A sum begins with its first bit, is added to with each last bit: `fresh` waits from one to the
  // other.
  logic fresh, replaces;
  assign replaces = in_first | fresh;
  assign next = (acc & {ACC_BITS{~replaces}}) +
      {{(ACC_BITS - PARTIAL_BITS) {finished[PARTIAL_BITS-1]}}, finished};

  element_link #(.BITS(1 + LANES*(W_BITS + 1))) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({a_signed_in, w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({a_signed_out, w_out, a_out}));

  always_ff @(posedge clk) begin
    if (rst) begin
      out_msb      <= 1'b0;
      out_lsb      <= 1'b0;
      acc_valid    <= 1'b0;
      fresh        <= 1'b0;
      partial      <= '0;
      acc          <= '0;
    end else if (en) begin
      out_msb      <= in_msb;
      out_lsb      <= in_lsb;
      acc_valid    <= in_valid & in_last;
      if (in_valid) begin
        fresh   <= replaces & ~in_lsb;
        partial <= finished[PARTIAL_BITS-2:0];
        if (in_lsb) acc <= next;
      end
    end
  end
endmodule
