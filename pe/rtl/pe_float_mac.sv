// Multiply-accumulate element of small floats: acc = (first ? +0 : acc) + w * a, the product exact
// (bf16: in fp32's range, else rounded), one rounding to nearest even in the fp32 sum.
//
// Widths: words and FORMAT as float_unpack: 1 bf16, 2 fp8 with a bit that says E5M2, 3 E2M1 (0 is
// pe_fp16_mac). NaN, infinity times zero and infinity minus infinity: the quiet NaN 7FC0'0000.
// Timing: as pe_fp16_mac: latency 2 with PRODUCT_REGISTER, else 1.
// Source: the common float baselines; values as pe/designs (bf16-mac, fp8-mac, fp4-mac).
module pe_float_mac #(
    parameter int FORMAT           = 2,
    parameter bit PRODUCT_REGISTER = 1'b1,
    parameter int BITS             = FORMAT == 3 ? 4 : FORMAT == 2 ? 9 : 16
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            en,
    input  logic            in_valid,
    input  logic            in_first,
    input  logic            in_last,
    input  logic [BITS-1:0] w_in,
    input  logic [BITS-1:0] a_in,
    output logic            out_valid,
    output logic            out_first,
    output logic            out_last,
    output logic [BITS-1:0] w_out,
    output logic [BITS-1:0] a_out,
    output logic            acc_valid,
    output logic [    31:0] acc
);
  logic negative, infinite, nan;
  logic [7:0] exponent;
  logic [23:0] significand;
  float_product #(.FORMAT(FORMAT)) multiply (
      .w(w_in), .a(a_in), .negative(negative), .infinite(infinite), .nan(nan), .exponent(exponent),
      .significand(significand));
  fp32_accumulator #(.PRODUCT_REGISTER(PRODUCT_REGISTER)) accumulator (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .negative(negative), .infinite(infinite), .nan(nan), .exponent(exponent),
      .significand(significand), .acc_valid(acc_valid), .acc(acc));

  element_link #(.BITS(2*BITS)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, a_out}));
endmodule
