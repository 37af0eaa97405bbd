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

  always_ff @(posedge clk) begin
    if (rst) begin
      out_valid <= 1'b0;
      out_first <= 1'b0;
      out_last  <= 1'b0;
      acc_valid <= 1'b0;
      w_out     <= '0;
      place_out <= '0;
      a_out     <= '0;
      acc       <= '0;
    end else if (en) begin
      out_valid <= in_valid;
      out_first <= in_first;
      out_last  <= in_last;
      acc_valid <= in_valid & in_last;
      w_out     <= w_in;
      place_out <= place_in;
      a_out     <= a_in;
      if (in_valid) acc <= next;
    end
  end
endmodule
