// One element of systolic_array: the multiply-accumulate of a design between the registers of a
// dataflow.
//
// Weight stationary: two registers a row in the weight chain (holding and link register, so that
// row r can load while row r + 1 still uses its own), an active register that takes the held weight
// with the mark `first` of the moving stream, a partial sum register to the row below. Output
// stationary: the sum stays; preload copies it with `last` into a holding register that drains down
// the column, serial puts it out once on the element's own result bus.
// Link widths: moving {valid, live, first, last, word}; stationary {valid, live, word}; sum {valid,
// last, word}. A word that is not live is padding: the sum passes by the multiplier.
// DESIGN 0: pe_int_mac's arithmetic, stationary word W_BITS, moving A_BITS. 1: MixPE, stationary
// {w_high, w_signed, nibble}, moving A_BITS. 2: exponent-integer (OliVe, ANT), both words {e (3), i
// (4)}. Source: the clocked arrays of pe/array_core.hpp, register for register.
module systolic_cell #(
    parameter int DESIGN            = 0,
    parameter bit OUTPUT_STATIONARY = 1'b0,
    parameter bit PRELOAD           = 1'b0,
    parameter int W_BITS            = 8,
    parameter int A_BITS            = 8,
    parameter int ACC_BITS          = 32
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic [  A_BITS+3:0] moving_in,
    input  logic [  W_BITS+1:0] stationary_in,
    input  logic [ACC_BITS+1:0] sum_in,
    output logic [  A_BITS+3:0] moving_out,
    output logic [  W_BITS+1:0] stationary_out,
    output logic [ACC_BITS+1:0] sum_out
);
  logic valid, live, first, last;
  logic [A_BITS-1:0] a;
  assign {valid, live, first, last, a} = moving_in;

  // The multiply-accumulate, its operands chosen below.
  logic [ACC_BITS-1:0] base, product_sum, total;
  logic [W_BITS-1:0] w;
  logic w_live;
  generate
    if (DESIGN == 0) begin : gen_int
      mac_int #(.W_BITS(W_BITS), .A_BITS(A_BITS), .ACC_BITS(ACC_BITS)) mac (
          .acc_in(base), .w(w), .a(a), .acc_out(product_sum));
    end else if (DESIGN == 1) begin : gen_mixpe
      mac_mixpe #(.A_BITS(A_BITS), .ACC_BITS(ACC_BITS)) mac (
          .acc_in(base), .w(w[3:0]), .w_signed(w[4]), .w_high(w[5]), .a(a), .acc_out(product_sum));
    end else begin : gen_exponent_integer
      mac_exponent_integer #(.INT_BITS(4), .EXP_BITS(3), .ACC_BITS(ACC_BITS)) mac (
          .acc_in(base), .we(w[6:4]), .wi(w[3:0]), .ae(a[6:4]), .ai(a[3:0]), .acc_out(product_sum));
    end
  endgenerate
  assign total = live & w_live ? product_sum : base;

  generate
    if (!OUTPUT_STATIONARY) begin : gen_weight_stationary
      logic [W_BITS:0] held, active;  // live, word
      logic unused;
      assign unused = ^{sum_in[ACC_BITS+1:ACC_BITS]};
      assign {w_live, w} = first ? held : active;
      assign base = sum_in[ACC_BITS-1:0];
      always_ff @(posedge clk) begin
        if (rst) begin
          held           <= '0;
          active         <= '0;
          moving_out     <= '0;
          stationary_out <= '0;
          sum_out        <= '0;
        end else if (en) begin
          moving_out <= moving_in;
          sum_out    <= {valid, last, total};
          if (valid & first) active <= held;
          stationary_out <= {stationary_in[W_BITS+1], held};
          if (stationary_in[W_BITS+1]) held <= stationary_in[W_BITS:0];
        end
      end
    end else begin : gen_output_stationary
      logic [ACC_BITS-1:0] sum;
      logic unused;
      assign unused = stationary_in[W_BITS+1];
      assign {w_live, w} = stationary_in[W_BITS:0];
      assign base = sum & {ACC_BITS{~first}};
      if (PRELOAD) begin : gen_drained
        logic [ACC_BITS-1:0] held;
        always_ff @(posedge clk) begin
          if (rst) begin
            held    <= '0;
            sum_out <= '0;
          end else if (en) begin
            sum_out <= {sum_in[ACC_BITS+1], sum_in[ACC_BITS], held};
            if (valid & last) held <= total;
            else if (sum_in[ACC_BITS+1]) held <= sum_in[ACC_BITS-1:0];
          end
        end
      end else begin : gen_read_in_place
        logic unused_sum;
        assign unused_sum = ^sum_in;
        logic finished;
        assign sum_out = {finished, finished, sum};
        always_ff @(posedge clk) begin
          if (rst) finished <= 1'b0;
          else if (en) finished <= valid & last;
        end
      end
      always_ff @(posedge clk) begin
        if (rst) begin
          sum            <= '0;
          moving_out     <= '0;
          stationary_out <= '0;
        end else if (en) begin
          moving_out     <= moving_in;
          stationary_out <= stationary_in;
          if (valid) sum <= total;
        end
      end
    end
  endgenerate
endmodule
