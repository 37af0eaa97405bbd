// ANT decoder: one 4-bit code to an exponent-integer operand <e, i>. Combinational; one at each
// edge lane of an array.
//
// format 0: int4, <0, i>. 1: flint4 with sign (sign and 3-bit flint: 0 1 2 3 | 4 6 | 8 | 16). 2:
// flint4 without (0..7 | 8 10 12 14 | 16 24 | 32 | 64). 3: power of two with sign, magnitude c > 0
// is <c - 1, 1>. The code 1000 of the two signed ones (-0) is <0, 0>.
// Flint of n bits: top bit 0: <0, low>; else <2 LZ + 1, low>, LZ the leading zeros of the n - 1 low
// bits; 10...0: <2 (n - 1), 1>.
// Not here: uint4 (its integer takes five bits) and the unsigned power of two (exponents to 14).
// Source: ANT (MICRO 2022); quant/formats/flint.hpp, flint_operand and ant_operand.
module flint_decoder (
    input  logic [3:0] code,
    input  logic [1:0] format,
    output logic [2:0] e,
    output logic [3:0] i
);
  logic [2:0] magnitude;
  logic       minus;
  always_comb begin
    e = 3'd0;
    magnitude = code[2:0];
    minus = 1'b0;
    case (format)
      2'd1: begin
        minus = code[3];
        casez (code[2:0])
          3'b0??: e = 3'd0;
          3'b11?: begin
            e = 3'd1;
            magnitude = {1'b0, code[1:0]};
          end
          3'b101: begin
            e = 3'd3;
            magnitude = 3'd1;
          end
          default: begin
            e = 3'd4;
            magnitude = 3'd1;
          end
        endcase
      end
      2'd2: begin
        casez (code)
          4'b0???: e = 3'd0;
          4'b11??: e = 3'd1;
          4'b101?: e = 3'd3;
          4'b1001: e = 3'd5;
          default: begin
            e = 3'd6;
            magnitude = 3'd1;
          end
        endcase
      end
      2'd3: begin
        minus = code[3];
        if (code[2:0] != 3'd0) begin
          e = code[2:0] - 3'd1;
          magnitude = 3'd1;
        end
      end
      default: ;
    endcase
    if (format == 2'd0) i = code;
    else i = minus ? -{1'b0, magnitude} : {1'b0, magnitude};
  end
endmodule
