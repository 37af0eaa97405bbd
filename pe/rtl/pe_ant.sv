// ANT element: exponent-integer operands <e, i> from a flint_decoder at the array's edge,
// acc = (first ? 0 : acc) + (wi * ai) << (we + ae).
//
// Widths: e EXP_BITS (3: 0..6), i INT_BITS two's complement (4: -8..7), acc ACC_BITS (wraps).
// Timing: as pe_int_mac, latency 1.
// Source: ANT (MICRO 2022): the exponent adder, multiplier, shifter and adder that OliVe took over,
// so this is that element; the formats differ in the decoder. Values as
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
  pe_olive #(.INT_BITS(INT_BITS), .EXP_BITS(EXP_BITS), .ACC_BITS(ACC_BITS)) element (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .we_in(we_in), .wi_in(wi_in), .ae_in(ae_in), .ai_in(ai_in), .out_valid(out_valid),
      .out_first(out_first), .out_last(out_last), .we_out(we_out), .wi_out(wi_out),
      .ae_out(ae_out), .ai_out(ai_out), .acc_valid(acc_valid), .acc(acc));
endmodule
