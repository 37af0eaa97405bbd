// The libraries we measure ourselves against, opened at run time when they are installed: nothing
// of Systole links them. Each is checked on a small product with a known result before it is
// believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace systole::bench {

/// A product ready to run: `run()` computes it once on the threads it was made for.
struct PeerProduct {
  std::string name;           ///< library and version; with why, when there is no `run`
  std::function<void()> run;  ///< empty: not installed, or its result is wrong
};

/// oneDNN 2.x: u8 [m, k] times s8 [k, n], s32 out, weights packed in the layout it prefers.
PeerProduct onednn_u8s8s32(std::size_t m, std::size_t n, std::size_t k, unsigned threads);

/// OpenBLAS: fp32 [m, k] times [n, k] transposed. On a CPU with AVX-512 the core type SkylakeX is
/// asked for unless OPENBLAS_CORETYPE is set, as older releases take some for a Prescott; the core
/// it runs as is in the name.
PeerProduct openblas_sgemm(std::size_t m, std::size_t n, std::size_t k, unsigned threads);

}  // namespace systole::bench
