// BitBrick: 2-bit x 2-bit product, either slice signed (the top one of a two's complement operand)
// or unsigned: a 3 x 3-bit signed multiplier, -6..9, by rows. Combinational.
// Source: Bit Fusion (ISCA 2018).
module bitbrick (
    input  logic [1:0] w,
    input  logic       w_signed,
    input  logic [1:0] a,
    input  logic       a_signed,
    output logic [4:0] product
);
  logic [2:0] a3;
  logic       subtract;
  logic [4:0] row0, row1;
  assign a3 = {a_signed & a[1], a};
  // w = w0 + 2 w1, or w0 - 2 w1 where the slice is signed.
  assign subtract = w_signed & w[1];
  assign row0 = {{2{a3[2]}}, a3} & {5{w[0]}};
  assign row1 = ({a3[2], a3, 1'b0} & {5{w[1]}}) ^ {5{subtract}};
  assign product = row0 + row1 + {4'b0, subtract};
endmodule
