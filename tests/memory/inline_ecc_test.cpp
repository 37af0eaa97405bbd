// Check bits among the data: which bursts are moved, and that requests get all of theirs.
#include "memory/inline_ecc.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "configs/library.hpp"
#include "memory/dram_channel.hpp"
#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

TEST(InlineEcc, MovesTheDataAndEachTouchedGroupsCheckBurstOnce) {
  Random random(1);
  for (const std::uint32_t group : {1u, 2u, 7u, 8u, 9u, 64u}) {
    for (int i = 0; i < 500; ++i) {
      InlineEcc ecc(group, 5);
      Segment segment;
      segment.id = 77;
      segment.address = static_cast<std::uint64_t>(random.uniform(0, 20'000));
      segment.bytes = static_cast<std::uint64_t>(random.uniform(1, 5'000));
      std::set<std::uint64_t> expected;
      const std::uint64_t last = (segment.address + segment.bytes - 1) / 32;
      for (std::uint64_t d = segment.address / 32; d <= last; ++d) {
        expected.insert(d / group * (group + 1) + d % group);
        expected.insert(d / group * (group + 1) + group);
      }
      std::multiset<std::uint64_t> moved;
      std::uint64_t bytes = 0;
      const auto pieces = ecc.open(segment);
      for (const Segment& piece : pieces) {
        EXPECT_EQ(piece.address % 32 + piece.bytes % 32, 0u);
        for (std::uint64_t b = 0; b < piece.bytes / 32; ++b) moved.insert(piece.address / 32 + b);
        bytes += piece.bytes - piece.check_bytes;
      }
      EXPECT_EQ(std::multiset<std::uint64_t>(expected.begin(), expected.end()), moved);
      EXPECT_EQ(bytes, segment.bytes);
      // The segment is done with its last piece.
      for (std::size_t p = 0; p < pieces.size(); ++p) {
        const auto event = ecc.translate({p, SegmentEvent::Kind::completed, pieces[p].id});
        EXPECT_EQ(event.has_value(), p + 1 == pieces.size());
        if (event) {
          EXPECT_EQ(event->id, 77u);
        }
      }
    }
  }
}

class EveryPolicyWithInlineEcc : public testing::TestWithParam<configs::DramPolicy> {};

TEST_P(EveryPolicyWithInlineEcc, ServesWhatWasAskedAndSaysSoOnce) {
  const auto policy = std::string(configs::kDramPolicyNames[static_cast<std::size_t>(GetParam())]);
  const auto device =
      configs::load_dram("lpddr4-4266", {"ecc=inline", "controller.policy=" + policy});
  DramChannel channel(device);
  Random random(2);
  std::map<std::uint64_t, int> accepted, completed;
  std::uint64_t asked = 0;
  Clock now = 0;
  const auto serve = [&] {
    while (const auto event = channel.pop(now)) {
      ++(event->kind == SegmentEvent::Kind::accepted ? accepted : completed)[event->id];
    }
  };
  for (std::uint64_t id = 0; id < 300; ++id) {
    Segment segment;
    segment.id = id;
    segment.write = random.uniform(0, 2) == 0;
    segment.address = static_cast<std::uint64_t>(random.uniform(0, 1 << 26));
    segment.bytes = static_cast<std::uint64_t>(random.uniform(1, 4096));
    asked += segment.bytes;
    if (channel.admit(segment, now)) accepted[id] = 1;
    while (accepted[id] == 0) {
      now = std::max(channel.next_event(), now + 1);
      channel.advance(now);
      serve();
    }
  }
  while (!channel.idle()) {
    now = std::max(channel.next_event(), now + 1);
    channel.advance(now);
    serve();
  }
  EXPECT_EQ(accepted.size(), 300u);
  EXPECT_EQ(completed.size(), 300u);
  for (const auto& [id, times] : accepted) EXPECT_EQ(times, 1) << id;
  for (const auto& [id, times] : completed) EXPECT_EQ(times, 1) << id;
  const DramCounts& n = channel.counts();
  const auto weights = index_of(TrafficClass::weights);
  EXPECT_EQ(n.useful_read[weights] + n.useful_written[weights], asked);
  EXPECT_EQ(n.moved_read[weights] + n.moved_written[weights],
            (n.read_bursts + n.write_bursts) * device.burst_bytes);
}

INSTANTIATE_TEST_SUITE_P(Dram, EveryPolicyWithInlineEcc,
                         testing::Values(configs::DramPolicy::shared_window,
                                         configs::DramPolicy::per_bank_queues,
                                         configs::DramPolicy::bank_machines));

TEST(InlineEcc, ANinthOfTheMemoryHoldsCheckBits) {
  const auto device = configs::load_dram("lpddr4-4266", {"ecc=inline"});
  EXPECT_EQ(device.data_bytes(), device.capacity_bytes / 9 * 8);
  EXPECT_EQ(configs::load_dram("lpddr4-4266").data_bytes(), device.capacity_bytes);
}

}  // namespace
}  // namespace systole::memory
