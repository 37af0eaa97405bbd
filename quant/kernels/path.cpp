// Run-time detection of instruction sets.
#include "quant/kernels/path.hpp"

namespace systole::quant {

std::string_view name_of(Path path) {
  switch (path) {
    case Path::reference:
      return "reference";
    case Path::avx2:
      return "avx2";
    case Path::avx512_vnni:
      return "avx512_vnni";
    case Path::avx512_vbmi:
      return "avx512_vbmi";
  }
  return "unknown";
}

bool is_available(Path path) {
  if (path == Path::reference) return true;
#if defined(__x86_64__)
  if (path == Path::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (path == Path::avx512_vnni) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  }
  if (path == Path::avx512_vbmi) {
    return is_available(Path::avx512_vnni) && __builtin_cpu_supports("avx512vbmi");
  }
#endif
  return false;
}

std::vector<Path> available_paths() {
  std::vector<Path> paths;
  for (const Path path : {Path::reference, Path::avx2, Path::avx512_vnni, Path::avx512_vbmi}) {
    if (is_available(path)) paths.push_back(path);
  }
  return paths;
}

Path best_path() { return available_paths().back(); }

}  // namespace systole::quant
