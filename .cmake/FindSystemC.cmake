# Finds SystemC and makes it link under C++20. Provides SystemC::systemc.
#
# Debian's library exports one version-check symbol, that of C++17, so a C++20 program that includes
# <systemc> as it is fails to link ("undefined reference to sc_api_version_..._cxx202002L"). The header
# takes that number from SC_CPLUSPLUS (default: __cplusplus); inside the headers its only effect above
# C++14 is to choose std::string_view. We therefore try the native value first and then the older
# standards, and put the first that links on the interface target, for every file alike (one-definition
# rule).
include(CheckCXXSourceCompiles)
include(FindPackageHandleStandardArgs)

find_package(SystemCLanguage CONFIG QUIET)  # source builds and other distributions
if(TARGET SystemC::systemc)
  set(_systemc_target SystemC::systemc)
else()
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(SYSTEMC QUIET IMPORTED_TARGET systemc)
  endif()
  if(TARGET PkgConfig::SYSTEMC)
    set(_systemc_target PkgConfig::SYSTEMC)
  endif()
endif()

if(_systemc_target)
  set(_saved_libraries "${CMAKE_REQUIRED_LIBRARIES}")
  set(_saved_definitions "${CMAKE_REQUIRED_DEFINITIONS}")
  set(_saved_flags "${CMAKE_REQUIRED_FLAGS}")
  set(CMAKE_REQUIRED_LIBRARIES ${_systemc_target})
  set(CMAKE_REQUIRED_FLAGS "${CMAKE_CXX20_STANDARD_COMPILE_OPTION}")
  foreach(_standard native 202302L 202002L 201703L 201402L 201103L)
    set(CMAKE_REQUIRED_DEFINITIONS "")
    if(NOT _standard STREQUAL native)
      set(CMAKE_REQUIRED_DEFINITIONS "-DSC_CPLUSPLUS=${_standard}")
    endif()
    check_cxx_source_compiles("#include <systemc>
      int sc_main(int, char*[]) { return 0; }" SYSTEMC_LINKS_${_standard})
    if(SYSTEMC_LINKS_${_standard})
      set(SystemC_CPLUSPLUS ${_standard})
      break()
    endif()
  endforeach()
  set(CMAKE_REQUIRED_LIBRARIES "${_saved_libraries}")
  set(CMAKE_REQUIRED_DEFINITIONS "${_saved_definitions}")
  set(CMAKE_REQUIRED_FLAGS "${_saved_flags}")
endif()

find_package_handle_standard_args(SystemC REQUIRED_VARS SystemC_CPLUSPLUS
  REASON_FAILURE_MESSAGE "install libsystemc-dev (Debian) or set SystemCLanguage_DIR")

if(SystemC_FOUND AND NOT TARGET systole_systemc)
  add_library(systole_systemc INTERFACE)
  target_link_libraries(systole_systemc INTERFACE ${_systemc_target})
  if(NOT SystemC_CPLUSPLUS STREQUAL native)
    target_compile_definitions(systole_systemc INTERFACE SC_CPLUSPLUS=${SystemC_CPLUSPLUS})
  endif()
endif()
