// One byte of an MX operand to the wide lane <e, i> and the narrow lane n of pe_exponent_dot.
// Combinational; one at each wide lane of the array's edge.
//
// format 0: two E2M1 codes, the low one to the wide lane, the high one to the narrow lane, in halves.
// 1: E2M3 in eighths; 2: E3M2 in sixteenths; 3: E4M3; 4: E5M2, in units of the least subnormal. 5:
// INT8. Codes of 6 bits in the low ones.
// Source: OCP MX 1.0; quant/formats/elements.hpp, minifloat.hpp.
module mx_decoder (
    input  logic [7:0] code,
    input  logic [2:0] format,
    output logic [4:0] e,
    output logic [7:0] i,
    output logic [4:0] n
);
  logic [4:0] low, high;
  e2m1_decoder low_code (.code(code[3:0]), .i(low));
  e2m1_decoder high_code (.code(code[7:4]), .i(high));
  logic [1:0] e2m3_e;
  logic [2:0] e3m2_e;
  logic [3:0] e4m3_e;
  logic [4:0] e5m2_e;
  logic [4:0] e2m3_i, e4m3_i;
  logic [3:0] e3m2_i, e5m2_i;
  minifloat_decoder #(.E_BITS(2), .M_BITS(3)) e2m3 (.code(code[5:0]), .e(e2m3_e), .i(e2m3_i));
  minifloat_decoder #(.E_BITS(3), .M_BITS(2)) e3m2 (.code(code[5:0]), .e(e3m2_e), .i(e3m2_i));
  minifloat_decoder #(.E_BITS(4), .M_BITS(3)) e4m3 (.code(code), .e(e4m3_e), .i(e4m3_i));
  minifloat_decoder #(.E_BITS(5), .M_BITS(2)) e5m2 (.code(code), .e(e5m2_e), .i(e5m2_i));
  always_comb begin
    e = '0;
    case (format)
      3'd0: i = {{3{low[4]}}, low};
      3'd1: begin
        e = {3'b0, e2m3_e};
        i = {{3{e2m3_i[4]}}, e2m3_i};
      end
      3'd2: begin
        e = {2'b0, e3m2_e};
        i = {{4{e3m2_i[3]}}, e3m2_i};
      end
      3'd3: begin
        e = {1'b0, e4m3_e};
        i = {{3{e4m3_i[4]}}, e4m3_i};
      end
      3'd4: begin
        e = e5m2_e;
        i = {{4{e5m2_i[3]}}, e5m2_i};
      end
      default: i = code;
    endcase
  end
  assign n = format == 3'd0 ? high : '0;
endmodule
