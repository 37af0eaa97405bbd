// Icarus: the cell over the vectors of `systole verify --export` ($readmemh); the group sums it
// makes are written with $writememh for `systole verify --against`.
`ifndef M
`define M 4
`define N 6
`define K 64
`define GROUP 32
`endif
module tb_vectors;
  reg signed [7:0] a_codes[0:`M*`K-1];
  reg        [7:0] w_codes[0:`N*`K-1];
  reg signed [31:0] sums[0:`M*`N*(`K/`GROUP)-1];
  reg clk = 0, clear = 0;
  reg signed [7:0] a = 0;
  reg [3:0] w = 0;
  wire signed [31:0] acc;
  mac_w4a8 dut(.clk(clk), .clear(clear), .enable(1'b1), .a(a), .w(w), .acc(acc));

  integer m, n, k;
  initial begin
    $readmemh("a_codes.hex", a_codes);
    $readmemh("w_codes.hex", w_codes);
    for (m = 0; m < `M; m = m + 1)
      for (n = 0; n < `N; n = n + 1)
        for (k = 0; k < `K; k = k + 1) begin
          a = a_codes[m*`K + k];
          w = w_codes[n*`K + k];
          clear = (k % `GROUP) == 0;
          #1 clk = 1;
          #1 clk = 0;
          if (k % `GROUP == `GROUP - 1) sums[(m*`N + n)*(`K/`GROUP) + k/`GROUP] = acc;
`ifdef FAULT
          // A planted fault, to see that the comparison finds it: one bit of one sum.
          if (m == 1 && n == 2 && k == `GROUP - 1) sums[(m*`N + n)*(`K/`GROUP)] = acc ^ 32'h8;
`endif
        end
    $writememh("dut_group_sums.hex", sums);
    $finish;
  end
endmodule
