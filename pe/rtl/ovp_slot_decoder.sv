// One slot of a 4-bit outlier-victim pair to <e, i>: normal (int4 or signed flint4) or abfloat E2M1
// outlier. The code 1000 is 0 in every role: victim, or the outlier that is no value.
// Combinational. Source: as ovp_decoder.
module ovp_slot_decoder (
    input  logic [3:0] code,
    input  logic       flint,
    input  logic       outlier,
    output logic [2:0] e,
    output logic [3:0] i
);
  logic [2:0] normal_e;
  logic [3:0] normal_i;
  logic [3:0] magnitude;
  logic       nothing;
  flint_decoder normal (
      .code(code), .format(flint ? 2'd1 : 2'd0), .e(normal_e), .i(normal_i));
  // 0000 and 1000 are no outliers.
  assign nothing = code == 4'b1000 | (outlier & code[2:0] == 3'b000);
  assign magnitude = {2'b00, 1'b1, code[0]};
  always_comb begin
    e = outlier ? {1'b0, code[2:1]} + (flint ? 3'd3 : 3'd2) : normal_e;
    i = outlier ? (code[3] ? -magnitude : magnitude) : normal_i;
    if (nothing) begin
      e = '0;
      i = '0;
    end
  end
endmodule
