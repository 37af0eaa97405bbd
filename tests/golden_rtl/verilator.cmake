# cmake -D VERILATOR= -D SOURCE= -D WORK= -D INCLUDE= -D LIBRARY= -P verilator.cmake
if(NOT VERILATOR)
  message("SKIPPED: verilator is not installed")
  return()
endif()
get_filename_component(folder ${LIBRARY} DIRECTORY)
execute_process(COMMAND ${VERILATOR} --binary --timing -Wno-fatal -Wno-WIDTH -I${INCLUDE} --Mdir ${WORK}
  --top-module tb_dpi ${SOURCE}/tb_dpi.sv ${SOURCE}/mac_w4a8.v
  -LDFLAGS "${LIBRARY} -Wl,-rpath,${folder}" -o tb_dpi COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
execute_process(COMMAND ${WORK}/tb_dpi OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
message("${output}")
if(NOT output MATCHES "PASS 104096 cycles")
  message(FATAL_ERROR "the testbench did not pass")
endif()
