// The processing elements of libsystole_golden against quant's definitions: every pair of codes of
// each kernel, and what their accumulators do at the ends of their range.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "quant/formats/flint.hpp"
#include "quant/formats/minifloat.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/golden/systole_golden.h"
#include "quant/kernels/overflow.hpp"
#include "quant/kernels/ovp_gemm.hpp"

namespace systole::quant {
namespace {

struct Destroy {
  void operator()(sg_pe* pe) const { sg_pe_destroy(pe); }
};
using Element = std::unique_ptr<sg_pe, Destroy>;

Element make(const std::string& kernel, unsigned bits, Overflow overflow) {
  Element pe(sg_pe_create(kernel.c_str(), bits, static_cast<int>(overflow)));
  EXPECT_NE(pe, nullptr) << kernel;
  return pe;
}

/// Runs every pair of codes, without a reset between, through elements of several widths and both
/// policies that go on; add(acc, a, w, bits, overflow) is the definition of a step.
template <class Add>
void every_pair(const std::string& kernel, unsigned code_bits, const Add& add) {
  for (const unsigned bits : {9u, 16u, 20u, 32u, 64u}) {
    for (const Overflow overflow : {Overflow::wrap, Overflow::saturate}) {
      const Element pe = make(kernel, bits, overflow);
      std::int64_t expected = 0;
      for (std::uint32_t a = 0; a < 1u << code_bits; ++a) {
        for (std::uint32_t w = 0; w < 1u << code_bits; ++w) {
          std::uint64_t shown = 0;
          ASSERT_EQ(sg_pe_step(pe.get(), a, w, &shown), SG_OK);
          add(expected, a, w, bits, overflow);
          ASSERT_EQ(static_cast<std::int64_t>(shown), expected)
              << kernel << ", " << bits << " bits, codes " << a << " and " << w;
        }
      }
      std::uint64_t shown = 0;
      EXPECT_EQ(sg_pe_step(pe.get(), 1u << code_bits, 0, &shown), SG_BAD_ARGUMENT) << kernel;
      EXPECT_EQ(sg_pe_step(pe.get(), 0, 1u << code_bits, &shown), SG_BAD_ARGUMENT) << kernel;
      ASSERT_EQ(sg_pe_step(pe.get(), 0, 0, &shown), SG_OK);
      EXPECT_EQ(static_cast<std::int64_t>(shown), expected) << "a refused step left its mark";
    }
  }
}

/// Steps until the register is full under Overflow::error: refused then, and as it was.
void fills_up(const std::string& kernel, unsigned bits, std::uint32_t code) {
  const Element pe = make(kernel, bits, Overflow::error);
  std::uint64_t shown = 0, last = 0;
  int error = SG_OK;
  for (int i = 0; i < 100000 && error == SG_OK; ++i) {
    last = shown;
    error = sg_pe_step(pe.get(), code, code, &shown);
  }
  EXPECT_EQ(error, SG_OVERFLOW) << kernel;
  EXPECT_EQ(shown, last) << kernel;
  EXPECT_EQ(sg_pe_step(pe.get(), 0, 0, &shown), SG_OK);
  EXPECT_EQ(shown, last) << kernel;
}

TEST(ElementObjects, Int8MultipliesEveryPairAsQuantAccumulates) {
  every_pair(
      "int8", 8,
      [](std::int64_t& acc, std::uint32_t a, std::uint32_t w, unsigned bits, Overflow overflow) {
        accumulate(acc, std::int64_t{static_cast<std::int8_t>(a)} * static_cast<std::int8_t>(w),
                   bits, overflow);
      });
  fills_up("int8", 20, 0x7F);
}

TEST(ElementObjects, E2m1MultipliesEveryPairInQuarters) {
  every_pair(
      "fp4_e2m1", 4,
      [](std::int64_t& acc, std::uint32_t a, std::uint32_t w, unsigned bits, Overflow overflow) {
        const auto halves = [](std::uint32_t code) {
          return static_cast<std::int64_t>(
              2.0f * E2M1::from_bits(static_cast<std::uint8_t>(code)).decode());
        };
        accumulate(acc, halves(a) * halves(w), bits, overflow);
      });
  fills_up("fp4_e2m1", 16, 0x7);
}

TEST(ElementObjects, Flint4MultipliesEveryPairAsExponentAndInteger) {
  every_pair(
      "flint4", 4,
      [](std::int64_t& acc, std::uint32_t a, std::uint32_t w, unsigned bits, Overflow overflow) {
        accumulate(acc,
                   multiply(ant_operand(a, Format::flint4), ant_operand(w, Format::flint4)).value(),
                   bits, overflow);
      });
  fills_up("flint4", 16, 0x4);  // the largest: 16
}

TEST(ElementObjects, OutlierPairsMultiplyBothSlotsLeftFirst) {
  for (const Format format : {Format::ovp4_int, Format::ovp4_flint}) {
    const OvpType type = ovp_type(format, Contract::paper);
    const auto operands = [&type](std::uint32_t byte) {
      return ovp_decode_pair(
          {static_cast<std::uint8_t>(byte & 15), static_cast<std::uint8_t>(byte >> 4)}, type);
    };
    const std::string name(name_of(format));
    every_pair(
        name, 8,
        [&](std::int64_t& acc, std::uint32_t a, std::uint32_t w, unsigned bits, Overflow overflow) {
          const OvpOperands x = operands(a), y = operands(w);
          accumulate(acc, multiply(x.left, y.left).value(), bits, overflow);
          accumulate(acc, multiply(x.right, y.right).value(), bits, overflow);
        });
    fills_up(name, 20, 0x78);  // the largest outlier on the right
  }
}

// The element, the C dot product and exponent_integer_dot over the same pairs.
TEST(ElementObjects, OutlierPairsAddUpAsTheirDotProduct) {
  for (const Format format : {Format::ovp4_int, Format::ovp4_flint}) {
    const OvpType type = ovp_type(format, Contract::paper);
    const std::string name(name_of(format));
    const Element pe = make(name, 32, Overflow::error);
    std::vector<std::uint8_t> a, w;
    std::vector<ExponentInteger> x, y;
    const auto append = [&type](std::vector<ExponentInteger>& to, std::uint8_t byte) {
      const OvpOperands pair = ovp_decode_pair(
          {static_cast<std::uint8_t>(byte & 15), static_cast<std::uint8_t>(byte >> 4)}, type);
      to.push_back(pair.left);
      to.push_back(pair.right);
    };
    std::uint32_t state = 7;
    const auto next = [&state] {
      return static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
    };
    for (int i = 0; i < 64; ++i) {
      a.push_back(next());
      w.push_back(next());
      append(x, a.back());
      append(y, w.back());
      std::uint64_t shown = 0;
      std::int32_t sum = 0;
      ASSERT_EQ(sg_pe_step(pe.get(), a.back(), w.back(), &shown), SG_OK);
      ASSERT_EQ(sg_ovp_dot(name.c_str(), a.data(), w.data(), 2 * a.size(), SG_ERROR, &sum), SG_OK);
      EXPECT_EQ(sum, exponent_integer_dot(x, y)) << name;
      EXPECT_EQ(static_cast<std::int64_t>(shown), sum) << name;
    }
  }
}

}  // namespace
}  // namespace systole::quant
