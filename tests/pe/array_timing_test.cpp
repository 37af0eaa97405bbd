#include "pe/array_timing.hpp"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <map>
#include <sstream>

#include "pe/clocked_array.hpp"
#include "pe/multi_array.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"
#include "sim/core/units.hpp"

namespace systole::pe {
namespace {

using configs::ArrayConfig;
using configs::Dataflow;
using configs::FoldOverlap;
using quant::Format;

constexpr Dataflow kWs = Dataflow::weight_stationary;
constexpr Dataflow kOs = Dataflow::output_stationary;
constexpr Dataflow kIs = Dataflow::input_stationary;

ArrayConfig array(std::uint32_t rows, std::uint32_t cols, Dataflow dataflow, FoldOverlap overlap,
                  const char* pe = "int8-mac") {
  return {.pe = pe, .rows = rows, .cols = cols, .dataflow = dataflow, .fold_overlap = overlap};
}
ArrayWork work(const ArrayConfig& config, const GemmShape& shape) {
  return array_work(config, find_design(config.pe), shape);
}
GemmShape gemm(std::uint64_t m, std::uint64_t n, std::uint64_t k, std::uint64_t group = 0,
               Format weight = Format::int8, Format activation = Format::int8) {
  return {m, n, k, group, weight, activation};
}

TEST(ArrayTiming, OneOutputStationaryTileTakesTheCyclesOfRtl) {
  // 4 x 4, K = 4: SCALE-Sim reports 9, RTL takes 10 (SCALE-Sim#125).
  EXPECT_EQ(work(array(4, 4, kOs, FoldOverlap::serial), gemm(4, 4, 4)).cycles, 10u);
  EXPECT_EQ(work(array(1, 1, kOs, FoldOverlap::serial), gemm(1, 1, 1)).cycles, 1u);
  EXPECT_EQ(work(array(1, 1, kWs, FoldOverlap::serial), gemm(1, 1, 1)).cycles, 2u);
}

TEST(ArrayTiming, PreloadHidesAllButTheFirstLoadAndTheLastDrain) {
  // 256 x 2304 x 768 on 128 x 128: the GEMM on which SCALE-Sim (68 903) and ONNXim (29 194 with its
  // memory) differ 2.4 times. 6 * 18 folds of 256.
  const GemmShape qkv = gemm(256, 2304, 768);
  EXPECT_EQ(work(array(128, 128, kWs, FoldOverlap::serial), qkv).cycles, 68904u);
  EXPECT_EQ(work(array(128, 128, kWs, FoldOverlap::preload), qkv).cycles,
            128u + 107 * 256 + 256 + 128 + 128 - 2);
  EXPECT_EQ(work(array(128, 128, kOs, FoldOverlap::preload), qkv).cycles,
            35u * 768 + 768 + 254 + 128);
}

TEST(ArrayTiming, APreloadedFoldTakesAtLeastTheTimeOfItsLoadOrDrain) {
  // One moving row: the 128 cycles of loading the next weights bound every fold.
  EXPECT_EQ(work(array(128, 128, kWs, FoldOverlap::preload), gemm(1, 2304, 768)).repeat_cycles,
            108u * 128);
  // K = 16: draining 128 rows bounds every fold.
  EXPECT_EQ(work(array(128, 128, kOs, FoldOverlap::preload), gemm(1, 2304, 16)).repeat_cycles,
            18u * 128);
}

TEST(ArrayTiming, AFoldNeverStraddlesAGroup) {
  // Group 24 on 16 rows: two folds a group (16 + 8), four groups, although 96 / 16 = 6 would do
  // without groups.
  const ArrayConfig config = array(16, 16, kWs, FoldOverlap::serial);
  EXPECT_EQ(work(config, gemm(10, 16, 96, 24)).folds, 8u);
  EXPECT_EQ(work(config, gemm(10, 16, 96)).folds, 6u);
  EXPECT_EQ(work(array(16, 16, kOs, FoldOverlap::serial), gemm(10, 16, 96, 24)).folds, 4u);
}

TEST(ArrayTiming, AGroupThatDoesNotDivideKIsOneGroupAsInQuant) {
  const PeDesign& int8 = find_design("int8-mac");
  EXPECT_EQ(group_count(int8, gemm(1, 1, 96, 36)), 1u);
  EXPECT_EQ(group_length(int8, gemm(1, 1, 96, 36)), 96u);
  EXPECT_EQ(group_count(int8, gemm(1, 1, 96, 24)), 4u);
  EXPECT_EQ(group_count(int8, gemm(1, 1, 0, 24)), 0u);
  // Floats carry no scales.
  EXPECT_EQ(group_count(find_design("fp16-mac"), gemm(1, 1, 96, 24, Format::fp16, Format::fp16)),
            1u);
}

TEST(ArrayTiming, ASecondPassDoublesFoldsOrStream) {
  const GemmShape w4 = gemm(20, 40, 64, 32, Format::int4);
  const GemmShape w8 = gemm(20, 40, 64, 32, Format::int8);
  const ArrayConfig ws = array(16, 16, kWs, FoldOverlap::serial, "mixpe-w4a8");
  EXPECT_EQ(work(ws, w8).cycles, 2 * work(ws, w4).cycles);
  EXPECT_EQ(work(ws, w8).activation_words, 2 * work(ws, w4).activation_words);
  EXPECT_EQ(work(ws, w8).weight_bits, 2 * work(ws, w4).weight_bits);
  EXPECT_EQ(work(ws, w8).results, work(ws, w4).results);
  const ArrayConfig os = array(16, 16, kOs, FoldOverlap::serial, "mixpe-w4a8");
  EXPECT_EQ(work(os, w8).folds, work(os, w4).folds);
  EXPECT_EQ(work(os, w8).stream_cycles, 2 * work(os, w4).stream_cycles);
  EXPECT_EQ(work(os, w8).activation_words, work(os, w4).activation_words);
}

TEST(ArrayTiming, OperandTrafficIsScaleSimsExceptItsPartialSums) {
  // WS: MK ceil(N/C), KN, MN ceil(K/R); OS: MK ceil(N/C), KN ceil(M/R) (shared closed forms of its
  // SRAM counts).
  const ArrayWork ws = work(array(4, 8, kWs, FoldOverlap::serial), gemm(64, 24, 40));
  EXPECT_EQ(ws.activation_words, 64u * 40 * 3);
  EXPECT_EQ(ws.weight_words, 24u * 40);
  EXPECT_EQ(ws.partial_sum_writes, 15360u);
  EXPECT_EQ(ws.partial_sum_reads, 15360u - 1536);
  EXPECT_EQ(ws.results, 1536u);
  const ArrayWork os = work(array(4, 8, kOs, FoldOverlap::serial), gemm(64, 24, 40));
  EXPECT_EQ(os.activation_words, 64u * 40 * 3);
  EXPECT_EQ(os.weight_words, 24u * 40 * 16);
  EXPECT_EQ(os.partial_sum_writes + os.partial_sum_reads, 0u);
  EXPECT_EQ(os.results, 1536u);
}

TEST(ArrayTiming, InputStationaryIsWeightStationaryWithTheOperandsExchanged) {
  const ArrayWork is = work(array(4, 8, kIs, FoldOverlap::serial), gemm(64, 24, 40));
  const ArrayWork ws = work(array(4, 8, kWs, FoldOverlap::serial), gemm(24, 64, 40));
  EXPECT_EQ(is.cycles, ws.cycles);
  EXPECT_EQ(is.weight_words, ws.activation_words);
  EXPECT_EQ(is.activation_words, ws.weight_words);
}

TEST(ArrayTiming, IdealTakesItsStreamAlone) {
  EXPECT_EQ(work(array(128, 128, kWs, FoldOverlap::ideal), gemm(256, 2304, 768)).cycles,
            108u * 256);
  EXPECT_EQ(work(array(128, 128, kOs, FoldOverlap::ideal), gemm(256, 2304, 768)).cycles, 36u * 768);
}

TEST(ArrayTiming, NeighboursThatActAsOneShrinkTheArray) {
  // 8-bit operands on 4-bit PEs: two rows and two columns a product, so 64 x 64 is 32 x 32.
  const ArrayConfig olive = array(64, 64, kOs, FoldOverlap::ideal, "olive");
  const ArrayConfig int8 = array(32, 32, kOs, FoldOverlap::ideal, "int8-mac");
  EXPECT_EQ(work(olive, gemm(100, 200, 300)).cycles, work(int8, gemm(100, 200, 300)).cycles);
  EXPECT_EQ(work(olive, gemm(100, 200, 300, 0, Format::int4, Format::int8)).cycles,
            ceil_div(std::uint64_t{100}, std::uint64_t{32}) * 4 * 300);
  EXPECT_THROW(work(array(1, 8, kOs, FoldOverlap::ideal, "olive"), gemm(3, 3, 3)), ConfigError);
}

TEST(ArrayTiming, ANarrowDrainHoldsUpTheStreamOrTheNextFold) {
  ArrayConfig ws = array(8, 8, kWs, FoldOverlap::preload);
  const std::uint64_t wide = work(ws, gemm(100, 8, 8)).cycles;
  ws.drain_words = 4;  // two cycles a row of sums
  EXPECT_EQ(work(ws, gemm(100, 8, 8)).cycles, wide + 100);
  ArrayConfig os = array(8, 8, kOs, FoldOverlap::preload);
  os.drain_words = 2;  // 8 rows in 32 cycles: longer than the 10 steps of a fold
  EXPECT_EQ(work(os, gemm(16, 8, 10)).repeat_cycles, 2u * 32);
}

TEST(ArrayTiming, BroadcastHasNoSkewButATree) {
  ArrayConfig config = array(8, 8, kOs, FoldOverlap::serial, "int8-dot");
  config.interconnect = configs::Interconnect::broadcast;
  // 100 elements in words of 16: 7 steps, and 4 levels of adders.
  EXPECT_EQ(work(config, gemm(8, 8, 100)).cycles, 7u + 4);
}

TEST(ArrayTiming, StallsOfTheDataLengthenTheirFold) {
  const ArrayConfig config = array(4, 4, kOs, FoldOverlap::serial, "olaccel");
  const PeDesign& design = find_design("olaccel");
  const GemmShape shape = gemm(4, 8, 64, 0, Format::int4, Format::int4);
  const std::array<std::uint64_t, 2> stalls = {3, 0};
  EXPECT_EQ(array_work(config, design, shape, stalls).cycles,
            array_work(config, design, shape).cycles + 3);
  EXPECT_EQ(array_work(config, design, shape, stalls).stall_cycles, 3u);
}

TEST(ArrayTiming, ExpectedStallsAreTheMeanOfDrawnOnes) {
  const ArrayConfig config = array(8, 8, kOs, FoldOverlap::serial, "olaccel");
  const PeDesign& design = find_design("olaccel");
  const double share = 0.06;
  Random random(3);
  ArrayCase work;
  work.shape = gemm(64, 64, 512);
  const auto draw = [&] {
    const bool outlier = random.uniform(0, 9999) < static_cast<std::int64_t>(1e4 * share);
    return operand_word(static_cast<int>(outlier ? 100 : random.uniform(-7, 7)));
  };
  for (int i = 0; i < 64 * 512; ++i) work.activation.push_back(draw());
  for (int i = 0; i < 64 * 512; ++i) work.weight.push_back(draw());
  std::uint64_t total = 0;
  const auto stalls = make_engine(config)->stalls(work);
  for (const std::uint64_t stall : stalls) total += stall;
  const Mode& mode = design.require_mode(Format::int8, Format::int8);
  const double steps = static_cast<double>(stalls.size()) * 512 / mode.depth;
  EXPECT_NEAR(static_cast<double>(total) / steps,
              expected_stall(config, design, mode, share, share), 0.08);
  EXPECT_EQ(expected_stall(config, find_design("int8-mac"), mode, share, share), 0);
  EXPECT_EQ(expected_stall(config, design, mode, 0, 0), 0);
}

TEST(MultiArray, SharesAProductAndLosesNothing) {
  Random random(4);
  for (int i = 0; i < 500; ++i) {
    const auto size = [&] { return static_cast<std::uint64_t>(random.uniform(1, 200)); };
    ArrayConfig config = array(8, 8, std::array{kWs, kOs, kIs}[random.next() % 3],
                               random.next() % 2 ? FoldOverlap::serial : FoldOverlap::preload);
    const GemmShape shape = gemm(size(), size(), size());
    const PeDesign& design = find_design(config.pe);
    const ArrayWork one = array_work(config, design, shape);
    config.count = static_cast<std::uint32_t>(random.uniform(1, 6));
    for (const auto split :
         {configs::Split::automatic, configs::Split::m, configs::Split::n, configs::Split::k}) {
      config.split = split;
      const ArrayWork all = arrays_work(config, design, shape);
      EXPECT_EQ(all.mac_passes, one.mac_passes);
      EXPECT_EQ(all.results, one.results);
      EXPECT_GE(all.cycles * config.count * 64, one.mac_passes) << "no faster than the PEs";
      if (split != configs::Split::k) {
        EXPECT_LE(all.cycles, one.cycles);
      }
      if (config.count == 1) {
        EXPECT_EQ(all, one);
      }
    }
  }
}

TEST(ArrayTiming, NothingToDoTakesNothing) {
  const ArrayConfig config = array(16, 16, kWs, FoldOverlap::preload);
  EXPECT_EQ(work(config, gemm(0, 5, 5)), ArrayWork{});
  EXPECT_EQ(work(config, gemm(5, 0, 5)), ArrayWork{});
  EXPECT_EQ(work(config, gemm(5, 5, 0)), ArrayWork{});
}

TEST(ArrayTiming, FaultsAreNamed) {
  EXPECT_THROW(
      work(array(16, 16, kWs, FoldOverlap::serial), gemm(5, 5, 5, 0, Format::fp16, Format::fp16)),
      ConfigError);
  EXPECT_THROW(work(array(0, 16, kWs, FoldOverlap::serial), gemm(5, 5, 5)), InternalError);
}

/// Shapes chosen for their corners and at random, all array kinds; prints the shape on failure.
template <class Property>
void for_all_shapes(Property property) {
  Random random(20260101);
  for (int i = 0; i < 2000; ++i) {
    const ArrayConfig config = array(static_cast<std::uint32_t>(random.uniform(1, 40)),
                                     static_cast<std::uint32_t>(random.uniform(1, 40)),
                                     std::array{kWs, kOs, kIs}[random.next() % 3],
                                     std::array{FoldOverlap::serial, FoldOverlap::preload,
                                                FoldOverlap::ideal}[random.next() % 3],
                                     "mixpe-w4a8");
    const auto size = [&] {
      return static_cast<std::uint64_t>(random.next() % 4 == 0 ? 1 : random.uniform(1, 300));
    };
    const std::uint64_t groups = random.next() % 2 ? 1 : size();
    const std::uint64_t length = size();
    const GemmShape shape = gemm(size(), size(), groups * length, length,
                                 random.next() % 2 ? Format::int4 : Format::int7);
    SCOPED_TRACE(testing::Message()
                 << config.rows << "x" << config.cols << " dataflow "
                 << static_cast<int>(config.dataflow) << " overlap "
                 << static_cast<int>(config.fold_overlap) << ", M " << shape.m << " N " << shape.n
                 << " K " << shape.k << " group " << shape.group);
    property(config, shape);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(ArrayTiming, CyclesAreAtLeastTheMultiplyAccumulateBound) {
  for_all_shapes([](const ArrayConfig& config, const GemmShape& shape) {
    const ArrayWork w = work(config, shape);
    EXPECT_EQ(w.mac_passes, shape.m * shape.n * shape.k * w.passes);
    EXPECT_GE(w.stream_cycles, ceil_div(w.mac_passes, std::uint64_t{config.rows} * config.cols));
    EXPECT_EQ(w.cycles, w.stream_cycles + w.fill_drain_cycles);
    EXPECT_LE(w.repeat_cycles, w.cycles);
    EXPECT_GE(w.repeat_cycles, w.stream_cycles);
  });
}

TEST(ArrayTiming, MoreWorkNeverTakesFewerCycles) {
  for_all_shapes([](const ArrayConfig& config, const GemmShape& shape) {
    const std::uint64_t before = work(config, shape).cycles;
    GemmShape more = shape;
    ++more.m;
    EXPECT_GE(work(config, more).cycles, before);
    more = shape;
    ++more.n;
    EXPECT_GE(work(config, more).cycles, before);
    more = shape;
    more.k += group_length(find_design(config.pe), shape);  // one more group
    EXPECT_GE(work(config, more).cycles, before);
    more = shape;
    more.group = 0;  // groups only ever cost
    EXPECT_LE(work(config, more).cycles, before);
  });
}

TEST(ArrayTiming, PreloadIsSlowerThanSerialAtMostByTheDrainThatSerialDoesNotCount) {
  for_all_shapes([](ArrayConfig config, const GemmShape& shape) {
    config.fold_overlap = FoldOverlap::preload;
    const ArrayWork preload = work(config, shape);
    config.fold_overlap = FoldOverlap::serial;
    const ArrayWork serial = work(config, shape);
    const std::uint64_t drain = config.dataflow == kOs ? config.rows : 0;
    EXPECT_LE(preload.cycles, serial.cycles + drain);
    EXPECT_EQ(preload.weight_words, serial.weight_words);
    EXPECT_EQ(preload.activation_words, serial.activation_words);
  });
}

TEST(ArrayTiming, AnEqualGemmWithoutAGapAddsItsRepeatCycles) {
  for_all_shapes([](const ArrayConfig& config, const GemmShape& shape) {
    GemmShape whole = shape;  // full column tiles, so that twice N is twice the folds
    GemmShape twice = whole;
    if (config.dataflow == kIs) {
      whole.m = ceil_div(shape.m, config.cols) * config.cols;
      twice = whole;
      twice.m *= 2;
    } else {
      whole.n = ceil_div(shape.n, config.cols) * config.cols;
      twice = whole;
      twice.n *= 2;
    }
    EXPECT_EQ(work(config, twice).cycles - work(config, whole).cycles,
              work(config, whole).repeat_cycles);
  });
}

// --- SCALE-Sim's own results ---

struct GoldenRow {
  std::string run;
  std::size_t layer = 0;
  std::uint64_t total = 0, stall = 0;
};

std::vector<GoldenRow> read_golden(const std::string& path) {
  std::vector<GoldenRow> rows;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);  // header: run, layer, total incl. prefetch, total, stall, ...
  while (std::getline(file, line)) {
    std::stringstream fields(line);
    std::string run, layer, prefetch, total, stall;
    std::getline(fields, run, ',');
    std::getline(fields, layer, ',');
    std::getline(fields, prefetch, ',');
    std::getline(fields, total, ',');
    std::getline(fields, stall, ',');
    rows.push_back({run, std::stoul(layer), std::stoull(total), std::stoull(stall)});
  }
  return rows;
}

std::vector<GemmShape> read_gemms(const std::string& path) {
  std::vector<GemmShape> shapes;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);  // Layer, M, N, K
  while (std::getline(file, line)) {
    std::stringstream fields(line);
    std::string name, m, n, k;
    std::getline(fields, name, ',');
    std::getline(fields, m, ',');
    std::getline(fields, n, ',');
    if (!std::getline(fields, k, ',')) continue;
    shapes.push_back(gemm(std::stoull(m), std::stoull(n), std::stoull(k)));
  }
  return shapes;
}

TEST(ScaleSim, EveryMeasuredLayerIsTheSerialFormMinusOne) {
  const std::string folder = std::string(SYSTOLE_SHARED_DIR) + "/golden/scale-sim";
  const std::vector<GoldenRow> rows = read_golden(folder + "/layers.csv");
  if (rows.empty()) GTEST_SKIP() << "no SCALE-Sim results in " << folder;
  std::map<std::string, std::vector<GemmShape>> topologies = {
      {"gpt2s_mnk", read_gemms(folder + "/configs/gpt2s_mnk.csv")},
      {"tiny_mnk", read_gemms(folder + "/configs/tiny_mnk.csv")},
      // The AlexNet convolutions that ship with SCALE-Sim, as GEMMs: output pixels, filters, filter
      // volume.
      {"alexnet",
       {gemm(55 * 55, 96, 11 * 11 * 3), gemm(23 * 23, 256, 5 * 5 * 96), gemm(11 * 11, 384, 9 * 256),
        gemm(11 * 11, 384, 9 * 384), gemm(11 * 11, 256, 9 * 384)}}};
  // The second word of the run's name: array and dataflow.
  const std::map<std::string, ArrayConfig> arrays = {
      {"a128_os_calc", array(128, 128, kOs, FoldOverlap::serial)},
      {"a128_ws_calc", array(128, 128, kWs, FoldOverlap::serial)},
      {"a128_ws_bw128", array(128, 128, kWs, FoldOverlap::serial)},
      {"a4x8_os", array(4, 8, kOs, FoldOverlap::serial)},
      {"a4x8_ws", array(4, 8, kWs, FoldOverlap::serial)},
      {"a4x8_is", array(4, 8, kIs, FoldOverlap::serial)},
      {"google", array(256, 256, kWs, FoldOverlap::serial)},  // its shipped TPU configuration
      {"scale", array(32, 32, kOs, FoldOverlap::serial)}};    // its shipped default
  std::size_t compared = 0;
  for (const GoldenRow& row : rows) {
    const std::size_t first = row.run.find('-');
    const std::size_t second = row.run.find('-', first + 1);
    const std::string machine = row.run.substr(first + 1, second - first - 1);
    SCOPED_TRACE(row.run + " layer " + std::to_string(row.layer));
    const auto config = arrays.find(machine);
    ASSERT_NE(config, arrays.end());
    const GemmShape& shape = topologies.at(row.run.substr(second + 1)).at(row.layer);
    EXPECT_EQ(work(config->second, shape).cycles - 1, row.total - row.stall);
    ++compared;
  }
  EXPECT_GE(compared, 121u);
}

}  // namespace
}  // namespace systole::pe
