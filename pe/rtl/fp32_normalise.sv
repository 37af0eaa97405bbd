// An exact product of SIG_BITS bits to the addend of fp32_add: the significand's leading one moves
// to bit 23, its exponent follows. Combinational.
//
// value = significand * 2^(exponent - 150), so exponent is that of the lowest bit, biased as fp32.
// It must be such that the result is a normal number (exponent + leading one >= 24), which every
// product of fp16 numbers and small integers is. Zero gives a zero significand.
module fp32_normalise #(
    parameter int SIG_BITS = 22  // at most 24
) (
    input  logic [SIG_BITS-1:0] significand,
    input  logic [         8:0] exponent,
    output logic [         7:0] addend_exponent,
    output logic [        23:0] addend_significand
);
  localparam int COUNT = $clog2(SIG_BITS + 1);
  logic [COUNT-1:0] zeros;
  logic [23:0] top;
  logic [8:0] placed;
  leading_zeros #(.BITS(SIG_BITS)) count (.value(significand), .zeros(zeros));
  generate
    if (SIG_BITS < 24) begin : gen_narrow
      assign top = {significand, {(24 - SIG_BITS) {1'b0}}};
    end else begin : gen_full
      assign top = significand;
    end
  endgenerate
  assign addend_significand = top << zeros;
  // The field's lowest bit lies 24 - SIG_BITS + zeros below that of the product.
  localparam logic [8:0] WIDENED = 9'(24 - SIG_BITS);
  assign placed = exponent - WIDENED - {{(9 - COUNT) {1'b0}}, zeros};
  assign addend_exponent = significand == '0 ? 8'd1 : placed[7:0];
  logic unused;
  assign unused = placed[8];
endmodule
