// Dot unit of small floats: step = (((+0 + w0 a0) + w1 a1) + ...), each addition rounded to fp32 to
// nearest even, acc = (first ? +0 : acc) + step, one more rounding. The order of quant::unit_dot, so
// the adders are a chain, pipelined one a stage: lane l's product waits l stages. (A tree that
// aligns all products and rounds once is smaller and gives other bits; see pe_exponent_dot for
// sums that are exact.)
//
// Widths: LANES words of each operand, lane l at l * BITS; words and FORMAT as float_unpack; fp32
// sums. NaN, infinity times zero and infinity minus infinity: the quiet NaN 7FC0'0000.
// Timing: a step an edge, latency LANES + 1; operands pass on through one register.
// Source: tensor-core ratio of accelerators.md §6.0; values as pe/designs (fp16-dot, bf16-dot,
// fp8-dot).
module pe_float_dot #(
    parameter int FORMAT = 2,
    parameter int LANES  = 8,
    parameter int BITS   = FORMAT == 3 ? 4 : FORMAT == 2 ? 9 : 16
) (
    input  logic                  clk,
    input  logic                  rst,
    input  logic                  en,
    input  logic                  in_valid,
    input  logic                  in_first,
    input  logic                  in_last,
    input  logic [LANES*BITS-1:0] w_in,
    input  logic [LANES*BITS-1:0] a_in,
    output logic                  out_valid,
    output logic                  out_first,
    output logic                  out_last,
    output logic [LANES*BITS-1:0] w_out,
    output logic [LANES*BITS-1:0] a_out,
    output logic                  acc_valid,
    output logic [          31:0] acc
);
  // chain: the sums of lanes 0 ... l, registered but for the first, whose product is.
  logic [LANES*32-1:0] chain;
  logic [LANES*3-1:0] marks;  // valid, first, last; LANES edges old at the end

  genvar l, s;
  generate
    for (l = 0; l < LANES; l = l + 1) begin : gen_lane
      localparam int WAITS = l == 0 ? 1 : l;
      // Sign, infinity, NaN, exponent, significand.
      logic [34:0] product, ready;
      logic [WAITS*35-1:0] waiting;
      float_product #(.FORMAT(FORMAT)) multiply (
          .w(w_in[l*BITS+:BITS]), .a(a_in[l*BITS+:BITS]), .negative(product[34]),
          .infinite(product[33]), .nan(product[32]), .exponent(product[31:24]),
          .significand(product[23:0]));
      for (s = 0; s < WAITS; s = s + 1) begin : gen_wait
        logic [34:0] earlier;
        if (s == 0) begin : gen_new
          assign earlier = product;
        end else begin : gen_old
          assign earlier = waiting[(s-1)*35+:35];
        end
        always_ff @(posedge clk) begin
          if (rst) waiting[s*35+:35] <= '0;
          else if (en) waiting[s*35+:35] <= earlier;
        end
      end
      assign ready = waiting[(WAITS-1)*35+:35];

      logic [31:0] partial, sum;
      fp32_add add (
          .acc(partial), .negative(ready[34]), .exponent(ready[31:24]), .significand(ready[23:0]),
          .is_infinite(ready[33]), .is_nan(ready[32]), .sum(sum));
      logic [2:0] mark;
      assign marks[3*l+:3] = mark;
      if (l == 0) begin : gen_begins
        assign partial = '0;
        assign chain[31:0] = sum;
        always_ff @(posedge clk) begin
          if (rst) mark <= '0;
          else if (en) mark <= {in_valid, in_first, in_last};
        end
      end else begin : gen_continues
        logic [31:0] held;
        assign partial = chain[(l-1)*32+:32];
        assign chain[l*32+:32] = held;
        always_ff @(posedge clk) begin
          if (rst) begin
            held <= '0;
            mark <= '0;
          end else if (en) begin
            held <= sum;
            mark <= marks[3*(l-1)+:3];
          end
        end
      end
    end
  endgenerate

  // The finished step as an addend.
  logic [31:0] step, total;
  logic valid, first, last, special;
  assign step = chain[(LANES-1)*32+:32];
  assign {valid, first, last} = marks[(LANES-1)*3+:3];
  assign special = step[30:23] == 8'hFF;
  fp32_add accumulate (
      .acc(acc & {32{~first}}), .negative(step[31]),
      .exponent(step[30:23] | {7'b0, step[30:23] == '0}),
      .significand({step[30:23] != '0, step[22:0]}),
      .is_infinite(special & step[22:0] == '0), .is_nan(special & step[22:0] != '0), .sum(total));

  element_link #(.BITS(2*LANES*BITS)) link (
      .clk(clk), .rst(rst), .en(en), .in_valid(in_valid), .in_first(in_first), .in_last(in_last),
      .in_data({w_in, a_in}),
      .out_valid(out_valid), .out_first(out_first), .out_last(out_last),
      .out_data({w_out, a_out}));
  element_sum #(.BITS(32)) accumulator (
      .clk(clk), .rst(rst), .en(en), .valid(valid), .last(last), .next(total),
      .acc_valid(acc_valid), .acc(acc));
endmodule
