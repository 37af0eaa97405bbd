// Terms sum to their weight; the cycle agrees with a second computation in doubles; where alignment
// drops nothing the dot product is exact.
#include "quant/kernels/bitmod_dot.hpp"

#include <limits>
#include <set>

#include "operands.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

// accelerators.md 4.1, special values included.
const std::vector<int> kFp3 = {0, 1, 2, 3, 4, 6};
const std::vector<int> kFp4 = {0, 1, 2, 3, 4, 6, 8, 10, 12, 16};

int sum_of(const std::vector<Term>& terms) {
  int sum = 0;
  for (const Term& term : terms) sum += term.value();
  return sum;
}

TEST(EncodeTerms, SumToEveryIntegerByBoothDigits) {
  for (const TermCode code : {TermCode::int5, TermCode::int6, TermCode::int8}) {
    const int bits = code == TermCode::int5 ? 5 : code == TermCode::int6 ? 6 : 8;
    for (int v = -(1 << (bits - 1)); v < 1 << (bits - 1); ++v) {
      const auto terms = encode_terms(v, code);
      ASSERT_EQ(terms.size(), terms_of(code));
      ASSERT_EQ(sum_of(terms), v);
      for (std::size_t i = 0; i < terms.size(); ++i) {
        ASSERT_EQ(terms[i].bsig, 2 * i);
        ASSERT_LE(terms[i].exp, 1);
      }
    }
    EXPECT_THROW(encode_terms(1 << (bits - 1), code), std::invalid_argument);
  }
}

TEST(EncodeTerms, NeedTwoForEveryValueOfFp3AndFp4) {
  for (const int v : kFp3) EXPECT_EQ(sum_of(encode_terms(-v, TermCode::fp3)), -v);
  for (const int v : kFp4) {
    EXPECT_EQ(sum_of(encode_terms(v, TermCode::fp4)), v);
    EXPECT_EQ(encode_terms(v, TermCode::fp4).size(), 2u);
  }
  EXPECT_THROW(encode_terms(7, TermCode::fp4), std::invalid_argument);
  EXPECT_THROW(encode_terms(17, TermCode::fp4), std::invalid_argument);
}

TEST(EncodeTerms, TakeAsManyCyclesAsPublished) {
  EXPECT_EQ(terms_of(TermCode::int8), 4u);
  EXPECT_EQ(terms_of(TermCode::int6), 3u);
  EXPECT_EQ(terms_of(TermCode::int5), 3u);
  EXPECT_EQ(terms_of(TermCode::fp4), 2u);
  EXPECT_EQ(terms_of(TermCode::fp3), 2u);
}

std::array<Term, 4> alike(Term term) { return {term, term, term, term}; }

TEST(BitmodStep, KeepsThreeGuardBits) {
  // 1 beside 2^-13: (1024 << 3) >> 13 = 1 survives; beside 2^-14 nothing does.
  const auto step = [](float small) {
    const std::array<Fp16, 4> a = {Fp16::encode(1.0f), Fp16::encode(small), Fp16(), Fp16()};
    return bitmod_step(a, alike({false, 0, true, 0}));
  };
  EXPECT_EQ(step(0x1p-13f).sum, 8192 + 1);
  EXPECT_EQ(step(-0x1p-13f).sum, 8192 - 1);
  EXPECT_EQ(step(0x1p-14f).sum, 8192);
  EXPECT_EQ(step(-0x1p-14f).sum, 8192);  // magnitudes are cut: no floor
  EXPECT_EQ(step(0x1p-14f).exponent, -13);
}

TEST(BitmodStep, LeavesZeroTermsOutOfTheMaximum) {
  const std::array<Fp16, 4> a = {Fp16::encode(1024.0f), Fp16::encode(0x1p-14f), Fp16(), Fp16()};
  auto terms = alike({false, 0, true, 4});
  terms[0].man = false;
  const BitmodStep step = bitmod_step(a, terms);
  EXPECT_EQ(step.sum, 8192);
  EXPECT_EQ(std::ldexp(static_cast<float>(step.sum), step.exponent), 0x1p-14f * 16.0f);
  EXPECT_EQ(bitmod_step(a, alike({})).sum, 0);
  terms[1].bsig = 2;
  EXPECT_THROW(bitmod_step(a, terms), std::invalid_argument);
}

TEST(BitmodStep, AgreesWithASecondComputationInAMillionRandomCases) {
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    std::array<Fp16, 4> a;
    std::array<Term, 4> terms;
    const auto bsig = static_cast<std::uint8_t>(2 * pick(random, 0, 3));
    double unit = 0;  // the largest unit in the last place, times the term's power
    for (std::size_t l = 0; l < 4; ++l) {
      a[l] = Fp16::from_bits(static_cast<std::uint16_t>(random.next()));
      if ((a[l].to_bits() & 0x7C00u) == 0x7C00u) a[l] = Fp16();
      terms[l] = {random.next() % 2 == 0, static_cast<std::uint8_t>(pick(random, 0, 4)),
                  pick(random, 0, 3) != 0, bsig};
      const auto field = static_cast<int>((a[l].to_bits() >> 10) & 31u);
      const double ulp = std::ldexp(1.0, std::max(field, 1) - 25 + terms[l].exp);
      if (terms[l].man) unit = std::max(unit, ulp);
    }
    double sum = 0;
    for (std::size_t l = 0; l < 4; ++l) {
      if (!terms[l].man) continue;
      const double product = static_cast<double>(a[l].decode()) * std::ldexp(1.0, terms[l].exp);
      sum += std::trunc((terms[l].negative ? -product : product) / (unit / 8));
    }
    const BitmodStep step = bitmod_step(a, terms);
    ASSERT_EQ(static_cast<double>(step.sum), sum);
    if (unit != 0) {
      ASSERT_EQ(std::ldexp(1.0, step.exponent), unit / 8 * (1 << bsig));
    }
  }
}

TEST(BitmodGroup, IsExactWhereAlignmentDropsNothingInAMillionCases) {
  // Activations -15 ... 15: at most 4 + 4 steps of exponent apart with 7 zeros below the digits.
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 1, 6));
    const auto code = static_cast<TermCode>(pick(random, 0, 4));
    std::vector<std::int8_t> values;
    std::vector<Fp16> a;
    int expected = 0;
    for (std::size_t k = 0; k < n; ++k) {
      const int activation = pick(random, -15, 15);
      int v = 0;
      if (code == TermCode::fp3)
        v = kFp3[random.next() % kFp3.size()];
      else if (code == TermCode::fp4)
        v = kFp4[random.next() % kFp4.size()];
      else
        v = pick(random, -16, 15) * (code == TermCode::int8 ? 8 : code == TermCode::int6 ? 2 : 1);
      if (code <= TermCode::fp4 && random.next() % 2 == 0) v = -v;
      a.push_back(Fp16::encode(static_cast<float>(activation)));
      values.push_back(static_cast<std::int8_t>(v));
      expected += activation * v;
    }
    ASSERT_EQ(bitmod_group(a, values, code), static_cast<float>(expected));
  }
}

TEST(BitmodGroup, ErrsByLessThanAGuardUnitALaneAndCycle) {
  SYSTOLE_SEEDED(random);
  for (int i = 0; i < 2000; ++i) {
    const auto a = halves(normals(random, 32));
    std::vector<std::int8_t> values;
    for (int k = 0; k < 32; ++k)
      values.push_back(static_cast<std::int8_t>(kFp4[random.next() % 10]));
    double exact = 0;
    double largest = 0;
    for (std::size_t k = 0; k < 32; ++k) {
      exact += static_cast<double>(a[k].decode()) * values[k];
      largest = std::max(largest, std::fabs(static_cast<double>(a[k].decode())));
    }
    // Unit below the digits of 16 |a|: 2^-10 2^-3 of it; 32 elements, two cycles.
    EXPECT_NEAR(bitmod_group(a, values, TermCode::fp4), exact, 64 * 16 * largest * 0x1p-13);
  }
}

TEST(BitmodDequantise, HasTheBitsOfTheMultiplication) {
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const float acc = std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
    const auto scale = static_cast<std::uint8_t>(random.next());
    ASSERT_TRUE(same_bits(bitmod_dequantise(acc, scale), acc * static_cast<float>(scale))) << acc;
  }
}

TEST(BitmodDot, ScalesGroupsAndTheChannel) {
  const auto a = halves(std::vector<float>{1, 2, 3, 4, 5});
  const std::vector<std::int8_t> values{1, 1, 2, -16, 10};
  const std::vector<std::uint8_t> scales{3, 7};
  EXPECT_EQ(bitmod_dot(a, values, TermCode::fp4, 4, scales, 0.5f),
            0.5f * (3 * (1 + 2 + 6 - 64) + 7 * 50));
  EXPECT_THROW(bitmod_dot(a, values, TermCode::fp4, 5, scales, 1), std::invalid_argument);
  EXPECT_THROW(bitmod_dot(a, values, TermCode::fp4, 0, scales, 1), std::invalid_argument);
  auto special = a;
  special[0] = Fp16::from_bits(0x7C00);
  EXPECT_TRUE(std::isnan(bitmod_dot(special, values, TermCode::fp4, 4, scales, 1)));
}

}  // namespace
}  // namespace systole::quant
