// Attention schedules: what a mask hides in whole blocks is neither loaded nor computed.
#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pe/design.hpp"
#include "sim/core/units.hpp"
#include "sim/system/mapping.hpp"
#include "sim/system/schedule.hpp"
#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

configs::MachineConfig tiled_machine(const std::string& columns = "16") {
  return configs::load_machine("mixpe-16x16", {"mapping.attention=tiled", "array.cols=" + columns});
}

const workloads::Operation& attention_of(const workloads::Step& step) {
  for (const workloads::Segment& segment : step.segments) {
    for (const workloads::Operation& op : segment.operations) {
      if (op.kind == workloads::OpKind::attention) return op;
    }
  }
  throw InternalError("no attention");
}

/// Score and context MACs that the schedule gives the array.
std::uint64_t scheduled_macs(const workloads::Operation& op,
                             const configs::MachineConfig& machine) {
  workloads::Segment segment{"layer", 1, {op}};
  std::uint64_t macs = 0;
  for (const sim::Job& job : sim::schedule(machine, pe::find_design(machine.array.pe), segment,
                                           {0, 0, op.input_bytes + op.output_bytes})) {
    macs += job.counts.macs;
  }
  return macs;
}

/// Blocks of rows by chunks of tokens in which the mask shows anything, by looking at every pair.
std::uint64_t shown_macs(const workloads::Operation& op, const configs::MachineConfig& machine) {
  const sim::AttentionTiling tiling = sim::tile_attention(machine, op);
  std::uint64_t macs = 0;
  const std::uint64_t rows = op.m * op.share;
  for (std::uint64_t r0 = 0; r0 < rows; r0 += tiling.row_block) {
    const std::uint64_t r1 = std::min(rows, r0 + tiling.row_block);
    // The last token that any row of the block meets: chunks end there.
    const std::uint64_t seen = op.n - op.m + (r1 - 1) / op.share + 1;
    for (std::uint64_t n0 = 0; n0 < seen; n0 += tiling.n_chunk) {
      const std::uint64_t n1 = std::min(seen, n0 + tiling.n_chunk);
      bool shown = false;
      for (std::uint64_t r = r0; r < r1 && !shown; ++r) {
        const std::uint64_t position = op.n - op.m + r / op.share;
        for (std::uint64_t t = n0; t < n1 && !shown; ++t) {
          shown = t <= position && (op.window == 0 || t + op.window > position);
        }
      }
      if (shown) macs += 2 * op.batch * (r1 - r0) * (n1 - n0) * op.k;
    }
  }
  return macs;
}

TEST(CausalMask, BlocksThatItHidesAreNeitherLoadedNorComputed) {
  for (const std::uint64_t tokens : {1u, 2u, 63u, 64u, 65u, 257u, 600u}) {
    for (const char* columns : {"16", "40"}) {
      const auto machine = tiled_machine(columns);
      const workloads::Program program = small_program("mixpe-w4a8", tokens, 1);
      for (const workloads::Step& step : program.steps) {
        const workloads::Operation& op = attention_of(step);
        EXPECT_EQ(scheduled_macs(op, machine), shown_macs(op, machine)) << tokens;
      }
    }
  }
}

TEST(CausalMask, HalfOfALongPromptIsHidden) {
  const auto machine = tiled_machine();
  const workloads::Program program = small_program("mixpe-w4a8", 4000, 0);
  const workloads::Operation& op = attention_of(program.steps.front());
  const double share =
      static_cast<double>(scheduled_macs(op, machine)) / static_cast<double>(op.macs());
  EXPECT_GT(share, 0.5);
  EXPECT_LT(share, 0.6);
}

configs::ModelShape windowed_shape(std::uint32_t window) {
  configs::ModelShape shape = small_shape();
  shape.sliding_window = window;
  return shape;
}

TEST(SlidingWindow, BlocksBehindItAreNeitherLoadedNorComputed) {
  for (const std::uint32_t window : {1u, 2u, 63u, 64u, 65u, 200u, 599u, 600u, 601u}) {
    for (const std::uint64_t tokens : {1u, 64u, 600u}) {
      const auto machine = tiled_machine();
      const workloads::Program program =
          workloads::lower(windowed_shape(window), configs::load_recipe("mixpe-w4a8"), tokens, 2);
      for (const workloads::Step& step : program.steps) {
        const workloads::Operation& op = attention_of(step);
        EXPECT_EQ(scheduled_macs(op, machine), shown_macs(op, machine)) << window << ' ' << tokens;
      }
    }
  }
}

TEST(SlidingWindow, ADecodeStepReadsItAndNoMore) {
  const workloads::Program program =
      workloads::lower(windowed_shape(100), configs::load_recipe("mixpe-w4a8"), 150, 3);
  for (std::size_t s = 1; s < program.steps.size(); ++s) {
    const workloads::Operation& op = attention_of(program.steps[s]);
    EXPECT_EQ(op.n, 100u);
    EXPECT_EQ(op.window, 0u);  // nothing of these is hidden
    // The last hundred tokens of each head.
    const workloads::Operation& first = attention_of(program.steps.front());
    const std::uint64_t token = op.stationary_region.bytes / op.batch / 100;
    EXPECT_EQ(op.stationary_region.address,
              first.stationary_region.address + (150 + s - 100) * token);
  }
  EXPECT_EQ(program.kv_bytes, 100 * program.kv_bytes_per_token);
}

TEST(SlidingWindow, OneThatHidesNothingChangesNothing) {
  const auto machine = configs::load_machine("mixpe-16x16");
  const std::string without = simulate_in_child(small_program("mixpe-w4a8", 60, 4), machine);
  EXPECT_THAT(without, StartsWith("{"));
  const auto program =
      workloads::lower(windowed_shape(64), configs::load_recipe("mixpe-w4a8"), 60, 4);
  EXPECT_EQ(simulate_in_child(program, machine), without);
}

TEST(SlidingWindow, ALongerPromptTakesTimeInProportion) {
  const auto machine = configs::load_machine("mixpe-16x16");
  const auto cycles = [&](std::uint64_t tokens) {
    const auto program =
        workloads::lower(windowed_shape(128), configs::load_recipe("mixpe-w4a8"), tokens, 0);
    const std::string json = simulate_in_child(program, machine);
    EXPECT_THAT(json, StartsWith("{"));
    const auto result = nlohmann::json::parse(json);
    for (const auto& row : result["operations"]) {
      if (row["name"] == "attention") return row["cycles"].get<double>();
    }
    return 0.0;
  };
  EXPECT_NEAR(cycles(2048) / cycles(1024), 2.0, 0.2);
}

TEST(SlidingWindow, ACodedCacheBehindItIsRefused) {
  const auto lowered = [](std::uint64_t tokens) {
    configs::ModelShape shape = kv_shape();
    shape.sliding_window = 64;
    return in_child([&] {
      workloads::lower(shape, with_cache("kivi2"), tokens, 1);
      return std::string("fine");
    });
  };
  EXPECT_EQ(lowered(63), "fine");
  EXPECT_THAT(lowered(64), HasSubstr("sliding window of 64 tokens"));
}

}  // namespace
}  // namespace systole::tests
