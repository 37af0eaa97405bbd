// BitMoD element: four bit-serial weight terms meet four fp16 activations each cycle, fp32 sum.
//
// A term is (-1)^negative 2^exp man 2^bsig; bsig is that of all four lanes (applied after the
// tree). Lane: E = activation's exponent + exp; M = the largest E of the lanes with man = 1. Such a
// lane gives (significand << 3) >> (M - E): three guard bits, magnitudes truncated below them; the
// tree's sum is exact. acc = (first ? +0 : acc) + sum 2^(M - 3 + bsig - 25), one rounding to
// nearest even to fp32. No lane: nothing is added. A NaN or an infinity in any lane gives the quiet
// NaN, which stays to the end of the sum.
// Widths: lane 14 bits and sign, tree 16 bits and sign, acc fp32. An activation stays at the inputs
// for all terms of its weight (2 for FP3 and FP4, 3 for INT5 and INT6, 4 for INT8).
// Timing: as pe_fp16_mac: latency 2 with PRODUCT_REGISTER (behind the tree), else 1.
// Source: BitMoD (HPCA 2025, arXiv 2411.11745), section IV; truncation and fp32 are ours, as
// quant/kernels/bitmod_dot.hpp (bitmod_step, bitmod_group) defines them. The group's bit-serial
// dequantisation is a unit of its own: bitmod_dequantiser.
module pe_bitmod #(
    parameter bit PRODUCT_REGISTER = 1'b1
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        en,
    input  logic        in_valid,
    input  logic        in_first,
    input  logic        in_last,
    input  logic [ 3:0] negative_in,  // lane l: bit l
    input  logic [ 3:0] man_in,
    input  logic [11:0] exp_in,       // lane l: bits 3l + 2 .. 3l, 0..4
    input  logic [ 2:0] bsig_in,      // 0, 2, 4, 6
    input  logic [63:0] a_in,         // lane l: bits 16l + 15 .. 16l
    output logic        out_valid,
    output logic        out_first,
    output logic        out_last,
    output logic [ 3:0] negative_out,
    output logic [ 3:0] man_out,
    output logic [11:0] exp_out,
    output logic [ 2:0] bsig_out,
    output logic [63:0] a_out,
    output logic        acc_valid,
    output logic [31:0] acc
);
  logic [ 3:0] a_negative, a_infinite, a_nan;
  logic [19:0] a_exponent;
  logic [43:0] a_significand;
  logic [23:0] lane_exponent;  // six bits each: 1..30 + 0..4 (7 is no exp, but fits)
  genvar l;
  generate
    for (l = 0; l < 4; l = l + 1) begin : gen_lane
      fp16_unpack unpack (
          .bits(a_in[16*l+:16]), .negative(a_negative[l]), .exponent(a_exponent[5*l+:5]),
          .significand(a_significand[11*l+:11]), .is_infinite(a_infinite[l]), .is_nan(a_nan[l]));
      // Lanes without a term count as exponent 0, below every other.
      assign lane_exponent[6*l+:6] =
          ({1'b0, a_exponent[5*l+:5]} + {3'b0, exp_in[3*l+:3]}) & {6{man_in[l]}};
    end
  endgenerate

  logic [5:0] largest01, largest23, largest;
  assign largest01 =
      lane_exponent[5:0] > lane_exponent[11:6] ? lane_exponent[5:0] : lane_exponent[11:6];
  assign largest23 =
      lane_exponent[17:12] > lane_exponent[23:18] ? lane_exponent[17:12] : lane_exponent[23:18];
  assign largest = largest01 > largest23 ? largest01 : largest23;

  // Tree: magnitudes of 14 bits, complemented where negative, the missing ones added as carries.
  logic [67:0] addends;
  logic [ 3:0] lane_negative;
  logic [16:0] tree;
  generate
    for (l = 0; l < 4; l = l + 1) begin : gen_align
      logic [ 5:0] distance;
      logic [13:0] magnitude;
      assign distance  = largest - lane_exponent[6*l+:6];
      assign magnitude =
          ({a_significand[11*l+:11], 3'b0} >> (distance > 6'd15 ? 4'd15 : distance[3:0])) &
          {14{man_in[l]}};
      assign lane_negative[l] = a_negative[l] ^ negative_in[l];
      assign addends[17*l+:17] = {3'b0, magnitude} ^ {17{lane_negative[l]}};
    end
  endgenerate
  assign tree = addends[16:0] + addends[33:17] + addends[50:34] + addends[67:51] +
      {16'b0, lane_negative[0]} + {16'b0, lane_negative[1]} + {16'b0, lane_negative[2]} +
      {16'b0, lane_negative[3]};

  logic negative, nan;
  logic [15:0] magnitude;
  logic [16:0] absolute;
  logic [8:0] lowest;
  assign negative  = tree[16];
  assign absolute  = negative ? -tree : tree;  // at most 4 * 2047 * 8
  assign magnitude = absolute[15:0];
  assign nan = |(a_infinite | a_nan);
  assign lowest = {3'b0, largest} + {6'b0, bsig_in} + 9'd122;  // - 25 - 3 + 150

  // Valid, first, last, sign, NaN, exponent of the lowest bit, magnitude.
  logic [29:0] produced, taken;
  assign produced = {in_valid, in_first, in_last, negative, nan, lowest, magnitude};
  generate
    if (PRODUCT_REGISTER) begin : gen_registered
      always_ff @(posedge clk) begin
        if (rst) taken <= '0;
        else if (en) taken <= produced;
      end
    end else begin : gen_direct
      assign taken = produced;
    end
  endgenerate

  logic [7:0] exponent;
  logic [23:0] significand;
  logic [31:0] sum;
  fp32_normalise #(.SIG_BITS(16)) normalise (
      .significand(taken[15:0]), .exponent(taken[24:16]), .addend_exponent(exponent),
      .addend_significand(significand));
  fp32_add add (
      .acc(acc & {32{~taken[28]}}), .negative(taken[26]), .exponent(exponent),
      .significand(significand), .is_infinite(1'b0), .is_nan(taken[25]), .sum(sum));

  logic unused;
  assign unused = absolute[16];

  element_link #(.BITS(87)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({negative_in, man_in, exp_in, bsig_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({negative_out, man_out, exp_out, bsig_out, a_out}));

  always_ff @(posedge clk) begin
    if (rst) begin
      acc_valid    <= 1'b0;
      acc          <= '0;
    end else if (en) begin
      acc_valid    <= taken[29] & taken[27];
      if (taken[29]) acc <= sum;
    end
  end
endmodule
