// The cell (under Verilator) against libsystole_golden, cycle by cycle, all operand pairs and then random
// ones, with two accumulator widths.
module tb_dpi;
  `include "systole_golden_dpi.svh"

  logic clk = 0, enable = 0;
  logic signed [7:0] a = 0;
  logic [3:0] w = 0;
  logic signed [31:0] acc32;
  logic signed [15:0] acc16;
  mac_w4a8 #(.ACC_BITS(32)) dut32(.clk, .clear(1'b0), .enable, .a, .w, .acc(acc32));
  mac_w4a8 #(.ACC_BITS(16)) dut16(.clk, .clear(1'b0), .enable, .a, .w, .acc(acc16));

  chandle golden32, golden16;
  longint unsigned expected32, expected16;
  int cycles = 0;

  task automatic one_cycle(input logic signed [7:0] next_a, input logic [3:0] next_w);
    a = next_a;
    w = next_w;
    enable = 1;
    #1 clk = 1;
    #1 clk = 0;
    if (sg_pe_step(golden32, {24'b0, next_a}, {28'b0, next_w}, expected32) != SG_OK ||
        sg_pe_step(golden16, {24'b0, next_a}, {28'b0, next_w}, expected16) != SG_OK)
      $fatal(1, "the golden model refused a step");
    cycles++;
    if (acc32 !== expected32[31:0] || acc16 !== expected16[15:0])
      $fatal(1, "cycle %0d: a %0d, w %0d: acc32 %h, expected %h; acc16 %h, expected %h", cycles,
             next_a, $signed(next_w), acc32, expected32[31:0], acc16, expected16[15:0]);
  endtask

  initial begin
    golden32 = sg_pe_create("w4a8", 32, SG_WRAP);
    golden16 = sg_pe_create("w4a8", 16, SG_WRAP);
    if (golden32 == null || golden16 == null) $fatal(1, "no golden model");
    for (int i = 0; i < 256; i++) for (int j = 0; j < 16; j++) one_cycle(i[7:0], j[3:0]);
    for (int i = 0; i < 100000; i++) one_cycle(8'($urandom), 4'($urandom));
    sg_pe_destroy(golden32);
    sg_pe_destroy(golden16);
    $display("PASS %0d cycles", cycles);
    $finish;
  end
endmodule
