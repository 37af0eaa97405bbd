// Which implementation of a kernel runs, found out at run time. All give the same bits.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace systole::quant {

enum class Path : std::uint8_t {
  reference,    ///< the scalar definition
  avx2,         ///< AVX2 and FMA
  avx512_vnni,  ///< AVX-512 F, BW, VL and VNNI
  avx512_vbmi,  ///< also VBMI: elements of at most 64 values are stored in 6 bits, not 8
};

std::string_view name_of(Path path);

/// What this CPU can run, slowest first; always begins with Path::reference.
std::vector<Path> available_paths();
bool is_available(Path path);
Path best_path();

}  // namespace systole::quant
