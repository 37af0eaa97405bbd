// A W4A8 multiply-accumulate cell without a multiplier: each bit of the weight gates a shifted copy
// of the activation, the top bit subtracts. One product a clock; the accumulator wraps.
module mac_w4a8 #(parameter ACC_BITS = 32) (
    input  wire                       clk,
    input  wire                       clear,  // acc = product instead of acc + product
    input  wire                       enable,
    input  wire signed [7:0]          a,
    input  wire        [3:0]          w,      // two's complement
    output reg  signed [ACC_BITS-1:0] acc
);
  wire signed [11:0] wide = {{4{a[7]}}, a};
  wire signed [11:0] product = (w[0] ? wide : 12'sd0) + (w[1] ? wide <<< 1 : 12'sd0) +
                               (w[2] ? wide <<< 2 : 12'sd0) - (w[3] ? wide <<< 3 : 12'sd0);
  wire signed [ACC_BITS-1:0] extended = {{(ACC_BITS - 12){product[11]}}, product};

  initial acc = 0;
  always @(posedge clk)
    if (enable) acc <= clear ? extended : acc + extended;
endmodule
