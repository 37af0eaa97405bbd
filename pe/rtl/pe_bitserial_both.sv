// Bit-serial dot product, both operands serial (Loom-like): one bit of each of LANES weights meets
// one bit of each of LANES activations a cycle; p_w * p_a cycles for LANES products, both
// precisions free.
//
// Order: weight bits from the most significant, and for each all activation bits from the most
// significant. Each cycle: count = number of lanes with both bits set; inner = (a_msb ? 0 : 2
// inner) +- count (negative for the first bit where a_signed); with a_lsb, outer = (w_msb ? 0 : 2
// outer) +- inner (negative for the first weight bit where w_signed); with a_lsb and w_lsb acc
// takes outer (first: replaces). Marks travel with the operands: in_first the first cycle of a sum,
// in_last its last. Widths: count log2(LANES) + 1, inner INNER_BITS, outer OUTER_BITS, acc ACC_BITS
// (wraps).
// Timing: latency 1, as pe_bitserial.
// Source: Loom (DAC 2018), serial inner-product unit with two nested shift accumulators.
module pe_bitserial_both #(
    parameter int LANES      = 16,
    parameter int INNER_BITS = 22,
    parameter int OUTER_BITS = 32,
    parameter int ACC_BITS   = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic                w_msb_in,
    input  logic                w_lsb_in,
    input  logic                a_msb_in,
    input  logic                a_lsb_in,
    input  logic                w_signed_in,
    input  logic                a_signed_in,
    input  logic [   LANES-1:0] w_in,         // one bit a lane
    input  logic [   LANES-1:0] a_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic [         5:0] marks_out,    // w_msb, w_lsb, a_msb, a_lsb, w_signed, a_signed
    output logic [   LANES-1:0] w_out,
    output logic [   LANES-1:0] a_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  localparam int C_BITS = $clog2(LANES) + 1;
  logic [C_BITS-1:0] count;
  integer l;
  always_comb begin
    count = '0;
    for (l = 0; l < LANES; l = l + 1) count = count + {{(C_BITS - 1) {1'b0}}, w_in[l] & a_in[l]};
  end

  logic a_subtract, w_subtract, fresh, replaces;
  logic [INNER_BITS-2:0] inner;  // its top bit would be shifted out
  logic [INNER_BITS-1:0] inner_next;
  logic [OUTER_BITS-2:0] outer;
  logic [OUTER_BITS-1:0] outer_next;
  logic [ACC_BITS-1:0] next;
  assign a_subtract = a_msb_in & a_signed_in;
  assign w_subtract = w_msb_in & w_signed_in;
  assign inner_next = ({inner, 1'b0} & {INNER_BITS{~a_msb_in}}) +
      ({{(INNER_BITS - C_BITS) {1'b0}}, count} ^ {INNER_BITS{a_subtract}}) +
      {{(INNER_BITS - 1) {1'b0}}, a_subtract};
  assign outer_next = ({outer, 1'b0} & {OUTER_BITS{~w_msb_in}}) +
      ({{(OUTER_BITS - INNER_BITS) {inner_next[INNER_BITS-1]}}, inner_next} ^
       {OUTER_BITS{w_subtract}}) +
      {{(OUTER_BITS - 1) {1'b0}}, w_subtract};
  assign replaces = in_first | fresh;
  generate
    if (OUTER_BITS < ACC_BITS) begin : gen_extended
      assign next = (acc & {ACC_BITS{~replaces}}) +
          {{(ACC_BITS - OUTER_BITS) {outer_next[OUTER_BITS-1]}}, outer_next};
    end else begin : gen_full
      assign next = (acc & {ACC_BITS{~replaces}}) + outer_next[ACC_BITS-1:0];
    end
  endgenerate

  element_link #(.BITS(6 + 2*LANES)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({{w_msb_in, w_lsb_in, a_msb_in, a_lsb_in, w_signed_in, a_signed_in}, w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({marks_out, w_out, a_out}));

  always_ff @(posedge clk) begin
    if (rst) begin
      acc_valid <= 1'b0;
      fresh     <= 1'b0;
      inner     <= '0;
      outer     <= '0;
      acc       <= '0;
    end else if (en) begin
      acc_valid <= in_valid & in_last;
      if (in_valid) begin
        fresh <= replaces & ~(a_lsb_in & w_lsb_in);
        inner <= inner_next[INNER_BITS-2:0];
        if (a_lsb_in) outer <= outer_next[OUTER_BITS-2:0];
        if (a_lsb_in & w_lsb_in) acc <= next;
      end
    end
  end
endmodule
