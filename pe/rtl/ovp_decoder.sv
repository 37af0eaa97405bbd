// Outlier-victim pair decoder, 4 bit: one byte to two exponent-integer operands <e, i>.
// Combinational; one at each edge lane of an array. The left slot is the low nibble.
//
// A slot 1000 is the identifier: its neighbour is an abfloat E2M1 (bias 2 for int4 pairs, 3 for
// flint4) and the slot itself, the victim, is 0. Two identifiers decode to 0, 0. Normal values:
// int4 <0, i>, or flint4 (sign and 3-bit flint: 0 1 2 3 | 4 6 | 8 | 16).
// Source: OliVe (ISCA 2023, arXiv 2304.07493); quant/formats/ovp.hpp, ovp_decode_pair.
module ovp_decoder (
    input  logic [7:0] pair,
    input  logic       flint,
    output logic [2:0] left_e,
    output logic [3:0] left_i,
    output logic [2:0] right_e,
    output logic [3:0] right_i
);
  localparam logic [3:0] IDENTIFIER = 4'b1000;
  logic left_is_mark, right_is_mark;
  assign left_is_mark  = pair[3:0] == IDENTIFIER;
  assign right_is_mark = pair[7:4] == IDENTIFIER;

  // Of two identifiers the right one counts: the left is then the outlier 1000, which is no value.
  ovp_slot_decoder left (
      .code(pair[3:0]), .flint(flint), .outlier(right_is_mark), .e(left_e), .i(left_i));
  ovp_slot_decoder right (
      .code(pair[7:4]), .flint(flint), .outlier(left_is_mark), .e(right_e), .i(right_i));
endmodule
