// acc + addend in IEEE binary32, one rounding, to nearest, ties to even. Combinational.
//
// The addend is unpacked: (-1)^negative significand 2^(exponent - 150), exponent 1..254,
// significand of 24 bits with its leading one at bit 23, or exponent 1 where it is not (subnormal
// or zero). Subnormal results are kept, overflow gives infinity, NaN is the quiet NaN 7FC0'0000, x
// - x is +0.
module fp32_add (
    input  logic [31:0] acc,
    input  logic        negative,
    input  logic [ 7:0] exponent,
    input  logic [23:0] significand,
    input  logic        is_infinite,
    input  logic        is_nan,
    output logic [31:0] sum
);
  // The accumulator unpacked.
  logic acc_subnormal, acc_special, acc_infinite, acc_nan;
  logic [ 7:0] acc_exponent;
  logic [23:0] acc_significand;
  assign acc_subnormal   = acc[30:23] == 8'd0;
  assign acc_special     = acc[30:23] == 8'hFF;
  assign acc_infinite    = acc_special & (acc[22:0] == '0);
  assign acc_nan         = acc_special & (acc[22:0] != '0);
  assign acc_exponent    = acc[30:23] | {7'b0, acc_subnormal};
  assign acc_significand = {~acc_subnormal, acc[22:0]};

  // Larger magnitude first.
  logic addend_larger, sign, subtract;
  logic [7:0] e, distance;
  logic [23:0] greater, lesser;
  assign addend_larger = {exponent, significand} > {acc_exponent, acc_significand};
  assign e        = addend_larger ? exponent : acc_exponent;
  assign greater    = addend_larger ? significand : acc_significand;
  assign lesser   = addend_larger ? acc_significand : significand;
  assign sign     = addend_larger ? negative : acc[31];
  assign distance = addend_larger ? exponent - acc_exponent : acc_exponent - exponent;
  assign subtract = negative ^ acc[31];

  // Alignment: guard and round bit, and a sticky bit for all below.
  logic [49:0] aligned;
  logic [26:0] shifted;
  assign aligned = {lesser, 26'b0} >> (distance > 8'd26 ? 8'd26 : distance);
  // Of a distance beyond 26 only that something was there matters, and the sticky bit says it.
  assign shifted = {aligned[49:24], aligned[23:0] != '0};

  logic [27:0] raw;
  // One adder: the lesser is complemented to be subtracted, its missing one is the carry in.
  assign raw = {1'b0, greater, 3'b0} + ({1'b0, shifted} ^ {28{subtract}}) + {27'b0, subtract};

  // Normalise: right by one after a carry, else left, but not below the smallest exponent.
  logic [4:0] zeros;
  logic [4:0] left;
  logic [7:0] room;
  logic [26:0] normal;
  logic [8:0] normal_e;
  leading_zeros #(.BITS(27)) count (.value(raw[26:0]), .zeros(zeros));
  assign room = e - 8'd1;
  assign left = {3'b0, zeros} > room ? room[4:0] : zeros;
  always_comb begin
    if (raw[27]) begin
      normal   = {raw[27:2], raw[1] | raw[0]};
      normal_e = {1'b0, e} + 9'd1;
    end else begin
      normal   = raw[26:0] << left;
      normal_e = {1'b0, e} - {4'b0, left};
    end
  end

  // Round. The exponent field is 0 without a leading one; a carry out of the significand moves into
  // it.
  logic up, zero;
  logic [31:0] rounded;
  assign up = normal[2] & (normal[1] | normal[0] | normal[3]);
  assign zero = raw == '0;
  assign rounded = {normal[26] ? normal_e : 9'd0, normal[25:3]} + {31'b0, up};
  always_comb begin
    if (acc_nan | is_nan | (acc_infinite & is_infinite & subtract)) sum = 32'h7FC0_0000;
    else if (acc_infinite | is_infinite)
      sum = {acc_infinite ? acc[31] : negative, 8'hFF, 23'b0};
    else if (zero) sum = {acc[31] & negative, 31'b0};
    else if (rounded[31:23] >= 9'd255) sum = {sign, 8'hFF, 23'b0};
    else sum = {sign, rounded[30:0]};
  end
endmodule
