// Retrieval of pages by bounds of their keys (Quest): what is computed and what is timed read the
// same pages, and no page that holds the largest score is bounded below it.
#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "memory/kv_cache.hpp"
#include "quant/kv/cache.hpp"
#include "quant/kv/storage.hpp"
#include "quant/kv/systems.hpp"
#include "sim/core/random.hpp"
#include "sim/core/units.hpp"
#include "workloads/kv_layout.hpp"

namespace systole::memory {
namespace {

using quant::KvTensor;

constexpr std::uint64_t kBurst = 64;

quant::TensorPolicy quest(std::uint32_t block, double ratio) {
  quant::TensorPolicy policy = quant::kv_system("fp16").key;
  quant::TokenPolicy pages;
  pages.kind = quant::TokenKind::retrieve;
  pages.scorer = quant::Scorer::page_bounds;
  pages.block = block;
  pages.ratio = ratio;
  policy.tokens = {pages};
  return policy;
}

/// A functional cache of random tokens, and the query that then attends.
struct Attended {
  Attended(const quant::KvShape& shape, const quant::TensorPolicy& policy, std::uint64_t tokens,
           std::uint64_t seed)
      : cache(shape, policy, policy, 10000.0), query(shape.query_heads * shape.head_dim) {
    Random random(seed);
    const auto some = [&] { return static_cast<float>(random.uniform(-1000, 1000)) / 256.0f; };
    std::vector<float> key(shape.width()), value(shape.width());
    for (std::uint64_t t = 0; t < tokens; ++t) {
      for (float& x : key) x = some();
      for (float& x : value) x = some();
      cache.append(key, key, value, t);
    }
    for (float& x : query) x = some();
    out.resize(query.size());
    cache.attend(query, query, tokens - 1, out);
  }
  quant::KvCache cache;
  std::vector<float> query, out;
};

TEST(PageRetrieval, ReadsThePagesWithTheLargestBoundsAndTheLast) {
  constexpr quant::KvShape kShape{1, 32, 1};
  for (const std::uint64_t tokens : {65u, 80u, 129u, 250u}) {
    const Attended quested(kShape, quest(16, 0.3), tokens, tokens);
    const std::uint64_t pages = ceil_div(tokens, 16);
    std::vector<std::pair<float, std::uint64_t>> bounds;
    for (std::uint64_t p = 0; p + 1 < pages; ++p) {
      float bound = 0, best = -std::numeric_limits<float>::infinity();
      std::vector<std::vector<float>> keys;
      for (std::uint64_t t = p * 16; t < (p + 1) * 16; ++t)
        keys.push_back(quested.cache.decoded_key(t));
      for (std::size_t i = 0; i < 32; ++i) {
        float least = keys[0][i], most = keys[0][i];
        for (const auto& key : keys) least = std::min(least, key[i]), most = std::max(most, key[i]);
        bound += std::max(quested.query[i] * least, quested.query[i] * most);
      }
      for (const auto& key : keys) {
        float score = 0;
        for (std::size_t i = 0; i < 32; ++i) score += quested.query[i] * key[i];
        best = std::max(best, score);
      }
      EXPECT_LE(best, bound * 1.0001f + 1e-3f) << "page " << p;
      bounds.emplace_back(-bound, p);
    }
    std::sort(bounds.begin(), bounds.end());
    const auto chosen = static_cast<std::uint64_t>(std::ceil(0.3 * static_cast<double>(pages))) - 1;
    std::set<std::uint64_t> expected{pages - 1};
    for (std::uint64_t i = 0; i < chosen; ++i) expected.insert(bounds[i].second);
    std::set<std::uint64_t> read;
    for (const std::uint64_t t : quested.cache.fetched()) read.insert(t / 16);
    EXPECT_EQ(read, expected) << tokens;
  }
}

TEST(PageRetrieval, OfAllPagesIsThePlainCacheBitForBit) {
  constexpr quant::KvShape kShape{2, 64, 4};
  const Attended plain(kShape, quant::kv_system("fp16").key, 200, 5);
  const Attended all(kShape, quest(16, 1.0), 200, 5), some(kShape, quest(16, 0.25), 200, 5);
  EXPECT_EQ(plain.out, all.out);
  EXPECT_NE(plain.out, some.out);
}

TEST(PageRetrieval, TimedAndComputedReadEquallyManyTokensAndStoreEquallyManyBits) {
  constexpr quant::KvShape kShape{1, 64, 1};
  for (const std::uint32_t block : {2u, 16u, 31u}) {
    for (const double ratio : {0.01, 0.0625, 0.4, 1.0}) {
      for (const std::uint64_t tokens : {1u, 15u, 16u, 17u, 160u, 333u}) {
        const quant::TensorPolicy policy = quest(block, ratio);
        const Attended computed(kShape, policy, tokens, 9);
        const KvGeometry geometry(workloads::kv_layout(KvTensor::key, kShape, policy, "test"), 400);
        KvCache timed(geometry, 0, kBurst);
        timed.append(tokens);
        const std::uint64_t read = timed.fetches() ? computed.cache.fetched().size() : tokens;
        EXPECT_EQ(timed.attended(), read) << block << ' ' << ratio << ' ' << tokens;
        EXPECT_EQ(timed.stored().total(),
                  quant::kv_stored_bits(KvTensor::key, kShape, policy, tokens))
            << block << ' ' << ratio << ' ' << tokens;
      }
    }
  }
}

TEST(PageRetrieval, TheIndexIsWrittenOncePerPageAndReadBeforeTheRows) {
  constexpr quant::KvShape kShape{2, 64, 2};
  const KvGeometry geometry(workloads::kv_layout(KvTensor::key, kShape, quest(16, 0.1), "test"),
                            1000);
  KvCache cache(geometry, 0, kBurst);
  std::uint64_t written = total_bytes(cache.append(500).writes);
  for (int i = 0; i < 500; ++i) written += total_bytes(cache.append(1).writes);
  const std::uint64_t row = 2 * 64 * 2;  // both heads
  EXPECT_EQ(written, (1000 + 2 * (1000 / 16)) * row);
  EXPECT_EQ(cache.scored_pages(), 62u);
  EXPECT_EQ(total_bytes(cache.read_index(0, 2)), 2 * 62 * row);
  const std::uint64_t all = total_bytes(cache.read(0, 2, 0, cache.attended()));
  const std::uint64_t rows =
      total_bytes(cache.read(0, 2, 0, cache.attended(), nullptr, KvPart::rows));
  EXPECT_EQ(rows, cache.attended() * row);
  EXPECT_EQ(all, rows + 2 * 62 * row);
}

}  // namespace
}  // namespace systole::memory
