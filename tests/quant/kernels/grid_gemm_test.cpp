// The general integer formulation against the integer GEMM and against decoded operands.
#include "quant/kernels/grid_gemm.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "operands.hpp"
#include "quant/kernels/gemm.hpp"
#include "quant/kernels/ovp_gemm.hpp"
#include "quant/kernels/packed_gemm.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

QuantSpec spec_of(Format format, Granularity granularity, std::uint32_t group = 0,
                  Affine affine = Affine::symmetric) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = granularity;
  spec.group = group;
  spec.affine = affine;
  return spec;
}

/// The same matrix, as the integer kernels hold it.
CodedMatrix coded(const QuantizedMatrix& m) {
  CodedMatrix c;
  c.rows = m.rows;
  c.cols = m.cols;
  c.spec = m.spec;
  c.group = m.group;
  c.groups = m.groups;
  c.scales = m.scales;
  c.zeros = m.zeros;
  const std::uint16_t mask = static_cast<std::uint16_t>((1u << bits_of(m.spec.format)) - 1);
  for (const std::int8_t code : m.codes) {
    c.codes.push_back(static_cast<std::uint16_t>(static_cast<std::uint8_t>(code) & mask));
  }
  return c;
}

TEST(GridGemm, HasTheBitsOfTheIntegerGemmForIntegerFormats) {
  SYSTOLE_SEEDED(random);
  for (const Shape& s : kShapes) {
    for (const Affine affine :
         {Affine::symmetric, Affine::float_min, Affine::integer_zero, Affine::float_zero}) {
      for (const Format format : {Format::int2, Format::int4, Format::int8}) {
        const auto a = activations(random, s.m, s.k);
        const auto w = weights(random, s.n, s.k, format, 32, affine);
        std::vector<float> expected(s.m * s.n);
        std::vector<float> actual(s.m * s.n);
        gemm_dequantise_after(a, w, expected);
        const CodedMatrix a_coded = coded(a);
        const CodedMatrix w_coded = coded(w);
        ASSERT_EQ(grid_gemm_refuses(a_coded, w_coded), nullptr);
        ASSERT_EQ(decode(w_coded), dequantise(w));  // the same matrix under both definitions
        grid_gemm(a_coded, w_coded, actual, Overflow::error);
        EXPECT_TRUE(same_bits(actual, expected));
      }
    }
  }
}

TEST(GridGemm, IsTheProductOfTheDecodedOperandsForEveryFormatWithIntegers) {
  SYSTOLE_SEEDED(random);
  const std::size_t k = 70;  // the last group of 32 is shorter
  const auto a_values = normals(random, 2 * k);
  const auto w_values = normals(random, 3 * k);
  const CodedMatrix a = encode(a_values, 2, k, spec_of(Format::int8, Granularity::token));
  int formats = 0;
  for (const Format format : kAllFormats) {
    for (const Affine affine : {Affine::symmetric, Affine::float_min}) {
      QuantSpec spec = spec_of(format, Granularity::group, 32, affine);
      if (format == Format::levels) spec.levels = 5;
      if (format == Format::fixed) spec.fraction_bits = 4, spec.integer_bits = 2;
      CodedMatrix w;
      try {
        w = encode(w_values, 3, k, spec);
      } catch (const std::invalid_argument&) {
        continue;  // the format has no codec, no such affine form, or needs a table
      }
      if (grid_gemm_refuses(a, w) != nullptr) continue;
      ++formats;
      std::vector<float> out(6);
      grid_gemm(a, w, out, Overflow::error);
      const auto x = decode(a);
      const auto y = decode(w);
      for (std::size_t i = 0; i < 6; ++i) {
        double exact = 0;
        double magnitude = 0;
        for (std::size_t j = 0; j < k; ++j) {
          const double product =
              static_cast<double>(x[i / 3 * k + j]) * static_cast<double>(y[i % 3 * k + j]);
          exact += product;
          magnitude += std::fabs(product);
        }
        EXPECT_NEAR(out[i], exact, 1e-5 * magnitude + 1e-12)
            << name_of(format) << " " << kAffineNames[static_cast<std::size_t>(affine)];
      }
    }
  }
  EXPECT_GE(formats, 20) << "int1 ... int16 and the unsigned forms at least";
}

TEST(GridGemm, MultipliesGroupScalesOfBothOperands) {
  const auto ones = [](Format format, std::vector<float> scales) {
    CodedMatrix m;
    m.rows = 1;
    m.cols = 4;
    m.spec.format = format;
    m.group = 2;
    m.groups = 2;
    m.codes = {1, 1, 1, 1};
    m.scales = std::move(scales);
    return m;
  };
  std::vector<float> out(1);
  grid_gemm(ones(Format::int8, {2, 3}), ones(Format::int4, {5, 7}), out, Overflow::error);
  EXPECT_EQ(out[0], 2 * 2 * 5 + 2 * 3 * 7);
}

TEST(GridGemm, HasTheBitsOfTheExponentIntegerGemmForPairsAndFlint) {
  SYSTOLE_SEEDED(random);
  const std::size_t k = 64;
  auto values = normals(random, 3 * k);
  for (std::size_t i = 0; i < values.size(); i += 29) values[i] *= 20.0f;  // outliers
  const CodedMatrix a =
      encode(normals(random, 2 * k), 2, k, spec_of(Format::int4, Granularity::token));
  for (const Format format : {Format::ovp4_int, Format::ovp4_flint, Format::flint4, Format::pot4}) {
    const CodedMatrix w = encode(values, 3, k, spec_of(format, Granularity::channel));
    ASSERT_EQ(grid_gemm_refuses(a, w), nullptr) << name_of(format);
    std::vector<float> expected(6);
    std::vector<float> actual(6);
    ovp_gemm(a, w, expected);
    grid_gemm(a, w, actual, Overflow::error);
    EXPECT_TRUE(same_bits(actual, expected)) << name_of(format);
  }
}

TEST(GridGemm, HasTheBitsOfTheProductOfElementIntegers) {
  SYSTOLE_SEEDED(random);
  const std::size_t k = 70;
  const CodedMatrix a =
      encode(normals(random, 2 * k), 2, k, spec_of(Format::int8, Granularity::token));
  for (const Format format : {Format::fp4_e2m1, Format::bitmod4, Format::flint4, Format::ternary}) {
    const CodedMatrix w =
        encode(normals(random, 3 * k), 3, k, spec_of(format, Granularity::group, 35));
    const auto grid = [](const CodedMatrix& m) {
      GridMatrix g;
      g.rows = m.rows, g.cols = m.cols, g.group = m.group, g.groups = m.groups;
      g.scales = m.scales;
      const auto integers = element_integers(m, g.unit);
      g.integers.assign(integers->begin(), integers->end());
      return g;
    };
    std::vector<float> expected(6);
    std::vector<float> actual(6);
    gemm_grid(grid(a), grid(w), expected);
    grid_gemm(a, w, actual, Overflow::error);
    EXPECT_TRUE(same_bits(actual, expected)) << name_of(format);
  }
}

TEST(GridGemm, RefusesWhatHasNoIntegersOrOtherGroups) {
  SYSTOLE_SEEDED(random);
  const auto values = normals(random, 64);
  const auto a = encode(values, 1, 64, spec_of(Format::int8, Granularity::group, 32));
  const auto w = encode(values, 1, 64, spec_of(Format::int4, Granularity::group, 16));
  std::vector<float> out(1);
  EXPECT_NE(grid_gemm_refuses(a, w), nullptr);
  EXPECT_THROW(grid_gemm(a, w, out, Overflow::error), std::invalid_argument);
  const auto lut = encode(values, 1, 64, spec_of(Format::nf4, Granularity::group, 32));
  EXPECT_NE(grid_gemm_refuses(a, lut), nullptr);
  EXPECT_THROW(grid_gemm(a, lut, out, Overflow::error), std::invalid_argument);
}

TEST(GridGemm, ObeysItsOverflowPolicy) {
  const std::size_t k = 4;
  const std::vector<float> values(k, 1.0f);
  const auto a = encode(values, 1, k, spec_of(Format::int16, Granularity::token));
  std::vector<float> out(1);
  grid_gemm(a, a, out, Overflow::saturate);  // 4 * 32767^2 > 2^31
  EXPECT_EQ(out[0], std::fma(2147483648.0f, a.scales[0], 0.0f) * a.scales[0]);
  EXPECT_THROW(grid_gemm(a, a, out, Overflow::error), std::overflow_error);
  grid_gemm(a, a, out, Overflow::wrap);
  grid_gemm(a, a, out, Overflow::error, 36);  // 4 * 32767^2 takes 33 bits and a sign
  EXPECT_EQ(out[0], std::fma(4.0f * 32767 * 32767, a.scales[0], 0.0f) * a.scales[0]);
  EXPECT_THROW(grid_gemm(a, a, out, Overflow::error, 65), std::invalid_argument);
  grid_gemm(a, a, out, Overflow::wrap);
  const auto wrapped = static_cast<std::int32_t>(std::int64_t{4} * 32767 * 32767);
  EXPECT_EQ(out[0], std::fma(static_cast<float>(wrapped), a.scales[0], 0.0f) * a.scales[0]);
}

}  // namespace
}  // namespace systole::quant
