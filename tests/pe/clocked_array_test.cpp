#include "pe/clocked_array.hpp"

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

/// Arrays run from SC_THREADs only.
void simulate(const std::function<void()>& body) {
  kernel::Task task("test", body);
  task.run(sc_core::sc_time(100, sc_core::SC_MS));
}

ArrayConfig config_of(const char* pe, std::uint32_t rows, std::uint32_t cols, Dataflow dataflow,
                      FoldOverlap overlap) {
  return {.pe = pe, .rows = rows, .cols = cols, .dataflow = dataflow, .fold_overlap = overlap};
}

ArrayCase random_case(Random& random, std::uint64_t m, std::uint64_t n, std::uint64_t k,
                      std::uint64_t group, Format weight) {
  ArrayCase work;
  work.shape = {m, n, k, group, weight, Format::int8};
  const std::int64_t w_max = (1 << (bits_of(weight) - 1)) - 1;
  for (std::uint64_t i = 0; i < m * k; ++i) {
    work.activation.push_back(operand_word(static_cast<int>(random.uniform(-127, 127))));
  }
  for (std::uint64_t i = 0; i < n * k; ++i) {
    work.weight.push_back(operand_word(static_cast<int>(random.uniform(-w_max, w_max))));
  }
  return work;
}

/// The sums, by the definition of a product.
void expect_sums(const ArrayCase& work, const ArrayRun& run) {
  const GemmShape& shape = work.shape;
  const std::uint64_t length = group_length(find_design("int8-mac"), shape);
  const std::uint64_t groups = shape.k / length;
  ASSERT_EQ(run.sums.size(), shape.m * shape.n * groups);
  for (std::uint64_t m = 0; m < shape.m; ++m) {
    for (std::uint64_t n = 0; n < shape.n; ++n) {
      for (std::uint64_t g = 0; g < groups; ++g) {
        std::int32_t sum = 0;
        for (std::uint64_t k = g * length; k < (g + 1) * length; ++k) {
          sum += static_cast<std::int16_t>(work.activation[m * shape.k + k]) *
                 static_cast<std::int16_t>(work.weight[n * shape.k + k]);
        }
        ASSERT_EQ(static_cast<std::int64_t>(run.sums[(m * shape.n + n) * groups + g]), sum)
            << m << ", " << n << ", group " << g;
      }
    }
  }
}

TEST(ClockedArray, AFourByFourTileTakesTenCyclesAsInRtl) {
  ClockedArray array("array");
  simulate([&] {
    Random random(1);
    const ArrayCase work = random_case(random, 4, 4, 4, 0, Format::int8);
    const ArrayRun run = array.run(
        config_of("int8-mac", 4, 4, Dataflow::output_stationary, FoldOverlap::serial), work);
    EXPECT_EQ(run.measured.cycles, 10u);
    expect_sums(work, run);
  });
}

TEST(ClockedArray, RunsBackToBackWithoutATraceOfTheCaseBefore) {
  ClockedArray array("array");
  simulate([&] {
    Random random(2);
    const ArrayCase a = random_case(random, 7, 8, 12, 6, Format::int8);
    const ArrayCase b = random_case(random, 1, 1, 1, 0, Format::int4);
    for (const Dataflow dataflow :
         {Dataflow::weight_stationary, Dataflow::output_stationary, Dataflow::input_stationary}) {
      for (const FoldOverlap overlap :
           {FoldOverlap::serial, FoldOverlap::preload, FoldOverlap::ideal}) {
        const ArrayConfig config = config_of("mixpe-w4a8", 5, 3, dataflow, overlap);
        const ArrayRun first = array.run(config, a);
        expect_sums(a, first);
        expect_sums(b, array.run(config, b));
        const ArrayRun again = array.run(config, a);
        EXPECT_EQ(again.sums, first.sums);
        EXPECT_EQ(again.measured, first.measured);
      }
    }
  });
}

TEST(ClockedArray, TwoArraysRunAtTheSameTimeWithoutTouchingEachOther) {
  const ArrayConfig config =
      config_of("int8-mac", 4, 6, Dataflow::weight_stationary, FoldOverlap::preload);
  ClockedArray left("left");
  ClockedArray right("right");
  Random random(3);
  const ArrayCase a = random_case(random, 9, 13, 17, 0, Format::int8);
  const ArrayCase b = random_case(random, 21, 5, 6, 3, Format::int4);
  ArrayRun run_a, run_b;
  kernel::Task first("first", [&] { run_a = left.run(config, a); });
  kernel::Task second("second", [&] { run_b = right.run(config, b); });
  kernel::run_until([&] { return first.done() && second.done(); },
                    sc_core::sc_time(1, sc_core::SC_MS));
  first.rethrow();
  second.rethrow();
  expect_sums(a, run_a);
  expect_sums(b, run_b);
}

TEST(ClockedArray, ASixtyFourSquareArrayAgreesToo) {
  const ArrayConfig config =
      config_of("mixpe-w4a8", 64, 64, Dataflow::weight_stationary, FoldOverlap::preload);
  ClockedArray array("array");
  simulate([&] {
    Random random(5);
    const ArrayCase work = random_case(random, 32, 65, 128, 64, Format::int4);
    const ArrayRun run = array.run(config, work);
    expect_sums(work, run);
    EXPECT_EQ(run.measured.cycles, array_work(config, find_design(config.pe), work.shape).cycles);
  });
}

TEST(ClockedArray, TheSumsOfAGroupReachTheEndOfTheContractsRange) {
  // 131 071 products of 127 * 127 are the most an int32 holds by contract: 2 114 044 159.
  ClockedArray array("array");
  simulate([&] {
    ArrayCase work;
    work.shape = {1, 1, 131071, 0, Format::int8, Format::int8};
    work.activation.assign(131071, operand_word(-127));
    work.weight.assign(131071, operand_word(127));
    const ArrayRun run = array.run(
        config_of("int8-mac", 1, 1, Dataflow::output_stationary, FoldOverlap::serial), work);
    EXPECT_EQ(static_cast<std::int64_t>(run.sums.at(0)), -2114044159);
  });
}

// Every pair of codes of every design of integers, one product each, through the whole array.
TEST(ClockedArray, MultipliesEveryPairOfCodesExactly) {
  ClockedArray array("array");
  simulate([&] {
    for (const char* pe : {"mixpe-w4a8", "int8-mac", "bitfusion", "olive", "stripes", "loom",
                           "tender", "lut-tensor-core"}) {
      const PeDesign& design = find_design(pe);
      for (const auto& [weight, activation] : {std::pair{Format::int4, Format::int4},
                                               {Format::int4, Format::int8},
                                               {Format::int8, Format::int8}}) {
        if (design.mode(weight, activation) == nullptr) continue;
        ArrayCase work;
        const int w = 1 << (bits_of(weight) - 1), a = 1 << (bits_of(activation) - 1);
        work.shape = {static_cast<std::uint64_t>(2 * a),
                      static_cast<std::uint64_t>(2 * w),
                      1,
                      0,
                      weight,
                      activation};
        for (int code = -a; code < a; ++code) work.activation.push_back(operand_word(code));
        for (int code = -w; code < w; ++code) work.weight.push_back(operand_word(code));
        const ArrayRun run =
            array.run(config_of(pe, 8, 8, Dataflow::output_stationary, FoldOverlap::preload), work);
        for (int i = 0; i < 2 * a; ++i) {
          for (int j = 0; j < 2 * w; ++j) {
            ASSERT_EQ(static_cast<std::int64_t>(run.sums[static_cast<std::size_t>(i * 2 * w + j)]),
                      (i - a) * (j - w))
                << pe << " " << i - a << " x " << j - w;
          }
        }
      }
    }
  });
}

TEST(ClockedArray, FaultsAreThrownToTheCaller) {
  const ArrayConfig config =
      config_of("int8-mac", 2, 2, Dataflow::weight_stationary, FoldOverlap::serial);
  ClockedArray array("array");
  simulate([&] {
    Random random(6);
    ArrayCase work = random_case(random, 2, 2, 2, 0, Format::int8);
    work.activation.pop_back();
    EXPECT_THROW(array.run(config, work), InternalError);
    work = random_case(random, 2, 2, 2, 0, Format::int8);
    work.shape.activation = Format::fp16;
    EXPECT_THROW(array.run(config, work), ConfigError);
    work = {};
    EXPECT_TRUE(array.run(config, work).sums.empty());
    ArrayConfig unknown = config;
    unknown.pe = "int9-mac";
    EXPECT_THROW(array.run(unknown, work), ConfigError);
    // A design that keeps its sums where they are cannot hold weights.
    ArrayConfig held = config;
    held.pe = "bitmod";
    work = random_case(random, 2, 2, 2, 0, Format::int8);
    work.shape.activation = Format::fp16;
    EXPECT_THROW(array.run(held, work), ConfigError);
  });
}

}  // namespace
}  // namespace systole::pe
