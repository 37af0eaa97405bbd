// The table of `systole bench kernels`: rates of the fast kernels beside the ceiling of this CPU or
// its memory and beside other libraries, all met in the same interleaved rounds.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace systole::bench {

struct KernelRow {
  std::string kernel;
  std::size_t m, n, k;
  unsigned threads;
  double gops;        ///< 2 a multiply-accumulate, per second, all threads together
  double peak_gops;   ///< the bound measured in the same rounds; see `bound`
  std::string bound;  ///< "int8 dot", "fp32 fma", or "memory": bytes of weights over bandwidth
  std::string peer;   ///< "-" where there is none
  std::optional<double> peer_gops;

  double share() const { return peak_gops > 0 ? gops / peak_gops : 0.0; }
  std::optional<double> ratio() const {
    return peer_gops ? std::optional(gops / *peer_gops) : std::nullopt;
  }
};

struct KernelBenchOptions {
  bool quick = false;                          ///< fewer rounds and smaller matrices
  unsigned threads = 2;                        ///< besides one
  std::function<void(const KernelRow&)> each;  ///< called as rows come
};

/// Medians over the rounds: CPU time of one thread, wall time of several.
std::vector<KernelRow> run_kernel_bench(const KernelBenchOptions& options);

}  // namespace systole::bench
