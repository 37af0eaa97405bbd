# cmake -D IVERILOG= -D VVP= -D SOURCE= -D WORK= -D SYSTOLE= -P icarus.cmake
if(NOT IVERILOG OR NOT VVP)
  message("SKIPPED: iverilog is not installed")
  return()
endif()
file(MAKE_DIRECTORY ${WORK})
execute_process(COMMAND ${SYSTOLE} verify --export ${WORK} --kernel gemm_w4a8 --shape 4x6x64 --seed 11 --quiet
  COMMAND_ERROR_IS_FATAL ANY)
# run(<exit code that verify --against must have> <iverilog options ...>)
function(run expected)
  execute_process(COMMAND ${IVERILOG} -g2005 ${ARGN} -o ${WORK}/tb ${SOURCE}/tb_vectors.v ${SOURCE}/mac_w4a8.v
    COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${VVP} -n ${WORK}/tb WORKING_DIRECTORY ${WORK} COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${SYSTOLE} verify --against ${WORK}/dut_group_sums.hex
    RESULT_VARIABLE code OUTPUT_VARIABLE output)
  message("${output}")
  if(NOT code EQUAL ${expected})
    message(FATAL_ERROR "verify --against gave ${code}, expected ${expected}")
  endif()
endfunction()
run(0)
run(1 -DFAULT)
