// Prefixes that sequences share in their KV caches: what is read is what each would hold alone,
// nothing that others read is ever written, and what is saved is what is not held twice.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "memory/kv_cache.hpp"
#include "quant/kv/systems.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"
#include "workloads/kv_layout.hpp"

namespace systole::memory {
namespace {

using quant::KvTensor;

constexpr quant::KvShape kLlama3{8, 128, 32};
constexpr std::uint64_t kBurst = 64;
constexpr std::uint64_t kPrefixBase = 1u << 30;

/// Layout in pages; of a system that keeps its tokens outside them, nothing.
std::optional<KvLayout> paged(KvTensor tensor, const quant::KvPolicies& policies) {
  const auto& policy = tensor == KvTensor::key ? policies.key : policies.value;
  KvLayout layout = workloads::kv_layout(tensor, kLlama3, policy, "test");
  if (layout.rule == KvRule::whole) return std::nullopt;
  return workloads::with_pages(std::move(layout), "test");
}

/// A prefix, and the two kinds of sequences that share it.
struct Shared {
  Shared(const KvLayout& layout, std::uint64_t prefix_tokens, std::uint64_t capacity)
      : of_prefix(layout, prefix_tokens), own(layout, capacity, prefix_tokens) {
    prefix.append(prefix_tokens);
    copier.share(prefix, false);
    last.share(prefix, true);
  }
  KvGeometry of_prefix, own;
  KvCache prefix{of_prefix, kPrefixBase, kBurst};
  KvCache copier{own, 0, kBurst}, last{own, 0, kBurst};
};

std::uint64_t bytes_read(const KvCache& cache, const KvLayout& layout) {
  return total_bytes(cache.read(0, layout.heads, 0, cache.attended()));
}

TEST(KvSharing, EverySystemReadsWhatItWouldHoldAloneAndWritesNoPageOfOthers) {
  for (const quant::KvSystem& system : quant::kv_systems()) {
    for (const KvTensor tensor : {KvTensor::key, KvTensor::value}) {
      const std::optional<KvLayout> layout = paged(tensor, system.policies);
      if (!layout) continue;
      for (const auto& [prefix, rest] : {std::pair(300u, 40u), {256u, 0u}, {1u, 130u}}) {
        const std::uint64_t capacity = prefix + rest + 150;
        Shared shared(*layout, prefix, capacity);
        const KvGeometry alone_geometry(*layout, capacity);
        KvCache alone(alone_geometry, 0, kBurst);
        alone.append(prefix);
        if (rest > 0) {
          alone.append_together(rest);
          shared.copier.append_together(rest);
          shared.last.append_together(rest);
        }
        const std::uint64_t pages = shared.prefix.page_forms().size();
        std::uint64_t copied = 0, replaced = 0;
        for (std::uint64_t t = prefix + rest; t < capacity; ++t) {
          const KvMoves a = alone.append(1), c = shared.copier.append(1), l = shared.last.append(1);
          const std::string where = std::string(system.name) + " at " + std::to_string(t);
          for (const Transfer& write : c.writes) {
            ASSERT_LT(write.address + write.bytes, kPrefixBase) << where;
            ASSERT_LE(write.address + write.bytes, shared.own.bytes) << where;
          }
          // What a copy adds is read once and written once.
          const bool first = t == prefix;
          ASSERT_EQ(total_bytes(c.writes), total_bytes(a.writes) + c.copied_bytes) << where;
          if (!first) {
            ASSERT_EQ(total_bytes(c.reads), total_bytes(a.reads) + c.copied_bytes) << where;
            ASSERT_EQ(total_bytes(l.writes), total_bytes(a.writes)) << where;
            ASSERT_EQ(l.copied_pages + l.copied_bytes, 0u) << where;
          }
          copied += c.copied_pages;
          replaced += c.replaced_pages;
          ASSERT_EQ(shared.copier.stored().total(), alone.stored().total()) << where;
          ASSERT_EQ(shared.copier.page_forms(), alone.page_forms()) << where;
          ASSERT_EQ(bytes_read(shared.copier, *layout), bytes_read(alone, *layout)) << where;
          ASSERT_EQ(bytes_read(shared.last, *layout), bytes_read(alone, *layout)) << where;
          ASSERT_EQ(shared.copier.shared_pages(), shared.last.shared_pages()) << where;
        }
        ASSERT_LE(shared.copier.shared_pages() + copied + replaced, pages) << system.name;
        ASSERT_LE(shared.copier.shared_bits(), shared.prefix.stored().total()) << system.name;
      }
    }
  }
}

TEST(KvSharing, AnAppendBehindTheLastTokenCopiesItsPageOnce) {
  const KvLayout layout = *paged(KvTensor::key, quant::kv_system("fp16"));
  Shared shared(layout, 100, 200);  // pages of 64: the second holds 36 tokens
  EXPECT_EQ(shared.copier.shared_pages(), 2u);
  EXPECT_EQ(shared.copier.shared_bits(), 100u * 1024 * 16);
  const KvMoves moves = shared.copier.append(1);
  EXPECT_EQ(moves.copied_pages, 1u);
  EXPECT_EQ(moves.copied_bytes, 36u * 2048);
  EXPECT_EQ(total_bytes(moves.reads), 36u * 2048);
  EXPECT_EQ(total_bytes(moves.writes), 37u * 2048);
  for (const Transfer& read : moves.reads) EXPECT_GE(read.address, kPrefixBase);
  EXPECT_EQ(shared.copier.shared_pages(), 1u);
  EXPECT_EQ(shared.copier.append(1).copied_pages, 0u);
  // The last one writes where the others no longer read.
  const KvMoves in_place = shared.last.append(1);
  EXPECT_EQ(in_place.copied_pages, 0u);
  for (const Transfer& write : in_place.writes) EXPECT_GE(write.address, kPrefixBase);
  EXPECT_EQ(shared.last.shared_pages(), 1u);
}

TEST(KvSharing, RecompressionEndsItWithoutACopy) {
  const KvLayout layout = *paged(KvTensor::key, quant::kv_system("zipcache"));
  Shared shared(layout, 250, 400);
  const std::uint64_t pages = shared.copier.shared_pages();
  EXPECT_GT(pages, 0u);
  std::uint64_t replaced = 0, copied = 0;
  for (int i = 0; i < 50; ++i) {
    const KvMoves moves = shared.copier.append(1);
    replaced += moves.replaced_pages;
    copied += moves.copied_pages;
  }
  EXPECT_EQ(shared.copier.shared_pages(), 0u) << "300 tokens: all is coded again";
  EXPECT_EQ(replaced, pages);
  EXPECT_EQ(copied, 0u);
}

TEST(KvSharing, EvictionGivesUpItsPartOfThePages) {
  const KvLayout layout = *paged(KvTensor::key, quant::kv_system("kvcrush"));
  Shared shared(layout, 800, 2000);
  const std::uint64_t pages = shared.copier.shared_pages();
  for (int i = 0; i < 600; ++i) shared.copier.append(1);
  EXPECT_LT(shared.copier.shared_pages(), pages);
  EXPECT_EQ(shared.prefix.page_forms().size(), pages) << "the others still have them";
}

TEST(KvSharing, TheRegionOfASequenceHoldsItsOwnPagesAlone) {
  const KvLayout layout = *paged(KvTensor::key, quant::kv_system("fp16"));
  const KvGeometry alone(layout, 1100), own(layout, 1100, 1000);
  EXPECT_EQ(alone.pools[0].pages, 18u);
  EXPECT_EQ(own.pools[0].pages, 3u);  // the sixteenth is copied
}

TEST(KvSharing, OnlyAnEmptyCacheSharesAPrefix) {
  const KvLayout layout = *paged(KvTensor::key, quant::kv_system("fp16"));
  Shared shared(layout, 100, 200);
  EXPECT_THROW(shared.copier.share(shared.prefix, false), InternalError);
}

TEST(KvSharing, WhatLiesOutsidePagesIsRefused) {
  const KvLayout layout =
      workloads::kv_layout(KvTensor::key, kLlama3, quant::kv_system("a2ats").key, "test");
  EXPECT_THROW(workloads::with_pages(layout, "test"), ConfigError);
}

}  // namespace
}  // namespace systole::memory
