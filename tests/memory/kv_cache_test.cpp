// The KV cache through its real allocator: every system of the field stores to the bit what its
// codec says, and what is appended, read and maintained is what is stored.
#include "memory/kv_cache.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "quant/kv/cache.hpp"
#include "quant/kv/storage.hpp"
#include "quant/kv/systems.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"
#include "sim/core/units.hpp"
#include "workloads/kv_layout.hpp"

namespace systole::memory {
namespace {

using quant::KvPolicies;
using quant::KvTensor;

constexpr quant::KvShape kLlama2{32, 128, 32};
constexpr quant::KvShape kLlama3{8, 128, 32};
constexpr std::uint64_t kBurst = 64;

KvLayout layout_of(KvTensor tensor, const quant::KvShape& shape, const KvPolicies& policies) {
  return workloads::kv_layout(tensor, shape,
                              tensor == KvTensor::key ? policies.key : policies.value, "test");
}

std::uint64_t bytes_of(const std::vector<Transfer>& transfers) {
  std::uint64_t bytes = 0;
  for (const Transfer& t : transfers) bytes += t.bytes;
  return bytes;
}

std::uint64_t bursts_of(const std::vector<Transfer>& transfers) {
  std::uint64_t bytes = 0;
  for (const Transfer& t : transfers) bytes += burst_bytes_of(t, kBurst);
  return bytes / kBurst;
}

std::vector<Transfer> read_all(const KvCache& cache, const KvLayout& layout) {
  return cache.read(0, layout.heads, 0, cache.attended());
}

TEST(KvCache, EverySystemStoresWhatItsCodecSaysToTheBit) {
  constexpr quant::KvShape kSmall{2, 64, 4};
  for (const quant::KvSystem& system : quant::kv_systems()) {
    for (const quant::KvShape& shape : {kLlama2, kLlama3, kSmall}) {
      for (const KvTensor tensor : {KvTensor::key, KvTensor::value}) {
        const auto& policy = tensor == KvTensor::key ? system.policies.key : system.policies.value;
        const KvGeometry geometry(layout_of(tensor, shape, system.policies), 1025);
        KvCache cache(geometry, 1u << 20, kBurst);
        for (std::uint64_t tokens = 1; tokens <= 1025; ++tokens) {
          cache.append(1);
          ASSERT_EQ(cache.stored().total(), quant::kv_stored_bits(tensor, shape, policy, tokens))
              << system.name << ", " << tokens << " tokens";
          ASSERT_GE(8 * cache.allocated_bytes() + 7,
                    cache.stored().total() - cache.stored().padding)
              << system.name;
        }
      }
    }
  }
}

// quantization.md §10, bytes of a token of all layers, windows and sinks apart: exact from b_eff.
TEST(KvCache, TheTableOfPublishedSizesIsMetToTheByte) {
  struct Row {
    const char* system;
    std::uint64_t llama2, llama3;
  };
  constexpr std::uint64_t kTokens = 1u << 15;
  for (const Row& row : std::vector<Row>{{"fp16", 524288, 131072},
                                         {"q8_0", 278528, 69632},
                                         {"qserve_kv8", 270336, 67584},
                                         {"fp8", 266240, 66560},
                                         {"kivi4", 163840, 40960},
                                         {"q4_0", 147456, 36864},
                                         {"nvfp4", 147456, 36864},
                                         {"qserve_kv4", 139264, 34816},
                                         {"mxfp4", 139264, 34816},
                                         {"fireq", 135168, 33792},
                                         {"kivi2", 98304, 24576},
                                         {"rotatekv2", 69632, 17408}}) {
    const KvPolicies& policies = quant::kv_system(row.system);
    for (const auto& [shape, expected] :
         {std::pair(kLlama2, row.llama2), std::pair(kLlama3, row.llama3)}) {
      std::uint64_t bits = 0, tokens = 0;
      for (const KvTensor tensor : {KvTensor::key, KvTensor::value}) {
        const KvGeometry geometry(layout_of(tensor, shape, policies), kTokens);
        KvCache cache(geometry, 0, kBurst);
        cache.append(kTokens);
        const KvStored stored = cache.stored();
        const std::uint64_t whole =
            stored.full / std::max<std::uint64_t>(geometry.layout.full_token_bits, 1);
        tokens = kTokens - whole;
        // Keys and values have windows of different lengths: each per coded token.
        const std::uint64_t coded = stored.total() - stored.full;
        ASSERT_EQ(coded % tokens, 0u) << row.system;
        bits += coded / tokens;
      }
      EXPECT_EQ(bits * 32 / 8, expected) << row.system;
    }
  }
}

TEST(KvCache, WhatIsAppendedAtOnceIsWhatIsReadAndWhatIsStored) {
  for (const quant::KvSystem& system : quant::kv_systems()) {
    for (const KvTensor tensor : {KvTensor::key, KvTensor::value}) {
      for (const std::uint64_t tokens : {2u, 31u, 128u, 777u, 1000u}) {
        const KvGeometry geometry(layout_of(tensor, kLlama3, system.policies), 1000);
        const KvLayout& layout = geometry.layout;
        if (layout.rule == KvRule::whole) continue;  // reads what the index fetches
        KvCache cache(geometry, 4096, kBurst);
        const KvMoves moves = cache.append(tokens);
        const KvStored stored = cache.stored();
        const std::uint64_t bits = stored.total() - stored.padding;
        EXPECT_TRUE(moves.reads.empty());
        EXPECT_EQ(bytes_of(moves.writes), ceil_div(bits, 8)) << system.name << ' ' << tokens;
        EXPECT_EQ(bytes_of(read_all(cache, layout)), ceil_div(bits, 8)) << system.name;
        // The region holds all of it, once.
        std::map<std::uint64_t, std::uint64_t> runs;
        for (const Transfer& t : moves.writes) {
          EXPECT_TRUE(t.write);
          EXPECT_EQ(t.traffic, TrafficClass::kv_cache);
          runs[t.address] = t.address + t.bytes;
        }
        std::uint64_t end = 4096;
        for (const auto& [from, to] : runs) {
          EXPECT_GE(from, end) << system.name;
          end = to;
        }
        EXPECT_LE(end, 4096 + geometry.bytes) << system.name;
      }
    }
  }
}

TEST(KvCache, TokenByTokenTheCacheEndsWhereOneAppendPutsIt) {
  for (const quant::KvSystem& system : quant::kv_systems()) {
    for (const KvTensor tensor : {KvTensor::key, KvTensor::value}) {
      const KvGeometry geometry(layout_of(tensor, kLlama3, system.policies), 700);
      KvCache one(geometry, 0, kBurst), all(geometry, 0, kBurst);
      for (int i = 0; i < 700; ++i) one.append(1);
      all.append(700);
      EXPECT_EQ(one.stored().total(), all.stored().total()) << system.name;
      EXPECT_EQ(one.page_forms(), all.page_forms()) << system.name;
      EXPECT_EQ(bytes_of(read_all(one, geometry.layout)), bytes_of(read_all(all, geometry.layout)))
          << system.name;
    }
  }
}

TEST(KvCache, ReadsInPiecesOfHeadsAndTokensAddUpToTheWhole) {
  Random random(11);
  for (const quant::KvSystem& system : quant::kv_systems()) {
    for (const KvTensor tensor : {KvTensor::key, KvTensor::value}) {
      const KvGeometry geometry(layout_of(tensor, kLlama3, system.policies), 2000);
      const KvLayout& layout = geometry.layout;
      if (layout.rule == KvRule::whole) continue;
      KvCache cache(geometry, 0, kBurst);
      const auto tokens = static_cast<std::uint64_t>(random.uniform(1, 2000));
      cache.restore(tokens);
      const std::uint64_t heads = layout.heads_together() ? layout.heads : 1;
      const std::uint64_t piece = 8 * static_cast<std::uint64_t>(random.uniform(4, 40));
      std::uint64_t bytes = 0;
      for (std::uint64_t h = 0; h < layout.heads; h += heads) {
        for (std::uint64_t t = 0; t < cache.attended(); t += piece) {
          bytes += bytes_of(cache.read(h, heads, t, std::min(cache.attended(), t + piece)));
        }
      }
      // Class bits of unaligned pieces share bytes.
      const std::uint64_t pieces = ceil_div(cache.attended(), piece);
      const std::uint64_t whole = bytes_of(read_all(cache, layout));
      EXPECT_GE(bytes, whole) << system.name;
      EXPECT_LE(bytes, whole + (layout.token_planes.empty() ? 0 : pieces)) << system.name;
    }
  }
}

TEST(KvCache, KiviWritesAClosedGroupAsHalfALineAChannel) {
  const KvGeometry geometry(layout_of(KvTensor::key, kLlama2, quant::kv_system("kivi2")), 1024);
  KvCache cache(geometry, 0, kBurst);
  for (int i = 0; i < 127; ++i) {
    const KvMoves moves = cache.append(1);
    EXPECT_EQ(bytes_of(moves.writes), 4096u * 2) << "into the window, whole";
    EXPECT_TRUE(moves.reads.empty());
  }
  const KvMoves flush = cache.append(1);
  EXPECT_EQ(flush.coded_tokens, 128u);
  EXPECT_EQ(bytes_of(flush.reads), 127u * 4096 * 2) << "the 128th comes from on chip";
  // 32 B of codes a channel, 8 B of scales and 8 of minima: a burst each.
  EXPECT_EQ(bytes_of(flush.writes), 4096u * (32 + 8 + 8));
  EXPECT_EQ(flush.writes.size(), 4096u * 3);
  EXPECT_EQ(bursts_of(flush.writes), 4096u * 3);
}

TEST(KvCache, KvquantAppendsAWordHereAndThere) {
  const KvGeometry geometry(layout_of(KvTensor::key, kLlama2, quant::kv_system("kvquant_nuq3")),
                            4096);
  KvCache cache(geometry, 0, kBurst);
  cache.append(1000);
  const KvMoves moves = cache.append(1);
  EXPECT_EQ(moves.writes.size(), 32u * 128 * 3 / 32);
  EXPECT_EQ(bytes_of(moves.writes), 4096u * 3 / 8);
  EXPECT_EQ(bursts_of(moves.writes) * kBurst, 16 * bytes_of(moves.writes)) << "quantization.md A1";
}

TEST(KvCache, PartialBurstsAreReadBeforeTheyAreWrittenWhereNothingMasks) {
  const KvGeometry geometry(layout_of(KvTensor::key, kLlama2, quant::kv_system("kvquant_nuq3")),
                            4096);
  KvCache cache(geometry, 0, kBurst, KvStaging::dram, false);
  cache.append(1000);
  const KvMoves moves = cache.append(1);
  EXPECT_EQ(bytes_of(moves.reads), 384u * kBurst);
}

TEST(KvCache, ZipcacheWritesEverythingAgainEveryHundredTokens) {
  const KvGeometry geometry(layout_of(KvTensor::key, kLlama2, quant::kv_system("zipcache")), 500);
  KvCache cache(geometry, 0, kBurst);
  cache.append(399);
  const std::uint64_t before = cache.stored().total();
  const std::uint64_t buffered = cache.stored().full;
  const KvMoves moves = cache.append(1);
  EXPECT_EQ(moves.coded_tokens, 400u);
  EXPECT_NEAR(static_cast<double>(bytes_of(moves.reads)), static_cast<double>(before) / 8, 64);
  EXPECT_EQ(cache.stored().full, 0u);
  EXPECT_GT(bytes_of(moves.writes), (before - buffered) / 8);
  EXPECT_EQ(bytes_of(cache.append(1).writes), 4096u * 2 + 1);
}

TEST(KvCache, PmkvqShrinksTheWholeCacheWhenItsBudgetIsFull) {
  const KvGeometry geometry(layout_of(KvTensor::key, kLlama3, quant::pmkvq(1u << 20)), 4096);
  KvCache cache(geometry, 0, kBurst);
  std::vector<std::uint64_t> events;
  for (std::uint64_t t = 1; t <= 4096; ++t) {
    const KvMoves moves = cache.append(1);
    if (!moves.decode.none()) events.push_back(t);
  }
  // 2^20 B are 512 tokens of 1024 channels at 16 bits, 1024 at 8, 2048 at 4; a sink and a window.
  EXPECT_THAT(events, testing::ElementsAre(1 + 5 * 128, 1 + 9 * 128, 1 + 17 * 128));
}

TEST(KvCache, RetrievalFetchesRowsThatLieApart) {
  const KvGeometry geometry(layout_of(KvTensor::key, kLlama3, quant::kv_system("a2ats")), 32768);
  KvCache cache(geometry, 0, kBurst);
  cache.append(32768);
  EXPECT_EQ(cache.attended(), 8u + 64 + 984);
  const std::vector<Transfer> reads = cache.read(0, 1, 0, cache.attended());
  // Codebook, index of 12 bits a token, sinks, rows, window.
  EXPECT_GT(reads.size(), 900u);
  EXPECT_NEAR(static_cast<double>(bytes_of(reads)), 4096.0 * 256 + 32768 * 1.5 + 1056 * 256, 64);
}

TEST(KvCache, EvictionFreesBlocksThatAreUsedAgain) {
  const KvGeometry geometry(layout_of(KvTensor::key, kLlama3, quant::kv_system("kvcrush")), 4096);
  KvCache cache(geometry, 0, kBurst);
  std::uint64_t most = 0;
  for (int i = 0; i < 4096; ++i) {
    const KvMoves moves = cache.append(1);
    EXPECT_EQ(bytes_of(moves.writes), 2048u);
    most = std::max(most, cache.allocated_bytes());
  }
  EXPECT_LE(most, (32 + 512 + 128 + 32 + 64 + 64) * 2048u);
  EXPECT_LT(geometry.bytes, 4096u * 2048 / 4);
}

// One query over all tokens, as the functional cache counts it (transforms of the query apart,
// which these systems do not have).
TEST(KvCache, DecodingTakesTheOperationsThatTheCodecCounts) {
  constexpr quant::KvShape kShape{2, 64, 2};
  for (const char* name : {"int8", "fp8", "mxfp4", "q8_0", "kivi2", "kivi4", "qserve_kv4",
                           "qserve_kv8", "zipcache", "tada"}) {
    const KvPolicies& policies = quant::kv_system(name);
    constexpr std::uint64_t kTokens = 333;
    quant::KvCache functional(kShape, policies.key, policies.value, 10000.0);
    Random random(7);
    std::vector<float> key(128), value(128), query(128), out(128);
    for (std::uint64_t t = 0; t < kTokens; ++t) {
      for (auto* row : {&key, &value, &query}) {
        for (float& x : *row) x = static_cast<float>(random.uniform(-1000, 1000)) / 1000.0f;
      }
      functional.append(key, key, value, t);
    }
    const quant::OpCounts before = functional.read_ops();
    functional.attend(query, query, kTokens - 1, out);
    quant::OpCounts ops = functional.read_ops();
    KvDecodeWork work;
    for (const KvTensor tensor : {KvTensor::key, KvTensor::value}) {
      const KvGeometry geometry(layout_of(tensor, kShape, policies), kTokens);
      KvCache cache(geometry, 0, kBurst);
      cache.restore(kTokens);
      work += cache.decode_work(kShape.kv_heads, 0, cache.attended());
    }
    EXPECT_EQ(work.unpacks, ops.unpack - before.unpack) << name;
    EXPECT_EQ(work.lookups, ops.lookup - before.lookup) << name;
    EXPECT_EQ(work.gathers, ops.gather - before.gather) << name;
    EXPECT_EQ(work.sparse_macs, ops.sparse_mac - before.sparse_mac) << name;
    EXPECT_EQ(work.multiply_adds + work.transform_adds,
              ops.fma + ops.multiply + ops.add - before.fma - before.multiply - before.add)
        << name;
  }
}

TEST(KvCache, TokensBeyondTheRegionAreOurBug) {
  const KvGeometry geometry(layout_of(KvTensor::key, kLlama3, quant::kv_system("fp16")), 4);
  KvCache cache(geometry, 0, kBurst);
  EXPECT_THROW(cache.append(5), InternalError);
  cache.append(4);
  EXPECT_THROW(cache.append(1), InternalError);
  EXPECT_THROW(cache.read(0, 8, 0, 5), InternalError);
  EXPECT_THROW(cache.read(8, 1, 0, 1), InternalError);
  EXPECT_THROW(KvGeometry(geometry.layout, 0), InternalError);
}

}  // namespace
}  // namespace systole::memory
