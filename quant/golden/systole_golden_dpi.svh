// DPI-C view of libsystole_golden: call any processing element's contract cycle by cycle from a
// SystemVerilog testbench. The meaning of everything is in systole_golden.h. `include this inside a
// module or package and link libsystole_golden.so.
`ifndef SYSTOLE_GOLDEN_DPI_SVH
`define SYSTOLE_GOLDEN_DPI_SVH

localparam int SG_OK = 0;
localparam int SG_WRAP = 0, SG_SATURATE = 1, SG_ERROR = 2;

import "DPI-C" function chandle sg_pe_create(input string kernel, input int unsigned acc_bits,
                                             input int overflow);
import "DPI-C" function void sg_pe_destroy(input chandle pe);
import "DPI-C" function void sg_pe_reset(input chandle pe);
import "DPI-C" function int sg_pe_step(input chandle pe, input int unsigned a, input int unsigned w,
                                       output longint unsigned acc);

// fp32 numbers travel as their bits: not every simulator has shortreal.
import "DPI-C" function int sg_encode_bits(input string format, input int unsigned value,
                                           output int unsigned code);
import "DPI-C" function int sg_decode_bits(input string format, input int unsigned code,
                                           output int unsigned value);
import "DPI-C" function int sg_dequantise_group_bits(inout int unsigned acc, input int sum,
                                                     input int unsigned scale);
import "DPI-C" function int sg_mac(inout longint acc, input int a, input int w,
                                   input int unsigned acc_bits, input int overflow);
import "DPI-C" function int sg_shift_add_product(input int a, input int unsigned code,
                                                 input int unsigned bits, input int is_signed,
                                                 output int product);

`endif
