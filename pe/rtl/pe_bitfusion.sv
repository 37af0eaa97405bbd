// Bit Fusion unit: 16 BitBricks fused by mode to a dot product of n weights and n activations of 2,
// 4 or 8 bits each, n = 16 / (w_bits / 2 * a_bits / 2): 16 at 2x2, 8 at 4x2, 4 at 4x4 and 8x2, 2 at
// 8x4, 1 at 8x8. acc = (first ? 0 : acc) + sum of w[e] * a[e].
//
// Operands: element e of b bits at bits e * b upwards of a 32-bit word (2x2 and 8x2 fill it); bits
// above the last element are not read. Modes: 0 = 2, 1 = 4, 2 = 8 bits (3 is not used). w_signed,
// a_signed: two's complement or unsigned.
// Structure: two levels of four, as published. Brick b of quad q: within a quad, bit 1 of b takes
// the weight's slice (if w_bits >= 4) and bit 0 the activation's (if a_bits >= 4), between quads
// bits 1 and 0 of q do so at 8 bits; a bit that takes no slice counts elements. Shifts follow the
// slices: 0, 2 or 4 in a quad, 0, 4 or 8 outside.
// Widths: brick 5, quad 10, unit 18 bits, acc ACC_BITS (wraps).
// Timing: as pe_int_mac, latency 1; modes and signs travel with the operands.
// Source: Bit Fusion (ISCA 2018), the spatial fusion unit; 16-bit operands (four cycles there) are
// not here.
module pe_bitfusion #(
    parameter int ACC_BITS = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                in_valid,
    input  logic                in_first,
    input  logic                in_last,
    input  logic [         1:0] w_mode_in,
    input  logic [         1:0] a_mode_in,
    input  logic                w_signed_in,
    input  logic                a_signed_in,
    input  logic [        31:0] w_in,
    input  logic [        31:0] a_in,
    output logic                out_valid,
    output logic                out_first,
    output logic                out_last,
    output logic [         5:0] mode_out,   // w_mode, a_mode, w_signed, a_signed
    output logic [        31:0] w_out,
    output logic [        31:0] a_out,
    output logic                acc_valid,
    output logic [ACC_BITS-1:0] acc
);
  logic w8, w4, a8, a4;  // at least
  assign w8 = w_mode_in[1];
  assign w4 = w_mode_in[1] | w_mode_in[0];
  assign a8 = a_mode_in[1];
  assign a4 = a_mode_in[1] | a_mode_in[0];

  logic [79:0] brick;      // 16 products of 5 bits
  logic [39:0] quad;       // 4 sums of 10 bits
  logic [17:0] unit;
  genvar b, m;
  generate
    for (b = 0; b < 16; b = b + 1) begin : gen_brick
      // For each of the nine modes (3 * w_mode + a_mode) where this brick's slices lie.
      logic [17:0] w_slices, a_slices;
      logic [ 8:0] w_top, a_top;
      for (m = 0; m < 9; m = m + 1) begin : gen_mode
        localparam int WB = 2 << (m / 3);
        localparam int AB = 2 << (m % 3);
        localparam int Q1 = (b >> 3) & 1;
        localparam int Q0 = (b >> 2) & 1;
        localparam int B1 = (b >> 1) & 1;
        localparam int B0 = b & 1;
        localparam int OUTER = (WB == 8 ? 0 : Q1) * (AB == 8 ? 1 : 2) + (AB == 8 ? 0 : Q0);
        localparam int INNER = (WB >= 4 ? 0 : B1) * (AB >= 4 ? 1 : 2) + (AB >= 4 ? 0 : B0);
        localparam int ELEMENT = OUTER * (WB >= 4 ? 1 : 2) * (AB >= 4 ? 1 : 2) + INNER;
        localparam int WS = (WB == 8 ? 2 * Q1 : 0) + (WB >= 4 ? B1 : 0);
        localparam int AS = (AB == 8 ? 2 * Q0 : 0) + (AB >= 4 ? B0 : 0);
        assign w_slices[2*m+:2] = w_in[ELEMENT*WB+2*WS+:2];
        assign a_slices[2*m+:2] = a_in[ELEMENT*AB+2*AS+:2];
        assign w_top[m] = WS == WB / 2 - 1;
        assign a_top[m] = AS == AB / 2 - 1;
      end
      logic [1:0] w, a;
      logic w_sign, a_sign;
      logic [8:0] chosen;  // one of nine
      for (m = 0; m < 9; m = m + 1) begin : gen_chosen
        assign chosen[m] = w_mode_in == 2'(m / 3) & a_mode_in == 2'(m % 3);
      end
      integer i;
      always_comb begin
        w = '0;
        a = '0;
        for (i = 0; i < 9; i = i + 1) begin
          w = w | (w_slices[2*i+:2] & {2{chosen[i]}});
          a = a | (a_slices[2*i+:2] & {2{chosen[i]}});
        end
      end
      assign w_sign = w_signed_in & |(w_top & chosen);
      assign a_sign = a_signed_in & |(a_top & chosen);
      bitbrick multiplier (
          .w(w), .w_signed(w_sign), .a(a), .a_signed(a_sign), .product(brick[5*b+:5]));
    end

    for (b = 0; b < 4; b = b + 1) begin : gen_quad
      logic [9:0] p0, p1, p2, p3;
      assign p0 = {{5{brick[20*b+4]}}, brick[20*b+:5]};
      assign p1 = {{5{brick[20*b+9]}}, brick[20*b+5+:5]};
      assign p2 = {{5{brick[20*b+14]}}, brick[20*b+10+:5]};
      assign p3 = {{5{brick[20*b+19]}}, brick[20*b+15+:5]};
      assign quad[10*b+:10] = p0 + (a4 ? {p1[7:0], 2'b0} : p1) + (w4 ? {p2[7:0], 2'b0} : p2) +
          (a4 & w4 ? {p3[5:0], 4'b0} : a4 | w4 ? {p3[7:0], 2'b0} : p3);
    end
  endgenerate

  logic [17:0] q0, q1, q2, q3;
  assign q0 = {{8{quad[9]}}, quad[9:0]};
  assign q1 = {{8{quad[19]}}, quad[19:10]};
  assign q2 = {{8{quad[29]}}, quad[29:20]};
  assign q3 = {{8{quad[39]}}, quad[39:30]};
  assign unit = q0 + (a8 ? {q1[13:0], 4'b0} : q1) + (w8 ? {q2[13:0], 4'b0} : q2) +
      (a8 & w8 ? {q3[9:0], 8'b0} : a8 | w8 ? {q3[13:0], 4'b0} : q3);

  logic [ACC_BITS-1:0] next;
  assign next = (acc & {ACC_BITS{~in_first}}) + {{(ACC_BITS - 18) {unit[17]}}, unit};

  element_link #(.BITS(70)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({{w_mode_in, a_mode_in, w_signed_in, a_signed_in}, w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({mode_out, w_out, a_out}));
  element_sum #(.BITS(ACC_BITS)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(in_valid), .last(in_last), .next(next),
      .acc_valid(acc_valid), .acc(acc));
endmodule
