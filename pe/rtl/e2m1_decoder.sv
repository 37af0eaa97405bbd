// An E2M1 code in halves: 0, 1, 2, 3, 4, 6, 8, 12 with its sign. Combinational.
// Source: OCP MX 1.0, NVFP4; quant/formats/elements.hpp.
module e2m1_decoder (
    input  logic [3:0] code,
    output logic [4:0] i
);
  logic [1:0] e;
  logic [2:0] significand;
  minifloat_decoder #(.E_BITS(2), .M_BITS(1)) fields (.code(code), .e(e), .i(significand));
  assign i = {{2{significand[2]}}, significand} << e;
endmodule
