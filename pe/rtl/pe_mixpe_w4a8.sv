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

  always_ff @(posedge clk) begin
    if (rst) begin
      out_valid    <= 1'b0;
      out_first    <= 1'b0;
      out_last     <= 1'b0;
      acc_valid    <= 1'b0;
      w_out        <= '0;
      w_signed_out <= 1'b0;
      w_high_out   <= 1'b0;
      a_out        <= '0;
      acc          <= '0;
    end else if (en) begin
      out_valid    <= in_valid;
      out_first    <= in_first;
      out_last     <= in_last;
      acc_valid    <= in_valid & in_last;
      w_out        <= w_in;
      w_signed_out <= w_signed_in;
      w_high_out   <= w_high_in;
      a_out        <= a_in;
      if (in_valid) acc <= next;
    end
  end
endmodule
