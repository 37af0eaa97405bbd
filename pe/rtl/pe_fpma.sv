// FPMA element: fp16 times fp16 by one integer addition of the bit patterns, fp32 sum:
// acc = (first ? +0 : acc) + fpma(w, a), one rounding to nearest even.
//
// fpma: sign by XOR; magnitude = |w| + |a| - (15 << 10) as integers, a zero or subnormal operand and
// a result below the least normal give zero, above the largest infinity. Infinite and NaN operands
// as IEEE. MIXED = 1 (AxCore): the weight is an integer of up to 8 bits or, with w_in[8], E2M1 in
// its low four bits, and is first written as fp16, exactly.
// Timing: as pe_fp16_mac: latency 2 with PRODUCT_REGISTER, else 1.
// Source: FPMA in AxCore (MICRO 2025); quant/kernels/fixed_point.hpp (fpma_multiply).
module pe_fpma #(
    parameter bit MIXED            = 1'b0,
    parameter bit PRODUCT_REGISTER = 1'b1,
    parameter int W_BITS           = MIXED ? 9 : 16
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              en,
    input  logic              in_valid,
    input  logic              in_first,
    input  logic              in_last,
    input  logic [W_BITS-1:0] w_in,
    input  logic [      15:0] a_in,
    output logic              out_valid,
    output logic              out_first,
    output logic              out_last,
    output logic [W_BITS-1:0] w_out,
    output logic [      15:0] a_out,
    output logic              acc_valid,
    output logic [      31:0] acc
);
  logic [15:0] w;
  generate
    if (MIXED) begin : gen_mixed
      fp16_from_code convert (.code(w_in[7:0]), .is_e2m1(w_in[8]), .bits(w));
    end else begin : gen_fp16
      assign w = w_in;
    end
  endgenerate

  // IEEE for what is not finite; a subnormal times infinity is infinite.
  logic w_special, a_special, infinite, nan, is_zero;
  assign w_special = &w[14:10];
  assign a_special = &a_in[14:10];
  assign nan = (w_special & (w[9:0] != '0 | a_in[14:0] == '0)) |
      (a_special & (a_in[9:0] != '0 | w[14:0] == '0));
  assign is_zero = w[14:10] == '0 | a_in[14:10] == '0;

  // Sum of the patterns without the bias, two's complement.
  logic [16:0] magnitude;
  logic too_small;
  assign magnitude = {2'b0, w[14:0]} + {2'b0, a_in[14:0]} - 17'd15360;
  assign too_small = magnitude[16] | magnitude[15:10] == '0;
  assign infinite = w_special | a_special | (~is_zero & ~magnitude[16] & magnitude[15:10] >= 6'd31);

  // As an addend: fp16's exponent 1..30 is fp32's 113..142.
  logic nothing;
  logic [7:0] exponent;
  logic [23:0] significand;
  assign nothing = is_zero | too_small;
  assign exponent = nothing ? 8'd1 : {3'b0, magnitude[14:10]} + 8'd112;
  assign significand = {~nothing, magnitude[9:0] & {10{~nothing}}, 13'b0};

  fp32_accumulator #(.PRODUCT_REGISTER(PRODUCT_REGISTER)) accumulator (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .negative(w[15] ^ a_in[15]), .infinite(infinite), .nan(nan), .exponent(exponent),
      .significand(significand), .acc_valid(acc_valid), .acc(acc));

  element_link #(.BITS(W_BITS + 16)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, a_out}));
endmodule
