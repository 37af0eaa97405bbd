// Four OliVe elements as one for 8-bit operands: a 2 x 2 block in which row and column 0 take the
// high halves, row and column 1 the low ones (nibble_split at the edge); the four partial products
// stay in the accumulators of their elements, one more adder joins them. With other operands the
// same block is four independent 4-bit elements (acc00 ... acc11).
//
// Widths: operands <5, 5> bits (a low nibble is unsigned, so its integer takes five), acc ACC_BITS.
// Timing: latency 1 for the accumulators, whose sum is combinational behind them.
// Source: OliVe (ISCA 2023), 8-bit operands on four 4-bit elements, one extra adder each four.
module pe_olive_quad #(
    parameter int ACC_BITS = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic [         4:0] we0_in,
    input  logic [         4:0] wi0_in,
    input  logic [         4:0] we1_in,
    input  logic [         4:0] wi1_in,
    input  logic [         4:0] ae0_in,
    input  logic [         4:0] ai0_in,
    input  logic [         4:0] ae1_in,
    input  logic [         4:0] ai1_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic [         9:0] w0_out,
    output logic [         9:0] w1_out,
    output logic [         9:0] a0_out,
    output logic [         9:0] a1_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc00,
    output logic [ACC_BITS-1:0] acc01,
    output logic [ACC_BITS-1:0] acc10,
    output logic [ACC_BITS-1:0] acc11,
    output logic [ACC_BITS-1:0] acc
);
  // The four elements are fed at once, as one element of the array: the operand registers exist
  // once.
  logic [ACC_BITS-1:0] next00, next01, next10, next11;
  logic [ACC_BITS-1:0] keep;
  assign keep = {ACC_BITS{~in_first}};
  mac_exponent_integer #(.INT_BITS(5), .EXP_BITS(5), .ACC_BITS(ACC_BITS)) mac00 (
      .acc_in(acc00 & keep), .we(we0_in), .wi(wi0_in), .ae(ae0_in), .ai(ai0_in), .acc_out(next00));
  mac_exponent_integer #(.INT_BITS(5), .EXP_BITS(5), .ACC_BITS(ACC_BITS)) mac01 (
      .acc_in(acc01 & keep), .we(we0_in), .wi(wi0_in), .ae(ae1_in), .ai(ai1_in), .acc_out(next01));
  mac_exponent_integer #(.INT_BITS(5), .EXP_BITS(5), .ACC_BITS(ACC_BITS)) mac10 (
      .acc_in(acc10 & keep), .we(we1_in), .wi(wi1_in), .ae(ae0_in), .ai(ai0_in), .acc_out(next10));
  mac_exponent_integer #(.INT_BITS(5), .EXP_BITS(5), .ACC_BITS(ACC_BITS)) mac11 (
      .acc_in(acc11 & keep), .we(we1_in), .wi(wi1_in), .ae(ae1_in), .ai(ai1_in), .acc_out(next11));
  assign acc = acc00 + acc01 + acc10 + acc11;

  element_link #(.BITS(40)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({{we0_in, wi0_in}, {we1_in, wi1_in}, {ae0_in, ai0_in}, {ae1_in, ai1_in}}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w0_out, w1_out, a0_out, a1_out}));

  always_ff @(posedge clk) begin
    if (rst) begin
      acc_valid <= 1'b0;
      acc00     <= '0;
      acc01     <= '0;
      acc10     <= '0;
      acc11     <= '0;
    end else if (en) begin
      acc_valid <= in_valid & in_last;
      if (in_valid) begin
        acc00 <= next00;
        acc01 <= next01;
        acc10 <= next10;
        acc11 <= next11;
      end
    end
  end
endmodule
