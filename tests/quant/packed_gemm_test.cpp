// The accelerated products against their definitions, bit for bit, on every path of this CPU.
#include "quant/kernels/packed_gemm.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "quant/kernels/parallel.hpp"
#include "quant/verify.hpp"

namespace systole::quant {
namespace {

class OnPath : public testing::TestWithParam<Path> {
 protected:
  void SetUp() override {
    if (!is_available(GetParam())) GTEST_SKIP() << "this CPU cannot run " << name_of(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(PackedGemm, OnPath,
                         testing::Values(Path::reference, Path::avx2, Path::avx512_vnni,
                                         Path::avx512_vbmi),
                         [](const auto& instance) { return std::string(name_of(instance.param)); });

QuantSpec spec(Format format, Granularity granularity, std::uint32_t group = 0) {
  QuantSpec s;
  s.format = format;
  s.granularity = granularity;
  s.group = group;
  return s;
}

std::vector<float> wave(std::size_t count, int step) {
  std::vector<float> x(count);
  int v = 1;
  for (float& f : x) f = static_cast<float>(((v = (v * 75 + step) % 65537)) - 32768) * 1e-4f;
  return x;
}

void expect_same(std::span<const float> expected, std::span<const float> actual,
                 const std::string& what) {
  const CaseOutcome outcome = compare_bits(expected, actual, what);
  ASSERT_EQ(outcome.mismatches, 0u) << outcome.first_mismatch;
}

TEST_P(OnPath, EveryIntegerFormatTileHeightAndThreadCountGivesTheSameBits) {
  const std::size_t n = 70;  // two full panels of AVX-512 and a tail
  const std::size_t k = 96;
  for (const Format format : {Format::int2, Format::int3, Format::int4, Format::int5, Format::int6,
                              Format::int7, Format::int8}) {
    const auto w = quantise(wave(n * k, 7), n, k, spec(format, Granularity::group, 24));
    const PackedWeights packed(w, GetParam());
    EXPECT_EQ(packed.path(), GetParam());
    for (std::size_t m = 1; m <= 18; ++m) {
      const auto a = quantise(wave(m * k, 3), m, k, spec(Format::int8, Granularity::token));
      std::vector<float> expected(m * n);
      std::vector<float> actual(m * n);
      gemm_dequantise_after(a, w, expected);
      for (const unsigned threads : {0u, 1u, 2u, 3u, 7u}) {
        gemm_dequantise_after(a, packed, actual, threads);
        expect_same(expected, actual, std::string(name_of(format)) + " m " + std::to_string(m));
      }
    }
  }
}

TEST_P(OnPath, EveryGroupLengthAndTailOfKGivesTheSameBits) {
  for (std::size_t group = 1; group <= 40; ++group) {
    for (const std::size_t groups : {1u, 2u, 5u}) {
      const std::size_t k = group * groups;
      const auto w =
          quantise(wave(33 * k, 5), 33, k,
                   spec(Format::int4, Granularity::group, static_cast<std::uint32_t>(group)));
      const auto a = quantise(wave(9 * k, 11), 9, k, spec(Format::int8, Granularity::token));
      std::vector<float> expected(9 * 33);
      std::vector<float> actual(9 * 33);
      gemm_dequantise_after(a, w, expected);
      gemm_dequantise_after(a, PackedWeights(w, GetParam()), actual);
      expect_same(expected, actual,
                  "group " + std::to_string(group) + " x " + std::to_string(groups));
    }
  }
}

// Weights of one group meet the activations two panels at a time, all but the first tile of a coded
// panel, and rows are asked for every 32 steps: tiles, panels and K around each of these.
TEST_P(OnPath, OneGroupOverEveryNumberOfPanelsGivesTheSameBits) {
  if (GetParam() == Path::reference) return;  // it has neither tiles nor panels
  for (const Format format : {Format::int4, Format::int6, Format::int8}) {
    for (const std::size_t k : {1u, 4u, 127u, 128u, 129u, 132u, 260u}) {
      for (const std::size_t n : {31u, 32u, 63u, 64u, 65u, 96u, 129u}) {
        const auto w = quantise(wave(n * k, 7), n, k, spec(format, Granularity::channel));
        const PackedWeights packed(w, GetParam());
        for (const std::size_t m : {1u, 5u, 6u, 7u, 12u, 18u, 131u}) {
          const auto a = quantise(wave(m * k, 3), m, k, spec(Format::int8, Granularity::token));
          std::vector<float> expected(m * n);
          std::vector<float> actual(m * n);
          gemm_dequantise_after(a, w, expected);
          for (const unsigned threads : {1u, 2u, 3u}) {
            gemm_dequantise_after(a, packed, actual, threads);
            expect_same(expected, actual, fmt::format("{} {}x{}x{}", name_of(format), m, n, k));
          }
        }
      }
    }
  }
}

// More rows than a block of activations, more of K than a segment, groups that end with neither.
TEST_P(OnPath, BlocksOfRowsAndSegmentsOfKGiveTheSameBits) {
  if (GetParam() == Path::reference) return;  // it has neither blocks nor segments
  struct Case {
    std::size_t m, n, k;
    std::uint32_t group;
  };
  for (const auto& [m, n, k, group] :
       {Case{400, 33, 3000, 0}, Case{400, 65, 3000, 100}, Case{13, 66, 16384 + 260, 128},
        Case{7, 66, 20000, 0}, Case{7, 34, 40000, 20000}}) {
    for (const Format format : {Format::int4, Format::int8}) {
      const auto w =
          quantise(wave(n * k, 7), n, k,
                   spec(format, group == 0 ? Granularity::channel : Granularity::group, group));
      const auto a = quantise(wave(m * k, 3), m, k, spec(Format::int8, Granularity::token));
      std::vector<float> expected(m * n);
      std::vector<float> actual(m * n);
      gemm_dequantise_after(a, w, expected);
      for (const unsigned threads : {1u, 2u}) {
        gemm_dequantise_after(a, PackedWeights(w, GetParam()), actual, threads);
        expect_same(expected, actual, fmt::format("{} {}x{}x{}", name_of(format), m, n, k));
      }
    }
  }
}

// The offset weights (w + 128) make intermediate sums wrap in int32 here; the result must not
// notice.
TEST_P(OnPath, TheLongestGroupAtFullMagnitudeIsExact) {
  const std::size_t k = 131071;
  const auto a =
      quantise(std::vector<float>(2 * k, 1.0f), 2, k, spec(Format::int8, Granularity::token));
  std::vector<float> values(3 * k, 1.0f);
  std::fill_n(values.begin(), k, -1.0f);
  const auto w = quantise(values, 3, k, spec(Format::int8, Granularity::channel));
  std::vector<float> expected(6);
  std::vector<float> actual(6);
  gemm_dequantise_after(a, w, expected);
  gemm_dequantise_after(a, PackedWeights(w, GetParam()), actual);
  expect_same(expected, actual, "longest group");
}

TEST_P(OnPath, AffineWeightsOfEveryWidthGiveTheSameBits) {
  const std::size_t n = 35;
  const std::size_t k = 60;
  const auto a = quantise(wave(9 * k, 3), 9, k, spec(Format::int8, Granularity::token));
  for (const Format format : {Format::int2, Format::int4, Format::int7, Format::int8}) {
    for (const Affine form : {Affine::integer_zero, Affine::float_min, Affine::float_zero}) {
      QuantSpec affine = spec(format, Granularity::group, 20);
      affine.affine = form;
      const auto w = quantise(wave(n * k, 9), n, k, affine);
      const PackedWeights packed(w, GetParam());
      EXPECT_EQ(packed.path(), GetParam());
      EXPECT_EQ(packed.spec(), affine);
      std::vector<float> expected(9 * n);
      std::vector<float> actual(9 * n);
      gemm_dequantise_after(a, w, expected);
      gemm_dequantise_after(a, packed, actual, 2);
      expect_same(expected, actual, std::string(name_of(format)));
    }
  }
}

TEST_P(OnPath, CodesOfMinus128AreTakenThoughNoQuantiserMakesThem) {
  const std::size_t k = 260;
  auto a = quantise(wave(3 * k, 3), 3, k, spec(Format::int8, Granularity::token));
  auto w = quantise(wave(5 * k, 9), 5, k, spec(Format::int8, Granularity::group, 130));
  std::ranges::fill(a.codes, std::int8_t{-128});
  std::ranges::fill(w.codes, std::int8_t{-128});
  std::vector<float> expected(15);
  std::vector<float> actual(15);
  gemm_dequantise_after(a, w, expected);
  gemm_dequantise_after(a, PackedWeights(w, GetParam()), actual);
  expect_same(expected, actual, "-128");
}

TEST_P(OnPath, FloatProductsOfEveryTileHeightGiveTheSameBits) {
  const std::size_t n = 67;
  for (const std::size_t k : {1u, 5u, 127u, 129u, 300u}) {
    const auto wf = wave(n * k, 13);
    const PackedFloatWeights w32(wf, n, k, Format::fp32, GetParam());
    const PackedFloatWeights w16(wf, n, k, Format::fp16, GetParam());
    for (std::size_t m = 1; m <= 17; m += m < 9 ? 1 : 4) {
      const auto a = wave(m * k, 17);
      std::vector<float> expected(m * n);
      std::vector<float> actual(m * n);
      gemm_fp32(a, wf, {m, n, k}, expected);
      for (const unsigned threads : {1u, 2u, 3u, 7u}) {
        gemm_fp32(a, w32, m, actual, threads);
        expect_same(expected, actual, "fp32 m " + std::to_string(m) + " k " + std::to_string(k));
      }
      for (const std::size_t chunk : {1u, 4u, 16u, 100u, 128u, 200u, 1000u}) {
        gemm_fp16(a, wf, {m, n, k}, chunk, expected);
        gemm_fp16(a, w16, m, chunk, actual, 2);
        expect_same(expected, actual,
                    "fp16 chunk " + std::to_string(chunk) + " k " + std::to_string(k));
      }
    }
  }
}

TEST_P(OnPath, EmptyShapesAreAccepted) {
  std::vector<float> out(3, 9.0f);
  const PackedFloatWeights none({}, 3, 0, Format::fp32, GetParam());
  gemm_fp32({}, none, 1, out);
  EXPECT_THAT(out, testing::Each(0.0f));
  const PackedWeights no_k(quantise({}, 3, 0, spec(Format::int4, Granularity::channel)),
                           GetParam());
  out.assign(3, 9.0f);
  gemm_dequantise_after(quantise({}, 1, 0, spec(Format::int8, Granularity::token)), no_k, out);
  EXPECT_THAT(out, testing::Each(0.0f));
  gemm_dequantise_after(quantise({}, 0, 0, spec(Format::int8, Granularity::token)), no_k, {});
}

TEST_P(OnPath, RefusesWrongShapesLikeTheDefinition) {
  const auto w = quantise(wave(6, 3), 2, 3, spec(Format::int8, Granularity::channel));
  const auto a = quantise(wave(4, 3), 1, 4, spec(Format::int8, Granularity::token));
  std::vector<float> out(2);
  EXPECT_THROW(gemm_dequantise_after(a, PackedWeights(w, GetParam()), out), std::invalid_argument);
  const PackedFloatWeights w32(wave(6, 3), 2, 3, Format::fp32, GetParam());
  EXPECT_THROW(gemm_fp32(wave(4, 3), w32, 1, out), std::invalid_argument);
  EXPECT_THROW(gemm_fp32(wave(3, 3), w32, 1, std::span(out).first(1)), std::invalid_argument);
  EXPECT_THROW(gemm_fp16(wave(3, 3), w32, 1, 1, out), std::invalid_argument);
  EXPECT_THROW(PackedFloatWeights(wave(5, 3), 2, 3, Format::fp32, GetParam()),
               std::invalid_argument);
  EXPECT_THROW(PackedFloatWeights(wave(6, 3), 2, 3, Format::bf16, GetParam()),
               std::invalid_argument);
}

/// [rows, cols] of elements from a set, with pairs along K where `outliers` is not empty.
GridMatrix grid(std::size_t rows, std::size_t cols, std::size_t group, float unit,
                const std::vector<int>& normals, const std::vector<int>& outliers, unsigned seed) {
  GridMatrix m{rows, cols, group, (cols + group - 1) / group, unit, {}, {}};
  std::uint32_t state = seed;
  const auto draw = [&](std::size_t n) {
    state = state * 1664525u + 1013904223u;
    return static_cast<std::size_t>(state >> 8) % n;
  };
  while (m.integers.size() < rows * cols) {
    if (!outliers.empty() && draw(4) == 0) {
      const auto v = static_cast<std::int8_t>(outliers[draw(outliers.size())]);
      const bool even = draw(2) == 0;
      m.integers.push_back(even ? v : std::int8_t{0});
      m.integers.push_back(even ? std::int8_t{0} : v);
    } else {
      for (int i = 0; i < (outliers.empty() ? 1 : 2); ++i) {
        m.integers.push_back(static_cast<std::int8_t>(normals[draw(normals.size())]));
      }
    }
  }
  for (std::size_t i = 0; i < rows * m.groups; ++i) {
    m.scales.push_back(static_cast<float>(1 + draw(1000)) * 1e-3f);
  }
  return m;
}

std::vector<int> range(int first, int last) {
  std::vector<int> all;
  for (int v = first; v <= last; ++v) all.push_back(v);
  return all;
}

struct GridForm {
  const char* name;
  std::vector<int> normals;
  std::vector<int> outliers;
  unsigned stored_bits;  // where a fast path packs it; for 6, 8 where it has no sextets
};

TEST_P(OnPath, GridsOfEveryCodingGiveTheSameBits) {
  const std::vector<GridForm> forms = {
      {"fp4", {0, 1, 2, 3, 4, 6, 8, 12, -1, -2, -3, -4, -6, -8, -12}, {}, 4},
      {"iq4_nl", {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}, {}, 4},
      {"three bits", range(-4, 3), {}, 4},
      {"one value", {-128}, {}, 4},
      // 15 normals and 14 outliers: pairs. With 16 normals no code is left for the mark: bytes.
      {"ovp", range(-7, 7), {12, 16, 24, 32, 48, 64, 96, -12, -16, -24, -32, -48, -64, -96}, 4},
      {"ovp of 15 outliers", range(-7, 7), range(100, 114), 4},
      {"ovp of 16 outliers", range(-7, 7), range(100, 115), 6},
      {"ovp of 16 normals", range(-8, 7), {50, 60}, 6},
      {"64 values", range(-32, 31), {}, 6},
      {"65 values", range(-32, 32), {}, 8},
      {"bytes", range(-128, 127), {}, 8}};
  for (const GridForm& form : forms) {
    // Whole groups, a group of an odd number of pairs, and a last group that is shorter.
    for (const auto& [k, group] :
         {std::pair<std::size_t, std::size_t>{128, 32}, {96, 6}, {70, 32}, {130, 130}}) {
      const std::size_t n = 67;
      const GridMatrix w = grid(n, k, group, 0.5f, form.normals, form.outliers, 5);
      const PackedWeights packed(w, GetParam());
      if (GetParam() != Path::reference) {
        const bool sextets = GetParam() == Path::avx512_vbmi;
        EXPECT_EQ(packed.stored_bits(), form.stored_bits == 6 && !sextets ? 8 : form.stored_bits)
            << form.name << " " << k;
      }
      for (const std::size_t m : {1u, 2u, 5u, 6u, 7u, 13u}) {
        const GridMatrix a = grid(m, k, k, 0.25f, range(-127, 127), {}, 9);
        std::vector<float> expected(m * n);
        std::vector<float> actual(m * n);
        gemm_grid(a, w, expected);
        for (const unsigned threads : {1u, 2u, 7u}) {
          gemm_grid(a, packed, actual, threads);
          expect_same(expected, actual, std::string(form.name) + " m " + std::to_string(m));
        }
      }
    }
  }
}

TEST_P(OnPath, ACornerOfAWeightIsTheProductOfTheCutMatrices) {
  if (GetParam() == Path::reference) GTEST_SKIP() << "the reference packs nothing to cut";
  const std::size_t n = 70;
  const std::size_t k = 130;
  const auto w = quantise(wave(n * k, 9), n, k, spec(Format::int8, Granularity::channel));
  const PackedWeights packed(w, GetParam());
  for (const std::size_t columns : {1u, 16u, 31u, 32u, 33u, 69u, 70u}) {
    for (const std::size_t depth : {1u, 3u, 4u, 63u, 64u, 129u, 130u}) {
      QuantizedMatrix cut{columns, depth, w.spec, depth, 1, {}, {}, {}};
      for (std::size_t row = 0; row < columns; ++row) {
        const std::int8_t* codes = w.codes.data() + row * k;
        cut.codes.insert(cut.codes.end(), codes, codes + depth);
        cut.scales.push_back(w.scale(row, 0));
      }
      const auto a = quantise(wave(8 * depth, 3), 8, depth, spec(Format::int8, Granularity::token));
      std::vector<float> expected(8 * columns);
      std::vector<float> actual(8 * columns);
      gemm_dequantise_after(a, cut, expected);
      gemm_dequantise_after_corner(a, packed, columns, actual, 2);
      expect_same(expected, actual,
                  std::to_string(columns) + " columns, depth " + std::to_string(depth));
    }
  }
  std::vector<float> out(8 * 71);
  const auto a = quantise(wave(8 * k, 3), 8, k, spec(Format::int8, Granularity::token));
  EXPECT_THROW(gemm_dequantise_after_corner(a, packed, 71, out), std::invalid_argument);
}

// The unit is folded into the scales only where that is exact: 3e-38 * 2^-20 is subnormal.
TEST_P(OnPath, AUnitThatCannotBeFoldedGivesTheSameBits) {
  GridMatrix w = grid(35, 64, 32, 0x1p-20f, range(-7, 7), {96, -96}, 5);
  for (float& s : w.scales) s *= 3e-38f;
  const GridMatrix a = grid(9, 64, 64, 1.0f, range(-127, 127), {}, 9);
  std::vector<float> expected(9 * 35);
  std::vector<float> actual(9 * 35);
  gemm_grid(a, w, expected);
  gemm_grid(a, PackedWeights(w, GetParam()), actual);
  expect_same(expected, actual, "subnormal scales");
}

TEST(GemmGrid, IsTheGroupProductTimesUnitAndScales) {
  const GridMatrix a{1, 3, 3, 1, 2.0f, {1, 2, 3}, {10.0f}};
  const GridMatrix w{1, 3, 2, 2, 0.5f, {4, 5, 6}, {0.25f, 0.125f}};  // the last group is shorter
  std::vector<float> out(1);
  gemm_grid(a, w, out);
  EXPECT_EQ(out[0], ((1 * 4 + 2 * 5) * 0.25f + 3 * 6 * 0.125f) * 10.0f);
  GridMatrix odd = w;
  odd.unit = 3.0f;
  EXPECT_THROW(gemm_grid(a, odd, out), std::invalid_argument);
  EXPECT_THROW(gemm_grid(w, w, out), std::invalid_argument);  // two scales in an activation's row
  EXPECT_THROW(gemm_dequantise_after(QuantizedMatrix{}, PackedWeights(w), {}),
               std::invalid_argument);
}

TEST(Parallel, EveryPartRunsOnceAndTheLowestExceptionComesBack) {
  for (const std::size_t parts : {0u, 1u, 2u, 5u, 40u}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<int> runs(parts, 0);
      parallel_parts(parts, [&](std::size_t part) { ++runs[part]; });
      EXPECT_THAT(runs, testing::Each(1));
    }
  }
  EXPECT_THROW(parallel_parts(4,
                              [](std::size_t part) {
                                if (part == 1) throw std::out_of_range("one");
                                if (part >= 2) throw std::invalid_argument("two");
                              }),
               std::out_of_range);
  std::atomic<int> inner = 0;  // a call from inside a part runs on its own thread
  parallel_parts(3, [&](std::size_t) { parallel_parts(4, [&](std::size_t) { ++inner; }); });
  EXPECT_EQ(inner, 12);
}

TEST(Paths, BeginWithTheReferenceAndHaveNames) {
  const auto paths = available_paths();
  ASSERT_FALSE(paths.empty());
  EXPECT_EQ(paths.front(), Path::reference);
  EXPECT_EQ(paths.back(), best_path());
  EXPECT_EQ(name_of(Path::avx512_vnni), "avx512_vnni");
  EXPECT_EQ(name_of(Path::avx512_vbmi), "avx512_vbmi");
  RecordProperty("best_path", std::string(name_of(best_path())));
}

// Thousands of random and adversarial cases: shapes of 1, primes and powers of two +-1; ties,
// saturation, signed zeros, subnormals, NaN and infinities; all granularities; threads 1, 2, 3, 7.
// A failure names its case; it is repeated by run_case(suite, 20240607, index).
class Suite : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Verify, Suite, testing::ValuesIn(suite_names()),
                         [](const auto& instance) { return instance.param; });

TEST_P(Suite, FindsNoDifferenceOverManyCases) {
  for (std::uint64_t index = 0; index < 1000 / golden_kernel(GetParam()).cost; ++index) {
    const CaseOutcome outcome = run_case(GetParam(), 20240607, index);
    ASSERT_GT(outcome.elements, 0u) << index;
    ASSERT_EQ(outcome.mismatches, 0u) << "index " << index << ": " << outcome.first_mismatch;
  }
}

}  // namespace
}  // namespace systole::quant
