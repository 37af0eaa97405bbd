// Number of zeros above the highest one of a vector, BITS for zero. Combinational: halves are
// tested from the widest down, a logarithmic number of multiplexers.
module leading_zeros #(
    parameter int BITS  = 24,
    parameter int COUNT = $clog2(BITS + 1)
) (
    input  logic [ BITS-1:0] value,
    output logic [COUNT-1:0] zeros
);
  localparam int WIDE = 2 ** COUNT;  // the value on top, ones below it: they end the count at BITS
  logic [WIDE-1:0] window;
  integer s;
  always_comb begin
    window = {value, {(WIDE - BITS) {1'b1}}};
    zeros  = '0;
    for (s = COUNT - 1; s >= 0; s = s - 1) begin
      if ((window >> (WIDE - (1 << s))) == '0) begin
        zeros[s] = 1'b1;
        window   = window << (1 << s);
      end
    end
  end
endmodule
