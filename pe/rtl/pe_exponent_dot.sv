// Dot unit of exponent-integer operands <e, i>: acc = (first ? 0 : acc) + sum over LANES lanes of
// (wi * ai) << (we + ae) + sum over NARROW further lanes of plain integers wn * an.
//
// Widths: e EXP_BITS, i INT_BITS two's complement; narrow lanes NARROW_BITS; acc ACC_BITS (wraps).
// OliVe's tensor-core unit: the defaults (NARROW 0). MX: 8 lanes of <e 5, i 8> for elements of 6 and
// 8 bits (E5M2 is <0..31, 3 bits>, INT8 <0, i>), of which the narrow ones make 16 for E2M1 in
// halves; ACC_BITS 72 holds 160 products of E5M2 exactly, a block has 32.
// Timing: as pe_int_mac, latency 1.
// Source: OliVe (ISCA 2023), GPU integration; OCP MX 1.0; values as pe/designs (olive-dot, mx-dot).
module pe_exponent_dot #(
    parameter int LANES       = 16,
    parameter int INT_BITS    = 4,
    parameter int EXP_BITS    = 3,
    parameter int NARROW      = 0,
    parameter int NARROW_BITS = 5,
    parameter int ACC_BITS    = 32,
    parameter int N_BITS      = NARROW > 0 ? NARROW * NARROW_BITS : 1
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic                      en,
    input  logic                      in_valid,
    input  logic                      in_first,
    input  logic                      in_last,
    input  logic [LANES*EXP_BITS-1:0] we_in,
    input  logic [LANES*INT_BITS-1:0] wi_in,
    input  logic [LANES*EXP_BITS-1:0] ae_in,
    input  logic [LANES*INT_BITS-1:0] ai_in,
    input  logic [        N_BITS-1:0] wn_in,
    input  logic [        N_BITS-1:0] an_in,
    output logic                      out_valid,
    output logic                      out_first,
    output logic                      out_last,
    output logic [LANES*EXP_BITS-1:0] we_out,
    output logic [LANES*INT_BITS-1:0] wi_out,
    output logic [LANES*EXP_BITS-1:0] ae_out,
    output logic [LANES*INT_BITS-1:0] ai_out,
    output logic [        N_BITS-1:0] wn_out,
    output logic [        N_BITS-1:0] an_out,
    output logic                      acc_valid,
    output logic [      ACC_BITS-1:0] acc
);
  // Products with their sign bits complemented; the constant puts that right, so that the tree has
  // no sign extension.
  localparam int MOST = 2 * INT_BITS + 2 * (2 ** EXP_BITS - 1);
  localparam int S_BITS = MOST < ACC_BITS ? MOST : ACC_BITS;
  localparam logic [ACC_BITS-1:0] ONE = {{(ACC_BITS - 1) {1'b0}}, 1'b1};
  localparam logic [ACC_BITS-1:0] CORRECTION =
      {ACC_BITS{1'b0}} - ((ONE << (S_BITS - 1)) * ACC_BITS'(LANES));

  logic [LANES*S_BITS-1:0] products;
  genvar l;
  generate
    for (l = 0; l < LANES; l = l + 1) begin : gen_lane
      product_exponent_integer #(.INT_BITS(INT_BITS), .EXP_BITS(EXP_BITS), .OUT_BITS(S_BITS)) lane (
          .we(we_in[l*EXP_BITS+:EXP_BITS]), .wi(wi_in[l*INT_BITS+:INT_BITS]),
          .ae(ae_in[l*EXP_BITS+:EXP_BITS]), .ai(ai_in[l*INT_BITS+:INT_BITS]),
          .product(products[l*S_BITS+:S_BITS]));
    end
  endgenerate

  logic [ACC_BITS-1:0] wide;
  integer i;
  always_comb begin
    wide = (acc & {ACC_BITS{~in_first}}) + CORRECTION;
    for (i = 0; i < LANES; i = i + 1)
      wide = wide + ACC_BITS'({~products[i*S_BITS+S_BITS-1], products[i*S_BITS+:S_BITS-1]});
  end

  logic [ACC_BITS-1:0] next;
  generate
    if (NARROW > 0) begin : gen_narrow
      logic [(NARROW+1)*ACC_BITS-1:0] sums;
      assign sums[ACC_BITS-1:0] = wide;
      for (l = 0; l < NARROW; l = l + 1) begin : gen_lane
        mac_int #(.W_BITS(NARROW_BITS), .A_BITS(NARROW_BITS), .ACC_BITS(ACC_BITS)) mac (
            .acc_in(sums[l*ACC_BITS+:ACC_BITS]), .w(wn_in[l*NARROW_BITS+:NARROW_BITS]),
            .a(an_in[l*NARROW_BITS+:NARROW_BITS]), .acc_out(sums[(l+1)*ACC_BITS+:ACC_BITS]));
      end
      assign next = sums[NARROW*ACC_BITS+:ACC_BITS];
    end else begin : gen_wide_only
      logic unused;
      assign unused = ^{wn_in, an_in};
      assign next = wide;
    end
  endgenerate

  element_link #(.BITS(2 * (LANES*(EXP_BITS + INT_BITS) + N_BITS))) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({we_in, wi_in, ae_in, ai_in, wn_in, an_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({we_out, wi_out, ae_out, ai_out, wn_out, an_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
