#include "quant/kv/storage.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <string>

#include "kv_samples.hpp"
#include "quant/kv/systems.hpp"

namespace systole::quant {
namespace {

using testing::calibrated;
using testing::kv_samples;
using testing::KvSamples;

constexpr KvShape kLlama2{32, 128, 32};  // 7B: 32 layers
constexpr KvShape kLlama3{8, 128, 32};   // 8B: 32 layers
constexpr double kLayers = 32;

double effective(const KvShape& shape, const KvPolicies& p) {
  return (kv_effective_bits(KvTensor::key, shape, p.key) +
          kv_effective_bits(KvTensor::value, shape, p.value)) /
         2;
}
double bytes_per_token(const KvShape& shape, const KvPolicies& p) {
  return kLayers * 2 * static_cast<double>(shape.width()) * effective(shape, p) / 8;
}

struct Row {
  std::string name;
  KvPolicies policies;
  double bits, llama2, llama3;
};

// quantization.md §10. Bits are exact, so bytes are too.
TEST(KvStorage, ReproducesTheStorageTableToTheByte) {
  const KvPolicies pm4 = [] {
    KvPolicies p = pmkvq();
    p.key.format = p.value.format = Format::int4;
    return p;
  }();
  const KvPolicies pm2 = [] {
    KvPolicies p = pmkvq();
    p.key.format = p.value.format = Format::int2;
    return p;
  }();
  const std::vector<Row> rows = {
      {"fp16", plain_kv(Format::fp16), 16, 524288, 131072},
      {"q8_0", plain_kv(Format::q8_0), 8.5, 278528, 69632},
      {"qserve_kv8", qserve(8), 8.25, 270336, 67584},
      {"fp8", plain_kv(Format::fp8_e4m3), 8.125, 266240, 66560},
      {"kivi4", kivi(4), 5.0, 163840, 40960},
      {"q4_0", plain_kv(Format::q4_0), 4.5, 147456, 36864},
      {"nvfp4", plain_kv(Format::nvfp4), 4.5, 147456, 36864},
      {"qserve_kv4", qserve(4), 4.25, 139264, 34816},
      {"mxfp4", plain_kv(Format::mxfp4), 4.25, 139264, 34816},
      {"pmkvq 4 bit", pm4, 4.25, 139264, 34816},
      {"fireq", fireq(), 4.125, 135168, 33792},
      {"kivi2", kivi(2), 3.0, 98304, 24576},
      {"kivi2 g128", kivi(2, 128), 2.25, 73728, 18432},
      {"pmkvq 2 bit", pm2, 2.25, 73728, 18432},
      {"rotatekv2", rotatekv(2), 2.125, 69632, 17408},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(effective(kLlama2, row.policies), row.bits) << row.name;
    EXPECT_EQ(effective(kLlama3, row.policies), row.bits) << row.name;
    EXPECT_EQ(bytes_per_token(kLlama2, row.policies), row.llama2) << row.name;
    EXPECT_EQ(bytes_per_token(kLlama3, row.policies), row.llama3) << row.name;
  }
}

// The KVQuant rows are printed from bits rounded to two decimals: 4.66 is 4 + 42 * 64 / 4096, its
// per-token V parameters left out; 4.33 is 4 + 42 * 32 / 4096 (0.328) and half a parameter row.
TEST(KvStorage, KvQuantTakesThePublishedBits) {
  const auto bits = [](KvTensor t, const TensorPolicy& p) {
    return kv_effective_bits(t, kLlama2, p);
  };
  const KvPolicies deployed = kvquant(4, true, false, true);
  EXPECT_EQ(bits(KvTensor::key, deployed.key), 4 + 42.0 * 64 / 4096);
  EXPECT_NEAR(bits(KvTensor::key, deployed.key), 4.66, 0.005);
  for (unsigned b : {2u, 3u, 4u}) {
    const KvPolicies p = kvquant(b, true);
    EXPECT_EQ(bits(KvTensor::key, p.key), b + 42.0 * 32 / 4096);
    EXPECT_EQ(bits(KvTensor::value, p.value), b + (42.0 * 32 + 32) / 4096);
    EXPECT_NEAR(effective(kLlama2, p), b + 0.33, 0.005);
    EXPECT_NEAR(bytes_per_token(kLlama2, p), 262144 * (b + 0.33) / 8, 262144 * 0.005 / 8);
  }
}

// ZipCache's 3.2 is of the codes: 60 % at 4 bits and 40 % at 2; parameters go to nothing over many
// tokens but for V's two scalars a token.
TEST(KvStorage, ZipCacheTakesThreePointTwoBitsWithoutItsParameters) {
  EXPECT_NEAR(kv_effective_bits(KvTensor::key, kLlama2, zipcache().key), 3.2, 1e-3);
  EXPECT_NEAR(kv_effective_bits(KvTensor::value, kLlama2, zipcache().value), 3.2 + 32.0 / 4096,
              1e-3);
}

// A6: in the layout of the released code K takes 3.5 bits and V 3.0; a real FFT and base 3 would
// take 2.25 and 2.1. 32 * 128 symbols are 820 bytes, not 819.2.
TEST(KvStorage, VidKvTakesItsNominalBitsOnlyWhenCorrected) {
  const auto bits = [](KvTensor t, Contract c) {
    const KvPolicies p = vidkv(c);
    return kv_effective_bits(t, kLlama3, t == KvTensor::key ? p.key : p.value);
  };
  EXPECT_EQ(bits(KvTensor::key, Contract::reference), 3.5);
  EXPECT_EQ(bits(KvTensor::value, Contract::reference), 3.0);
  EXPECT_EQ(bits(KvTensor::key, Contract::corrected), 2.25);
  EXPECT_EQ(bits(KvTensor::value, Contract::corrected), 820.0 * 8 / 4096 + 0.5);
  EXPECT_NEAR(bits(KvTensor::value, Contract::corrected), 2.1, 0.005);
}

// A5: the means cost 16 / Hkv an element.
TEST(KvStorage, TaDaPaysForItsMeans) {
  EXPECT_EQ(kv_effective_bits(KvTensor::key, kLlama3, tada().key), 4 + 32.0 / 128 + 2.0);
  EXPECT_EQ(kv_effective_bits(KvTensor::key, kLlama2, tada().key), 4 + 32.0 / 128 + 0.5);
}

// B4: 12 bits a token and head, 0.094 an element of K.
TEST(KvStorage, A2AtsIndexTakesTwelveBitsATokenAndHead) {
  const std::uint64_t with = kv_stored_bits(KvTensor::key, kLlama3, a2ats().key, 1000);
  EXPECT_EQ(with - 1000 * kLlama3.width() * 16, 1000u * 8 * 12);
  EXPECT_NEAR(12.0 / 128, 0.094, 0.0005);
}

// quantization.md §2.2: KIVI-2 with its residual, r = R / 2 on average for K and R for V.
TEST(KvStorage, KiviResidualFollowsTheClosedForm) {
  const KvPolicies p = kivi(2);
  const auto k = [&](double tokens) { return 3.0 * (tokens - 64) / tokens + 16 * 64 / tokens; };
  const auto v = [&](double tokens) { return 3.0 * (tokens - 128) / tokens + 16 * 128 / tokens; };
  for (const auto& [tokens, kbits, vbits] :
       {std::tuple{1024, 3.81, 4.63}, {4096, 3.20, 3.41}, {16384, 3.05, 3.10}}) {
    EXPECT_NEAR(k(tokens), kbits, 0.006);
    EXPECT_NEAR(v(tokens), vbits, 0.006);
    const double elements = static_cast<double>(kLlama2.width()) * (tokens + 64);
    // 64 more than a whole number of windows leaves R / 2 keys whole.
    const auto bits = static_cast<double>(
        kv_stored_bits(KvTensor::key, kLlama2, p.key, static_cast<std::uint64_t>(tokens) + 64));
    EXPECT_DOUBLE_EQ(bits / elements, k(tokens + 64));
    const auto value_bits = static_cast<double>(
        kv_stored_bits(KvTensor::value, kLlama2, p.value, static_cast<std::uint64_t>(tokens)));
    EXPECT_DOUBLE_EQ(value_bits / (static_cast<double>(kLlama2.width()) * tokens), v(tokens));
  }
}

// RotateKV with 20 sinks whole: 2.193 bits at 4096 tokens, 2.26 at 2048 (A4).
TEST(KvStorage, RotateKvSinksAreInItsBits) {
  const KvPolicies p = rotatekv(2);
  for (const auto& [tokens, bits] : {std::pair{4096, 2.193}, {2048, 2.26}}) {
    const auto stored = static_cast<double>(
        kv_stored_bits(KvTensor::key, kLlama2, p.key, static_cast<std::uint64_t>(tokens)));
    EXPECT_NEAR(stored / (static_cast<double>(kLlama2.width()) * tokens), bits, 0.001);
  }
}

// A3: 64 tokens, Hkv = 8, D = 128.
TEST(KvStorage, AQServePageIsLaidOutAsPublished) {
  for (const KvTensor t : {KvTensor::key, KvTensor::value}) {
    const KvPolicies p = qserve(4);
    const Page page = page_layout(t, kLlama3, t == KvTensor::key ? p.key : p.value);
    EXPECT_EQ(page.tokens, 64u);
    EXPECT_EQ(page.codes.offset, 0u);
    EXPECT_EQ(page.codes.bytes, 32768u);
    EXPECT_EQ(page.scales.offset, 32768u);
    EXPECT_EQ(page.scales.bytes, 1024u);
    EXPECT_EQ(page.zeros.offset, 33792u);
    EXPECT_EQ(page.zeros.bytes, 1024u);
    EXPECT_EQ(page.bytes, 34816u);
  }
}

TEST(KvStorage, PagesOfOtherSystemsAddUp) {
  const KvPolicies k = kivi(2);
  const Page key = page_layout(KvTensor::key, kLlama3, k.key);
  EXPECT_EQ(key.tokens, 32u);
  EXPECT_EQ(key.bytes, 32 * 1024 * 3 / 8u);
  const Page flush = page_layout(KvTensor::key, kLlama3, k.key, 128);
  EXPECT_EQ(flush.codes.bytes / kLlama3.width(), 32u);  // one flush: 32 bytes a channel
  EXPECT_THROW(page_layout(KvTensor::key, kLlama3, k.key, 100), std::invalid_argument);
  const Page block = page_layout(KvTensor::key, kLlama3, plain_kv(Format::q8_0).key, 16);
  EXPECT_EQ(block.bytes, 16u * 1024 / 32 * 34);
  const Page age = page_layout(KvTensor::key, kLlama3, age_tiers().key, 0, Format::bf16);
  EXPECT_EQ(age.bytes, 16u * 1024 * 2);
  TensorPolicy aligned = qserve(4).key;
  aligned.layout.align_bytes = 4096;
  EXPECT_EQ(page_layout(KvTensor::key, kLlama3, aligned).bytes, 36864u);
  const Page sparse = page_layout(KvTensor::key, kLlama2, kvquant(4, true).key, 1);
  EXPECT_EQ(sparse.sparse.bytes, 42u * 4);
  EXPECT_EQ(sparse.codes.bytes, 2048u);
}

// The closed form against a real cache: every system, several lengths (before, at and after each
// policy's boundaries) and shapes that divide nothing.
TEST(KvStorage, TheClosedFormEqualsWhatARealCacheHolds) {
  for (const KvShape shape : {KvShape{2, 32, 4}, KvShape{4, 24, 4}, KvShape{1, 10, 3}}) {
    const KvSamples s = kv_samples(shape, 330, 11);
    for (const KvSystem& system : kv_systems()) {
      KvPolicies p = system.policies;
      if (system.name == "kvcrush") {  // evict within few tokens
        for (TensorPolicy* t : {&p.key, &p.value}) {
          t->tokens[0].count = 64;
          t->tokens[0].block = 16;
          t->tokens[0].recent = 20;
          t->tokens[0].sinks = 5;
          t->tokens[0].representatives = 1;
        }
      }
      if (system.name == "pmkvq")
        p.key.schedule.budget_bytes = p.value.schedule.budget_bytes = 3000;
      KvCache cache = calibrated(shape, p, s);
      std::size_t done = 0;
      for (const std::size_t tokens : {1u, 31u, 100u, 129u, 257u, 330u}) {
        run(cache, shape, s, done, tokens);
        done = tokens;
        const std::size_t words = 330;  // calibration cannot make more codewords than samples
        EXPECT_EQ(cache.stored_bits_of(KvTensor::key).total(),
                  kv_stored_bits(KvTensor::key, shape, p.key, tokens, words))
            << system.name << " keys, " << tokens << " tokens, head_dim " << shape.head_dim;
        EXPECT_EQ(cache.stored_bits_of(KvTensor::value).total(),
                  kv_stored_bits(KvTensor::value, shape, p.value, tokens, words))
            << system.name << " values, " << tokens << " tokens, head_dim " << shape.head_dim;
      }
    }
  }
}

}  // namespace
}  // namespace systole::quant
