#include "pe/systolic_array.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "sim/core/error.hpp"
#include "sim/core/random.hpp"
#include "sim/kernel/simulation.hpp"

namespace systole::pe {
namespace {

using configs::ArrayConfig;
using configs::Dataflow;
using configs::FoldOverlap;
using quant::Format;

/// A thread that runs the test's body, since arrays run from SC_THREADs only.
struct Bench : sc_core::sc_module {
  SC_HAS_PROCESS(Bench);
  Bench(const sc_core::sc_module_name& name, std::function<void()> body)
      : sc_module(name), body_(std::move(body)) {
    SC_THREAD(run);
  }
  void run() {
    body_();
    done = true;
  }
  bool done = false;

 private:
  std::function<void()> body_;
};

void simulate(const std::function<void()>& body) {
  Bench bench("bench", body);
  kernel::run_until([&] { return bench.done; }, sc_core::sc_time(100, sc_core::SC_MS));
}

ArrayCase random_case(Random& random, std::uint64_t m, std::uint64_t n, std::uint64_t k,
                      std::uint64_t group, Format stationary) {
  ArrayCase work;
  work.shape = {m, n, k, group, stationary, Format::int8};
  const std::int64_t w_max = (1 << (bits_of(stationary) - 1)) - 1;
  for (std::uint64_t i = 0; i < m * k; ++i) {
    work.moving.push_back(operand_word(static_cast<int>(random.uniform(-127, 127))));
  }
  for (std::uint64_t i = 0; i < n * k; ++i) {
    work.stationary.push_back(operand_word(static_cast<int>(random.uniform(-w_max, w_max))));
  }
  return work;
}

std::int32_t reference(const ArrayCase& work, std::uint64_t m, std::uint64_t n, std::uint64_t g) {
  const std::uint64_t length = group_length(work.shape);
  std::int32_t sum = 0;
  for (std::uint64_t k = g * length; k < (g + 1) * length; ++k) {
    sum += static_cast<std::int16_t>(work.moving[m * work.shape.k + k]) *
           static_cast<std::int16_t>(work.stationary[n * work.shape.k + k]);
  }
  return sum;
}

void expect_sums(const ArrayCase& work, const ArrayRun& run) {
  const std::uint64_t groups = group_count(work.shape);
  ASSERT_EQ(run.sums.size(), work.shape.m * work.shape.n * groups);
  for (std::uint64_t m = 0; m < work.shape.m; ++m) {
    for (std::uint64_t n = 0; n < work.shape.n; ++n) {
      for (std::uint64_t g = 0; g < groups; ++g) {
        ASSERT_EQ(static_cast<std::int32_t>(run.sums[(m * work.shape.n + n) * groups + g]),
                  reference(work, m, n, g))
            << m << ", " << n << ", group " << g;
      }
    }
  }
}

constexpr std::array kDataflows = {Dataflow::weight_stationary, Dataflow::output_stationary};
constexpr std::array kOverlaps = {FoldOverlap::serial, FoldOverlap::preload};

TEST(SystolicArray, AFourByFourTileTakesTenCyclesAsInRtl) {
  SystolicArray array("array",
                      {"int8-mac", 4, 4, Dataflow::output_stationary, FoldOverlap::serial});
  simulate([&] {
    Random random(1);
    const ArrayCase work = random_case(random, 4, 4, 4, 0, Format::int8);
    const ArrayRun run = array.run(work);
    EXPECT_EQ(run.measured.cycles, 10u);
    expect_sums(work, run);
  });
}

TEST(SystolicArray, RunsBackToBackWithoutATraceOfTheCaseBefore) {
  std::vector<std::unique_ptr<SystolicArray>> arrays;
  for (const Dataflow dataflow : kDataflows) {
    for (const FoldOverlap overlap : kOverlaps) {
      arrays.push_back(
          std::make_unique<SystolicArray>(sc_core::sc_gen_unique_name("array"),
                                          ArrayConfig{"mixpe-w4a8", 5, 3, dataflow, overlap}));
    }
  }
  simulate([&] {
    Random random(2);
    const ArrayCase a = random_case(random, 7, 8, 12, 6, Format::int8);
    const ArrayCase b = random_case(random, 1, 1, 1, 0, Format::int4);
    for (const auto& array : arrays) {
      const ArrayRun first = array->run(a);
      expect_sums(a, first);
      expect_sums(b, array->run(b));
      const ArrayRun again = array->run(a);
      EXPECT_EQ(again.sums, first.sums);
      EXPECT_EQ(again.measured, first.measured);
    }
  });
}

TEST(SystolicArray, TwoArraysRunAtTheSameTimeWithoutTouchingEachOther) {
  const ArrayConfig config{"int8-mac", 4, 6, Dataflow::weight_stationary, FoldOverlap::preload};
  SystolicArray left("left", config);
  SystolicArray right("right", config);
  Random random(3);
  const ArrayCase a = random_case(random, 9, 13, 17, 0, Format::int8);
  const ArrayCase b = random_case(random, 21, 5, 6, 3, Format::int4);
  ArrayRun run_a, run_b;
  Bench first("first", [&] { run_a = left.run(a); });
  Bench second("second", [&] { run_b = right.run(b); });
  kernel::run_until([&] { return first.done && second.done; }, sc_core::sc_time(1, sc_core::SC_MS));
  expect_sums(a, run_a);
  expect_sums(b, run_b);
}

TEST(SystolicArray, AnArrayThatDoesNotRunCostsNothing) {
  const ArrayConfig config{"int8-mac", 4, 4, Dataflow::weight_stationary, FoldOverlap::serial};
  SystolicArray busy("busy", config);
  SystolicArray idle("idle", {"int8-mac", 16, 16, config.dataflow, config.fold_overlap});
  simulate([&] {
    Random random(4);
    // A delta cycle per clock edge and one for the registers' updates; the idle array's 256 PEs add
    // none.
    const ArrayCase work = random_case(random, 50, 4, 4, 0, Format::int8);
    const auto before = sc_core::sc_delta_count();
    const ArrayRun run = busy.run(work);
    EXPECT_LE(sc_core::sc_delta_count() - before, 4 * (run.measured.cycles + 3));
  });
}

TEST(SystolicArray, SixtyFourBySixtyFourWorks) {
  const ArrayConfig config{"mixpe-w4a8", 64, 64, Dataflow::weight_stationary, FoldOverlap::preload};
  SystolicArray array("array", config);
  simulate([&] {
    Random random(5);
    const ArrayCase work = random_case(random, 32, 65, 128, 64, Format::int4);
    const ArrayRun run = array.run(work);
    expect_sums(work, run);
    EXPECT_EQ(run.measured.cycles, array_work(config, find_design(config.pe), work.shape).cycles);
  });
}

TEST(SystolicArray, TheSumsOfAGroupReachTheEndOfTheContractsRange) {
  // 131 071 products of 127 * 127 are the most an int32 holds by contract: 2 114 044 159.
  SystolicArray array("array",
                      {"int8-mac", 1, 1, Dataflow::output_stationary, FoldOverlap::serial});
  simulate([&] {
    ArrayCase work;
    work.shape = {1, 1, 131071, 0, Format::int8, Format::int8};
    work.moving.assign(131071, operand_word(-127));
    work.stationary.assign(131071, operand_word(127));
    EXPECT_EQ(static_cast<std::int32_t>(array.run(work).sums.at(0)), -2114044159);
  });
}

TEST(SystolicArray, FaultsAreThrownToTheCaller) {
  SystolicArray array("array",
                      {"int8-mac", 2, 2, Dataflow::weight_stationary, FoldOverlap::serial});
  simulate([&] {
    Random random(6);
    ArrayCase work = random_case(random, 2, 2, 2, 0, Format::int8);
    work.moving.pop_back();
    EXPECT_THROW(array.run(work), InternalError);
    work = random_case(random, 2, 2, 2, 0, Format::int8);
    work.shape.moving = Format::fp16;
    EXPECT_THROW(array.run(work), ConfigError);
    work = {};
    EXPECT_TRUE(array.run(work).sums.empty());
  });
}

TEST(SystolicArray, AnUnknownDesignIsTheUsersError) {
  EXPECT_THROW(
      SystolicArray("array", {"int9-mac", 2, 2, Dataflow::weight_stationary, FoldOverlap::serial}),
      ConfigError);
}

}  // namespace
}  // namespace systole::pe
