#include "sim/analytic/scale_sim.hpp"

#include "sim/core/error.hpp"

namespace systole::analytic {
namespace {

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

}  // namespace

GemmSize gemm_of(const configs::ScaleSimLayer& layer) {
  if (!layer.gemm.empty()) return {layer.gemm[0], layer.gemm[1], layer.gemm[2]};
  SYSTOLE_CHECK(layer.conv.size() == 7, "the paper was not validated");
  const auto pixels = [&](std::uint64_t image, std::uint64_t kernel) {
    return ceil_div(image - kernel + layer.conv[6], layer.conv[6]);
  };
  return {pixels(layer.conv[0], layer.conv[2]) * pixels(layer.conv[1], layer.conv[3]),
          layer.conv[5], std::uint64_t{layer.conv[2]} * layer.conv[3] * layer.conv[4]};
}

std::uint64_t scale_sim_cycles(const configs::ScaleSimMachine& machine, const GemmSize& gemm) {
  const std::uint64_t rows = machine.rows, cols = machine.cols;
  switch (machine.dataflow) {
    case configs::PaperDataflow::os:
      return ceil_div(gemm.m, rows) * ceil_div(gemm.n, cols) * (gemm.k + rows + cols - 2) - 1;
    case configs::PaperDataflow::ws:
      return ceil_div(gemm.k, rows) * ceil_div(gemm.n, cols) * (gemm.m + 2 * rows + cols - 2) - 1;
    case configs::PaperDataflow::is:
      return ceil_div(gemm.k, rows) * ceil_div(gemm.m, cols) * (gemm.n + 2 * rows + cols - 2) - 1;
  }
  SYSTOLE_CHECK(false, "a dataflow without a closed form");
  return 0;
}

}  // namespace systole::analytic
