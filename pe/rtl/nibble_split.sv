// One 8-bit exponent-integer operand as two for 4-bit elements: <e, i> = <e + 4, h> + <e, l>, h the
// signed high nibble of i, l the unsigned low one. Integers of five bits hold both. Combinational.
// Source: OliVe, 8-bit operands on 4-bit elements; quant/formats/exponent_integer.hpp,
// split_nibbles.
module nibble_split (
    input  logic [4:0] e,
    input  logic [7:0] i,
    output logic [4:0] high_e,
    output logic [4:0] high_i,
    output logic [4:0] low_e,
    output logic [4:0] low_i
);
  assign high_e = e + 5'd4;
  assign high_i = {i[7], i[7:4]};
  assign low_e  = e;
  assign low_i  = {1'b0, i[3:0]};
endmodule
