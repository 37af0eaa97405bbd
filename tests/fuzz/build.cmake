# Configures and builds the fuzz targets with clang: cmake -D SOURCE= -D BUILD= -D CLANG= -D CLANGXX= -P build.cmake
execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${BUILD} -G Ninja -DSYSTOLE_FUZZ=ON
  -DCMAKE_C_COMPILER=${CLANG} -DCMAKE_CXX_COMPILER=${CLANGXX} -DCMAKE_BUILD_TYPE=RelWithDebInfo
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${BUILD} --target fuzz_targets
  COMMAND_ERROR_IS_FATAL ANY)
