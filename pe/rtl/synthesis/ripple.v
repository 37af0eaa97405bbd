// Carries one behind the other: the smallest adder, for targets that leave it the time.
(* techmap_celltype = "$lcu" *)
module _80_ripple_lcu (P, G, CI, CO);
  parameter WIDTH = 2;
  input [WIDTH-1:0] P, G;
  input CI;
  output [WIDTH-1:0] CO;
  wire [WIDTH:0] carry;
  assign carry[0] = CI;
  genvar i;
  generate
    for (i = 0; i < WIDTH; i = i + 1) begin : bits
      assign carry[i+1] = G[i] | (P[i] & carry[i]);
    end
  endgenerate
  assign CO = carry[WIDTH:1];
endmodule
