// Channels that share an engine against as many that do not: same answers to the last clock.
#include "memory/shared_channel.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "devices.hpp"
#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

std::uint64_t between(Random& random, std::uint64_t least, std::uint64_t most) {
  return static_cast<std::uint64_t>(
      random.uniform(static_cast<std::int64_t>(least), static_cast<std::int64_t>(most)));
}

/// A channel that shares and its twin that never does, told the same.
struct Pair {
  explicit Pair(const configs::DramConfig& c) : shared(c), single(c, DramChannel::Bulk::off) {}
  SharedChannel shared;
  DramChannel single;
  std::uint64_t next_id = 0, in_flight = 0;
  std::vector<SegmentEvent> events;

  void admit(Segment segment, Clock now) {
    segment.id = next_id++;
    ++in_flight;
    ASSERT_EQ(shared.admit(segment, now), single.admit(segment, now));
  }
  void serve(Clock now) {
    shared.serve(now, events);
    single.advance(now);
    std::vector<SegmentEvent> expected;
    while (const auto event = single.pop(now)) {
      expected.push_back(*event);
      if (event->kind == SegmentEvent::Kind::completed) --in_flight;
    }
    ASSERT_EQ(events, expected);
  }
};

Segment random_segment(Random& random) {
  Segment segment;
  segment.write = random.uniform(0, 2) == 0;
  segment.address = between(random, 0, 7) * 2048 + (random.uniform(0, 1) << 20);
  segment.bytes = random.uniform(0, 2) == 0 ? between(random, 1, 9'000) : 2048;
  return segment;
}

class SharedChannels : public testing::TestWithParam<configs::DramConfig> {};
INSTANTIATE_TEST_SUITE_P(Dram, SharedChannels, testing::ValuesIn(devices()));

/// Mostly the same to all, sometimes something else to some; at times they may join again.
TEST_P(SharedChannels, AnswerAsIfEachWereAlone) {
  constexpr std::uint64_t kSeed = 77;
  std::uint64_t joined = 0, parted = 0;
  for (std::uint64_t i = 0; i < 60; ++i) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << i);
    Random random = Random::stream(kSeed, i);
    std::vector<std::unique_ptr<Pair>> pairs;
    for (int n = 0; n < 5; ++n) pairs.push_back(std::make_unique<Pair>(GetParam()));
    Clock now = 0;
    const auto share = [&] {
      for (std::size_t n = 1; n < pairs.size(); ++n) {
        Pair& a = *pairs[n];
        Pair& b = *pairs[between(random, 0, n - 1)];
        if (a.in_flight != 0 || b.in_flight != 0) continue;
        for (Pair* pair : {&a, &b}) {
          pair->shared.advance(now);
          pair->single.advance(now);
        }
        if (!a.shared.share(b.shared, now)) continue;
        a.next_id = b.next_id;
        ++joined;
      }
    };
    share();
    const int rounds = static_cast<int>(random.uniform(50, 400));
    const std::int64_t odd = random.uniform(5, 60);  // one call in so many differs
    for (int round = 0; round < rounds; ++round) {
      const Segment segment = random_segment(random);
      const bool admits = random.uniform(0, 2) == 0;
      const bool counts = random.uniform(0, 9) == 0;
      for (const auto& pair : pairs) {
        const std::size_t before = pair->shared.sharers();
        const bool differs = random.uniform(0, odd) == 0;
        if (differs && random.uniform(0, 1) == 0) continue;
        pair->serve(now);
        if (HasFatalFailure()) return;
        if (admits != differs) pair->admit(differs ? random_segment(random) : segment, now);
        if (HasFatalFailure()) return;
        if (pair->shared.sharers() < before) ++parted;
        if (counts) {
          ASSERT_EQ(pair->shared.counts(), pair->single.counts());
        }
        // A bound is no later than the next event, whichever way it was found.
        if (pair->in_flight > 0) {
          ASSERT_NE(pair->shared.next_event(), kNever);
        }
      }
      now += random.uniform(0, 3) == 0 ? between(random, 0, 4'000) : between(random, 0, 90);
      if (random.uniform(0, 4) == 0) share();
    }
    for (const auto& pair : pairs) {
      pair->serve(now += 10'000'000);
      if (HasFatalFailure()) return;
      ASSERT_EQ(pair->in_flight, 0u);
      ASSERT_EQ(pair->shared.counts(), pair->single.counts());
      pair->shared.restart();
      pair->single.restart();
      ASSERT_EQ(pair->shared.counts(), pair->single.counts());
    }
    now = 0;
    for (const auto& pair : pairs) {
      pair->admit(random_segment(random), now);
      pair->serve(1'000);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(joined, 100u) << "the test must share";
  EXPECT_GT(parted, 100u) << "and part";
}

TEST(SharedChannel, DoesNotJoinAChannelWithAnotherRowOpen) {
  SharedChannel a(hbm2()), b(hbm2());
  Segment segment;
  segment.bytes = 32;
  std::vector<SegmentEvent> events;
  for (SharedChannel* channel : {&a, &b}) {
    channel->admit(segment, 0);
    channel->serve(1'000, events);
    segment.address += 1 << 20;
  }
  EXPECT_FALSE(a.share(b, 1'000));
  // A refresh closes all rows.
  for (SharedChannel* channel : {&a, &b}) channel->serve(10'000, events);
  EXPECT_TRUE(a.share(b, 10'000));
  EXPECT_EQ(a.sharers(), 2u);
  EXPECT_EQ(a.counts(), b.counts());
}

}  // namespace
}  // namespace systole::memory
