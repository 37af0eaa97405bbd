# cmake -D YOSYS= -D RTL= -P synthesis.cmake: every element and the array elaborate in open synthesis, without
# latches, loops or undriven nets.
if(NOT YOSYS)
  message("SKIPPED: yosys is not installed")
  return()
endif()
file(GLOB sources ${RTL}/*.sv)
list(JOIN sources " " files)
function(elaborate top parameters)
  execute_process(COMMAND ${YOSYS} -q -p
    "read_verilog -sv ${files}; ${parameters} hierarchy -check -top ${top}; proc; flatten; opt_clean; select -assert-none t:$dlatch t:$_DLATCH_P_; check -assert"
    COMMAND_ERROR_IS_FATAL ANY)
endfunction()
foreach(source IN LISTS sources)
  get_filename_component(top ${source} NAME_WE)
  if(top MATCHES "^pe_|decoder$|^bitmod_dequantiser$|^fp16_align$|^fp32_from_integer$|^lut_former$")
    elaborate(${top} "")
  endif()
endforeach()
elaborate(pe_float_mac "chparam -set FORMAT 1 pe_float_mac;")
elaborate(pe_exponent_dot
  "chparam -set LANES 8 -set INT_BITS 8 -set EXP_BITS 5 -set NARROW 8 -set ACC_BITS 72 pe_exponent_dot;")
elaborate(pe_fpma "chparam -set MIXED 1 pe_fpma;")
foreach(output_stationary 0 1)
  foreach(preload 0 1)
    foreach(design "0" "1 -set W_BITS 6 -set STATIONARY_DATA_BITS 8" "2 -set W_BITS 7 -set A_BITS 7")
      elaborate(systolic_array
        "chparam -set OUTPUT_STATIONARY ${output_stationary} -set PRELOAD ${preload} -set ACC_DEPTH 2 -set DESIGN ${design} systolic_array;")
    endforeach()
  endforeach()
endforeach()
