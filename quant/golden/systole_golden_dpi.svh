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

import "DPI-C" function int sg_encode(input string format, input shortreal value,
                                      output int unsigned code);
import "DPI-C" function int sg_decode(input string format, input int unsigned code,
                                      output shortreal value);
import "DPI-C" function int sg_mac(inout longint acc, input int a, input int w,
                                   input int unsigned acc_bits, input int overflow);
import "DPI-C" function int sg_shift_add_product(input int a, input int unsigned code,
                                                 input int unsigned bits, input int is_signed,
                                                 output int product);
import "DPI-C" function int sg_dequantise_group(inout shortreal acc, input int sum,
                                                input shortreal scale);

`endif
