// Simulated cycles a second of every shipped machine, on a prompt and a few decode steps of
// TinyLlama's shape. SystemC elaborates once a process, so each iteration is a child process, as in
// a sweep.
#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "configs/library.hpp"
#include "sim/system/simulate.hpp"
#include "workloads/lowering.hpp"

namespace systole::sim {
namespace {

std::string recipe_for(const configs::MachineConfig& machine) {
  if (machine.array.pe == "fp16-mac") return "fp16";
  if (machine.array.pe == "int8-mac") return "w8a8";
  return "mixpe-w4a8";
}

/// Cycles that a child process simulated; 0 when it failed.
std::uint64_t cycles_in_child(const workloads::Program& program,
                              const configs::MachineConfig& machine) {
  int ends[2];
  if (pipe(ends) != 0) return 0;
  const pid_t child = fork();
  if (child == 0) {
    Progress ignored;
    std::uint64_t cycles = 0;
    try {
      cycles = simulate(program, machine, {}, ignored).cycles;
    } catch (const std::exception&) {
      cycles = 0;
    }
    _exit(write(ends[1], &cycles, sizeof cycles) == sizeof cycles ? 0 : 1);
  }
  close(ends[1]);
  std::uint64_t cycles = 0;
  if (read(ends[0], &cycles, sizeof cycles) != sizeof cycles) cycles = 0;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return cycles;
}

void run(benchmark::State& state, const configs::MachineConfig& machine) {
  const auto program = workloads::lower(configs::load_model_shape("tinyllama-1.1b"),
                                        configs::load_recipe(recipe_for(machine)), 256, 4);
  double cycles = 0;
  for (auto _ : state) {
    const std::uint64_t simulated = cycles_in_child(program, machine);
    if (simulated == 0)
      return state.SkipWithError("the simulation failed (does the model fit the machine?)");
    cycles += static_cast<double>(simulated);
  }
  state.counters["cycles/s"] = benchmark::Counter(cycles, benchmark::Counter::kIsRate);
}

const bool registered = [] {
  for (const std::string& name : configs::names(configs::Kind::machine)) {
    benchmark::RegisterBenchmark(("simulate/" + name).c_str(), run, configs::load_machine(name))
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();  // the work is a child's
  }
  return true;
}();

}  // namespace
}  // namespace systole::sim
