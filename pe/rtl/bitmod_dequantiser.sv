// BitMoD's bit-serial dequantisation: a group's fp32 sum times an unsigned 8-bit scale, one bit of
// the scale a cycle, exact (32 bits), then one rounding to nearest even. The bits of acc *
// float(scale).
//
// Timing: `start` takes sum and scale at an enabled edge; eight enabled edges later result_valid is
// high for one, with the result (combinational rounding behind the product register). A start
// before that begins anew. Hidden behind the next group, which takes at least 64 cycles at groups
// of 128. Source: BitMoD (HPCA 2025, arXiv 2411.11745); quant/kernels/bitmod_dot.hpp,
// bitmod_dequantise.
module bitmod_dequantiser (
    input  logic        clk,
    input  logic        rst,
    input  logic        en,
    input  logic        start,
    input  logic [31:0] sum,
    input  logic [ 7:0] scale,
    output logic        result_valid,
    output logic [31:0] result
);
  logic negative, infinite, nan, running;
  logic [ 7:0] exponent;
  logic [23:0] significand;
  logic [ 7:0] bits_left;
  logic [ 2:0] step;
  logic [31:0] product;

  always_ff @(posedge clk) begin
    if (rst) begin
      negative     <= 1'b0;
      infinite     <= 1'b0;
      nan          <= 1'b0;
      running      <= 1'b0;
      result_valid <= 1'b0;
      exponent     <= '0;
      significand  <= '0;
      bits_left    <= '0;
      step         <= '0;
      product      <= '0;
    end else if (en) begin
      result_valid <= running & step == 3'd7 & ~start;
      if (start) begin
        negative    <= sum[31];
        infinite    <= sum[30:23] == 8'hFF & sum[22:0] == '0;
        nan         <= sum[30:23] == 8'hFF & (sum[22:0] != '0 | scale == '0);
        exponent    <= sum[30:23] | {7'b0, sum[30:23] == 8'd0};
        significand <= {sum[30:23] != 8'd0, sum[22:0]};
        bits_left   <= scale;
        step        <= '0;
        product     <= '0;
        running     <= 1'b1;
      end else if (running) begin
        product   <= {product[30:0], 1'b0} + {8'b0, significand & {24{bits_left[7]}}};
        bits_left <= {bits_left[6:0], 1'b0};
        step      <= step + 3'd1;
        if (step == 3'd7) running <= 1'b0;
      end
    end
  end

  // The top 24 of the 32 bits count 2^(exponent + 8 - 150) each, less what the normalisation
  // shifts.
  logic [5:0] zeros;
  logic [8:0] room, shift, top_exponent;
  logic [31:0] normal, rounded;
  logic up;
  leading_zeros #(.BITS(32)) count (.value(product), .zeros(zeros));
  assign room = {1'b0, exponent} + 9'd7;
  assign shift = {3'b0, zeros} > room ? room : {3'b0, zeros};
  assign normal = product << shift[5:0];
  assign top_exponent = normal[31] ? {1'b0, exponent} + 9'd8 - shift : 9'd0;
  assign up = normal[7] & (normal[6:0] != '0 | normal[8]);
  assign rounded = {top_exponent, normal[30:8]} + {31'b0, up};
  always_comb begin
    if (nan) result = 32'h7FC0_0000;
    else if (infinite | rounded[31:23] >= 9'd255) result = {negative, 8'hFF, 23'b0};
    else result = {negative, rounded[30:0]};
  end
endmodule
