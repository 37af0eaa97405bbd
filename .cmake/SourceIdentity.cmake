# Writes a C++ file with a digest over source files: cmake -DROOT=... -DLIST=... -DOUT=... -P this.
# The digest is over the names and contents of the files below ROOT that LIST names, a line each: it
# is the same on every machine, by every compiler, wherever the sources lie.
file(STRINGS "${LIST}" files)
list(SORT files COMPARE STRING)
set(all "")
foreach(file IN LISTS files)
  file(SHA256 "${ROOT}/${file}" digest)
  string(APPEND all "${file} ${digest}\n")
endforeach()
string(SHA256 identity "${all}")
file(CONFIGURE OUTPUT "${OUT}" CONTENT [[// Written by the build: see .cmake/SourceIdentity.cmake.
#include "sim/sweep/identity.hpp"

namespace systole::sweep {

std::string_view figures_identity() { return "@identity@"; }

}  // namespace systole::sweep
]] @ONLY)
