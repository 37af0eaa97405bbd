// PE updates a second of the `pe` timing beside Verilator's on the same array (pe/rtl's
// systolic_array) and the same products: 16 x 16 INT8, weight and output stationary. One core, CPU
// time, the two in turn, medians; the cycles of both must agree.
//
//   cmake --build build --target bench_array && build/bench/bench_array
#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "Vbench_os.h"
#include "Vbench_ws.h"
#include "pe/clocked_array.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"
#include "sim/kernel/simulation.hpp"

namespace {

using namespace systole;

constexpr std::uint32_t kSide = 16;
constexpr int kRounds = 9;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void put_byte(void* port, std::size_t lane, std::uint8_t byte) {
  static_cast<std::uint8_t*>(port)[lane] = byte;
}

/// One product on the verilated array, operands answered as its edge asks; its cycles.
template <class Model>
std::uint64_t run_rtl(Model& model, const pe::ArrayCase& work, bool output_stationary) {
  const pe::GemmShape& shape = work.shape;
  model.size_m = static_cast<SData>(shape.m);
  model.size_n = static_cast<SData>(shape.n);
  model.group_length = static_cast<SData>(shape.k);
  model.groups = 1;
  model.two_passes = 0;
  model.en = 1;
  model.start = 1;
  std::uint64_t cycles = 0;
  bool started = false;
  while (!started || !model.done) {
    model.clk = 0;
    model.eval();
    if (model.moving_request) {
      for (std::uint32_t r = 0; r < kSide; ++r) {
        const std::uint64_t m = output_stationary ? model.moving_m + r : model.moving_m;
        const std::uint64_t k = output_stationary ? model.moving_k : model.moving_k + r;
        put_byte(&model.moving_data, r,
                 static_cast<std::uint8_t>(work.activation[m * shape.k + k]));
      }
    }
    if (model.stationary_request) {
      for (std::uint32_t c = 0; c < kSide; ++c) {
        const std::uint64_t n = model.stationary_n + c;
        put_byte(&model.stationary_data, c,
                 static_cast<std::uint8_t>(work.weight[n * shape.k + model.stationary_k]));
      }
    }
    cycles += model.busy;
    model.clk = 1;
    model.eval();
    model.start = 0;
    started = true;
  }
  return cycles;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

template <class Model>
void compare(pe::ClockedArray& array, configs::Dataflow dataflow, const char* name) {
  configs::ArrayConfig config;
  config.pe = "int8-mac";
  config.rows = config.cols = kSide;
  config.dataflow = dataflow;
  config.fold_overlap = configs::FoldOverlap::preload;
  pe::ArrayCase work;
  work.shape = {64, 256, 512, 0, quant::Format::int8, quant::Format::int8};
  Random random(7);
  const auto code = [&] { return pe::operand_word(static_cast<int>(random.uniform(-128, 127))); };
  for (std::uint64_t i = 0; i < work.shape.m * work.shape.k; ++i) work.activation.push_back(code());
  for (std::uint64_t i = 0; i < work.shape.n * work.shape.k; ++i) work.weight.push_back(code());

  Model model;
  model.rst = 1;
  model.en = 1;
  for (const int clock : {0, 1}) {
    model.clk = static_cast<CData>(clock);
    model.eval();
  }
  model.rst = 0;
  const bool output_stationary = dataflow == configs::Dataflow::output_stationary;
  std::vector<double> ours, rtl;
  std::uint64_t cycles = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double begin = cpu_seconds();
    cycles = array.run(config, work).measured.cycles;
    const double middle = cpu_seconds();
    const std::uint64_t rtl_cycles = run_rtl(model, work, output_stationary);
    const double end = cpu_seconds();
    SYSTOLE_CHECK(rtl_cycles == cycles, "both arrays take the same cycles");
    const double updates = static_cast<double>(cycles) * kSide * kSide;
    ours.push_back(updates / (middle - begin));
    rtl.push_back(updates / (end - middle));
  }
  fmt::print("{:<18} {:>9} {:>18.1f} {:>18.1f} {:>8.1f}\n", name, cycles, median(ours) * 1e-6,
             median(rtl) * 1e-6, median(ours) / median(rtl));
}

}  // namespace

int main() {
  return kernel::run_simulation([] {
    pe::ClockedArray array("array");
    fmt::print("{:<18} {:>9} {:>18} {:>18} {:>8}\n", "16 x 16 INT8", "cycles", "pe, M updates/s",
               "Verilator, M/s", "ratio");
    kernel::Task task("task", [&] {
      compare<Vbench_ws>(array, configs::Dataflow::weight_stationary, "weight stationary");
      compare<Vbench_os>(array, configs::Dataflow::output_stationary, "output stationary");
    });
    task.run(sc_core::sc_time(1, sc_core::SC_SEC));
    return 0;
  });
}
