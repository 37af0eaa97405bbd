// ANT element: exponent-integer operands <e, i> from a flint_decoder at the array's edge,
// acc = (first ? 0 : acc) + (wi * ai) << (we + ae).
//
// Widths: e EXP_BITS (3: 0..6), i INT_BITS two's complement (4: -8..7), acc ACC_BITS (wraps).
// Timing: as pe_int_mac, latency 1.
// Source: ANT (MICRO 2022): the exponent adder, multiplier, shifter and adder that OliVe took over,
// so the cell is that of pe_olive; the formats differ in the decoder. Values as
// quant/formats/flint.hpp.
module pe_ant #(
    parameter int INT_BITS = 4,
    parameter int EXP_BITS = 3,
    parameter int ACC_BITS = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic [EXP_BITS-1:0] we_in,
    input  logic [INT_BITS-1:0] wi_in,
    input  logic [EXP_BITS-1:0] ae_in,
    input  logic [INT_BITS-1:0] ai_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic [EXP_BITS-1:0] we_out,
    output logic [INT_BITS-1:0] wi_out,
    output logic [EXP_BITS-1:0] ae_out,
    output logic [INT_BITS-1:0] ai_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  logic [ACC_BITS-1:0] base, next;
  assign base = acc & {ACC_BITS{~in_first}};
  mac_exponent_integer #(.INT_BITS(INT_BITS), .EXP_BITS(EXP_BITS), .ACC_BITS(ACC_BITS)) mac (
      .acc_in(base), .we(we_in), .wi(wi_in), .ae(ae_in), .ai(ai_in), .acc_out(next));

  always_ff @(posedge clk) begin
    if (rst) begin
      out_valid <= 1'b0;
      out_first <= 1'b0;
      out_last  <= 1'b0;
      acc_valid <= 1'b0;
      we_out    <= '0;
      wi_out    <= '0;
      ae_out    <= '0;
      ai_out    <= '0;
      acc       <= '0;
    end else if (en) begin
      out_valid <= in_valid;
      out_first <= in_first;
      out_last  <= in_last;
      acc_valid <= in_valid & in_last;
      we_out    <= we_in;
      wi_out    <= wi_in;
      ae_out    <= ae_in;
      ai_out    <= ai_in;
      if (in_valid) acc <= next;
    end
  end
endmodule
