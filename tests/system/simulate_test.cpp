#include "sim/system/simulate.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "tests/system/machines.hpp"

namespace systole::tests {

std::string simulate_in_child(const workloads::Program& program,
                              const configs::MachineConfig& machine,
                              const sim::SimulateOptions& options) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    close(pipe_ends[0]);
    std::string text;
    try {
      Progress ignored;
      text = reports::to_json(sim::simulate(program, machine, options, ignored));
    } catch (const std::exception& error) {
      text = std::string("failed: ") + error.what();
    }
    std::FILE* out = fdopen(pipe_ends[1], "w");
    std::fwrite(text.data(), 1, text.size(), out);
    std::fclose(out);
    _exit(0);
  }
  close(pipe_ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(pipe_ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return text;
}

namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

RunResult simulate_once(const workloads::Program& program, const configs::MachineConfig& machine) {
  Progress ignored;
  return sim::simulate(program, machine, {}, ignored);
}

TEST(Simulate, ReusingEqualLayersChangesNoFigure) {
  for (const char* name : {"mixpe-128x128", "mixpe-16x16", "mixpe-32x32-os"}) {
    const auto machine = configs::load_machine(name);
    const auto program = small_program("mixpe-w4a8", 70, 3);
    const std::string reused = simulate_in_child(program, machine, {.reuse = true});
    EXPECT_THAT(reused, StartsWith("{"));
    EXPECT_EQ(reused, simulate_in_child(program, machine, {.reuse = false})) << name;
  }
}

TEST(Simulate, IsDeterministic) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const auto program = small_program();
  EXPECT_EQ(simulate_in_child(program, machine), simulate_in_child(program, machine));
}

TEST(Simulate, PartsSumToTheWholeAndNothingBeatsItsBounds) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const auto program = small_program("mixpe-w4a8", 100, 5);
  const RunResult result = simulate_once(program, machine);
  result.check_sums();
  std::uint64_t macs = 0;
  for (const auto& step : program.steps) {
    for (const auto& segment : step.segments) {
      for (const auto& op : segment.operations) macs += segment.repeats * op.macs();
    }
  }
  EXPECT_EQ(result.total_macs(), macs);
  const double pes = static_cast<double>(machine.array.rows) * machine.array.cols;
  EXPECT_GE(static_cast<double>(result.cycles) * pes, static_cast<double>(macs));
  EXPECT_GE(static_cast<double>(result.cycles) * result.peak_dram_bytes_per_cycle,
            static_cast<double>(result.total_dram_bytes()));
  for (const OperationRow& row : result.operations) {
    EXPECT_GE(row.cycles, row.compute_bound_cycles) << row.phase << " " << row.name;
    EXPECT_FALSE(row.bound.empty());
  }
  EXPECT_LE(*result.utilisation(), 1.0);
  EXPECT_LE(*result.bandwidth_share(), 1.0);
  EXPECT_EQ(result.decode_tokens, 5u);
}

TEST(Simulate, EnergyOfTheOperationsSumsToTheDynamicEnergyOfTheParts) {
  const RunResult result = simulate_once(small_program(), configs::load_machine("mixpe-128x128"));
  std::map<std::string, double> by_operation;
  for (const OperationRow& row : result.operations) {
    for (const auto& [part, pj] : row.energy_pj) by_operation[part] += pj;
  }
  for (const ComponentRow& part : result.components) {
    EXPECT_NEAR(by_operation[part.name], part.dynamic_pj, 1e-9 * part.dynamic_pj) << part.name;
  }
}

TEST(Simulate, HalfTheBandwidthIsNeverFaster) {
  auto machine = configs::load_machine("mixpe-128x128");
  const auto program = small_program("mixpe-w4a8", 64, 4);
  const auto cycles_with = [&](std::uint32_t channels) {
    machine.memory.channels = channels;
    const std::string json = simulate_in_child(program, machine);
    const auto at = json.find("\"cycles\": ");
    EXPECT_NE(at, std::string::npos) << json;
    return std::stoull(json.substr(at + 10));
  };
  const auto full = cycles_with(16);
  EXPECT_LE(full, cycles_with(8));
  EXPECT_LT(full, cycles_with(1));
}

TEST(Simulate, RefusesAModelThatDoesNotFitMemory) {
  auto machine = configs::load_machine("mixpe-128x128");
  machine.memory.dram.capacity_bytes = 1 << 16;
  EXPECT_THAT(simulate_in_child(small_program(), machine), HasSubstr("bytes of DRAM"));
}

TEST(Simulate, RefusesFormatsThatThePeLacks) {
  EXPECT_THAT(simulate_in_child(small_program("fp32"), configs::load_machine("mixpe-128x128")),
              HasSubstr("PE 'mixpe-w4a8' computes"));
}

TEST(Simulate, StopsWhenAsked) {
  struct Impatient : Progress {
    bool cancelled() const override { return true; }
  } impatient;
  EXPECT_THROW(
      sim::simulate(small_program(), configs::load_machine("mixpe-128x128"), {}, impatient),
      Interrupted);
}

}  // namespace
}  // namespace systole::tests
