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

  always_ff @(posedge clk) begin
    if (rst) begin
      out_valid <= 1'b0;
      out_first <= 1'b0;
      out_last  <= 1'b0;
      acc_valid <= 1'b0;
      w_out     <= '0;
      a_out     <= '0;
      acc       <= '0;
    end else if (en) begin
      out_valid <= in_valid;
      out_first <= in_first;
      out_last  <= in_last;
      acc_valid <= in_valid & in_last;
      w_out     <= w_in;
      a_out     <= a_in;
      if (in_valid) acc <= partial[LANES*ACC_BITS+:ACC_BITS];
    end
  end
endmodule
