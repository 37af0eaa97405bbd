// AND and population count is the integer product.
#include "quant/kernels/bit_plane_gemm.hpp"

#include <limits>

#include "operands.hpp"
#include "quant/kernels/gemm.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

TEST(BitPlanes, GiveThePublishedCountsAndSum) {
  // quantization.md 13: W = [-2, 1, -1, 0], A = [3, 0, 2, 1]; counts w0a0, w0a1, w1a0, w1a1 = 0, 1,
  // 1, 2.
  const auto w = to_bit_planes(std::vector<std::int16_t>{-2, 1, -1, 0}, 1, 4, 2, true);
  const auto a = to_bit_planes(std::vector<std::int16_t>{3, 0, 2, 1}, 1, 4, 2, false);
  const auto count = [&](unsigned j, unsigned i) {
    return std::popcount(w.row(j, 0)[0] & a.row(i, 0)[0]);
  };
  EXPECT_EQ(count(0, 0), 0);
  EXPECT_EQ(count(0, 1), 1);
  EXPECT_EQ(count(1, 0), 1);
  EXPECT_EQ(count(1, 1), 2);
  EXPECT_EQ(bit_plane_dot(a, 0, w, 0, Overflow::error), -8);
}

TEST(BitPlanes, HoldEveryCodeAndRefuseOthers) {
  for (unsigned bits = 1; bits <= 8; ++bits) {
    for (const bool is_signed : {false, true}) {
      const int low = is_signed ? -(1 << (bits - 1)) : 0;
      const int high = low + (1 << bits) - 1;
      std::vector<std::int16_t> codes;
      for (int c = low; c <= high; ++c) codes.push_back(static_cast<std::int16_t>(c));
      EXPECT_EQ(from_bit_planes(to_bit_planes(codes, 1, codes.size(), bits, is_signed)), codes);
      codes[0] = static_cast<std::int16_t>(high + 1);
      EXPECT_THROW(to_bit_planes(codes, 1, codes.size(), bits, is_signed), std::invalid_argument);
      codes[0] = static_cast<std::int16_t>(low - 1);
      EXPECT_THROW(to_bit_planes(codes, 1, codes.size(), bits, is_signed), std::invalid_argument);
    }
  }
  EXPECT_THROW(to_bit_planes({}, 1, 1, 1, true), std::invalid_argument);
  EXPECT_THROW(to_bit_planes({}, 0, 0, 9, true), std::invalid_argument);
}

TEST(BitPlaneDot, EqualsTheDotProductInAMillionRandomCases) {
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 1, 6));
    const auto p = static_cast<unsigned>(pick(random, 1, 8));
    const auto q = static_cast<unsigned>(pick(random, 1, 8));
    const bool a_signed = random.next() % 2 == 0;
    const bool w_signed = random.next() % 2 == 0;
    const auto draw = [&](unsigned bits, bool is_signed) {
      const int low = is_signed ? -(1 << (bits - 1)) : 0;
      return integers<std::int16_t>(random, n, low, low + (1 << bits) - 1);
    };
    const auto a = draw(p, a_signed);
    const auto w = draw(q, w_signed);
    std::int32_t expected = 0;
    for (std::size_t k = 0; k < n; ++k) expected += a[k] * w[k];
    ASSERT_EQ(bit_plane_dot(to_bit_planes(a, 1, n, p, a_signed), 0,
                            to_bit_planes(w, 1, n, q, w_signed), 0, Overflow::error),
              expected);
  }
}

TEST(BitPlaneGemm, HasTheBitsOfTheIntegerGemm) {
  SYSTOLE_SEEDED(random);
  for (const Shape& s : kShapes) {
    for (const Format format : {Format::int2, Format::int4, Format::int8}) {
      const auto a = activations(random, s.m, s.k);
      const auto w = weights(random, s.n, s.k, format, static_cast<std::uint32_t>(s.k));
      const std::vector<std::int16_t> a_codes(a.codes.begin(), a.codes.end());
      const std::vector<std::int16_t> w_codes(w.codes.begin(), w.codes.end());
      std::vector<float> expected(s.m * s.n);
      std::vector<float> actual(s.m * s.n);
      gemm_dequantise_after(a, w, expected);
      bit_plane_gemm(to_bit_planes(a_codes, s.m, s.k, 8, true), a.scales,
                     to_bit_planes(w_codes, s.n, s.k, bits_of(format), true), w.scales, actual);
      EXPECT_TRUE(same_bits(actual, expected));
    }
  }
}

TEST(BitPlaneDot, ObeysItsOverflowPolicy) {
  const std::size_t n = 70000;
  const auto ones = to_bit_planes(std::vector<std::int16_t>(n, 255), 1, n, 8, false);
  const std::int64_t exact = std::int64_t{255} * 255 * 70000;
  EXPECT_EQ(bit_plane_dot(ones, 0, ones, 0, Overflow::wrap), static_cast<std::int32_t>(exact));
  EXPECT_EQ(bit_plane_dot(ones, 0, ones, 0, Overflow::saturate),
            std::numeric_limits<std::int32_t>::max());
  EXPECT_THROW(bit_plane_dot(ones, 0, ones, 0, Overflow::error), std::overflow_error);
  EXPECT_THROW(bit_plane_dot(ones, 1, ones, 0, Overflow::error), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
