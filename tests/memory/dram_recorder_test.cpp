// What a channel's banks did, against what the channel counts.
#include "memory/dram_recorder.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <vector>

#include "channel_driver.hpp"
#include "devices.hpp"

namespace systole::memory {
namespace {

constexpr std::size_t kAll = 1'000'000;

std::vector<Segment> reads_and_writes() {
  std::vector<Segment> segments = stream(0, 512 << 10);
  const std::vector<Segment> written = stream(3 << 20, 64 << 10, true);
  segments.insert(segments.end(), written.begin(), written.end());
  const std::vector<Segment> far = stream(64 << 20, 256 << 10);
  segments.insert(segments.end(), far.begin(), far.end());
  for (std::size_t i = 0; i < segments.size(); ++i) segments[i].id = i;
  return segments;
}

struct Recorded {
  std::vector<DramSlice> slices;
  DramCounts counts;
};
Recorded record(const configs::DramConfig& config, std::size_t most = kAll,
                DramChannel::Bulk bulk = DramChannel::Bulk::on) {
  DramRecorder recorder(config, most);
  DramChannel channel(config, bulk);
  channel.record_to(&recorder);
  const Clock end = drive(channel, reads_and_writes()).end + 100'000;
  channel.advance(end);
  return {
      recorder.take(static_cast<std::uint64_t>(static_cast<double>(end) * 1e6 / config.clock_mhz)),
      channel.counts()};
}

class DramRecorders : public testing::TestWithParam<configs::DramConfig> {};
INSTANTIATE_TEST_SUITE_P(Dram, DramRecorders, testing::ValuesIn(devices()));

TEST_P(DramRecorders, HoldEveryCommandThatIsCounted) {
  const configs::DramConfig& config = GetParam();
  const Recorded recorded = record(config);
  std::map<DramAct, std::uint64_t> count, bytes;
  for (const DramSlice& slice : recorded.slices) {
    EXPECT_EQ(slice.pieces, 1u);
    EXPECT_LT(slice.bank, config.banks());
    ++count[slice.act];
    bytes[slice.act] += slice.bytes;
  }
  EXPECT_EQ(bytes[DramAct::read], recorded.counts.read_bursts * config.burst_bytes);
  EXPECT_EQ(bytes[DramAct::write], recorded.counts.write_bursts * config.burst_bytes);
  EXPECT_EQ(count[DramAct::row_open], recorded.counts.activates);
  const std::uint64_t of_unit = config.banks() / config.units();
  if (config.refresh == configs::RefreshMode::all_bank) {
    EXPECT_EQ(count[DramAct::refresh], recorded.counts.refreshes * of_unit);
  }
}

TEST_P(DramRecorders, ABanksRowsDoNotOverlapAndHoldWhatIsReadAndWritten) {
  const Recorded recorded = record(GetParam());
  std::map<std::uint32_t, DramSlice> open;
  for (const DramSlice& slice : recorded.slices) {  // in order of their begins
    if (slice.act == DramAct::row_open) {
      if (open.contains(slice.bank)) {
        EXPECT_GE(slice.begin_ps, open[slice.bank].end_ps);
      }
      open[slice.bank] = slice;
    } else if (slice.act != DramAct::refresh) {
      ASSERT_TRUE(open.contains(slice.bank)) << "no open row in bank " << slice.bank;
      EXPECT_GE(slice.begin_ps, open[slice.bank].begin_ps);
      EXPECT_LE(slice.end_ps, open[slice.bank].end_ps);
    }
  }
}

TEST_P(DramRecorders, StreamsIssuedSeveralAtATimeAreRecordedAsOneByOne) {
  EXPECT_EQ(record(GetParam()).slices, record(GetParam(), kAll, DramChannel::Bulk::off).slices);
}

TEST_P(DramRecorders, RecordingChangesNoCount) {
  DramChannel channel(GetParam());
  channel.advance(drive(channel, reads_and_writes()).end + 100'000);
  EXPECT_EQ(channel.counts(), record(GetParam()).counts);
}

TEST_P(DramRecorders, JoinWhatIsTooMuchAndKeepTheBytes) {
  const Recorded all = record(GetParam());
  constexpr std::size_t kMost = kExactDramSlices + 400;
  const Recorded some = record(GetParam(), kMost);
  const auto sums = [](const std::vector<DramSlice>& slices) {
    std::map<std::pair<std::uint32_t, DramAct>, std::array<std::uint64_t, 3>> sum;
    for (const DramSlice& slice : slices) {
      auto& [bytes, pieces, busy] = sum[{slice.bank, slice.act}];
      bytes += slice.bytes;
      pieces += slice.pieces;
      busy += slice.end_ps - slice.begin_ps - slice.gaps_ps;
    }
    return sum;
  };
  EXPECT_EQ(sums(some.slices), sums(all.slices));
  EXPECT_LE(some.slices.size(), std::max(kMost, std::size_t{kExactDramSlices + 2 * 256}));
}

}  // namespace
}  // namespace systole::memory
