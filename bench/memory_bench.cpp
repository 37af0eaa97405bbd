// Bursts a second that the DRAM channel engine decides, for every shipped standard: the simulator's
// speed limit where a model is bound by memory.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "configs/library.hpp"
#include "memory/dram_channel.hpp"
#include "memory/request_player.hpp"
#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

constexpr std::uint64_t kBytes = 16 << 20;  // of one iteration

/// Offers the segments one after the other, as a DMA does, until the last byte has moved.
void drive(DramChannel& channel, const std::vector<Segment>& segments) {
  Clock now = 0;
  std::size_t next = 0;
  bool waiting = false;
  while (next < segments.size() || !channel.idle()) {
    while (!waiting && next < segments.size()) waiting = !channel.admit(segments[next++], now);
    now = std::max(now, channel.next_event());
    channel.advance(now);
    while (const auto event = channel.pop(now)) {
      if (event->kind == SegmentEvent::Kind::accepted) waiting = false;
    }
  }
}

std::vector<Segment> segments_of(std::uint64_t segment_bytes, bool scattered) {
  Random random(1);
  std::vector<Segment> segments;
  for (std::uint64_t i = 0; i < kBytes / segment_bytes; ++i) {
    Segment segment;
    segment.id = i;
    const auto slot = scattered ? static_cast<std::uint64_t>(random.uniform(0, 1 << 20)) : i;
    segment.address = slot * segment_bytes;
    segment.bytes = segment_bytes;
    segments.push_back(segment);
  }
  return segments;
}

void read(benchmark::State& state, const configs::DramConfig& config, std::uint64_t segment_bytes,
          bool scattered) {
  const auto segments = segments_of(segment_bytes, scattered);
  std::uint64_t bursts = 0;
  for (auto _ : state) {
    DramChannel channel(config);
    drive(channel, segments);
    bursts += channel.counts().read_bursts;
  }
  state.counters["bursts/s"] =
      benchmark::Counter(static_cast<double>(bursts), benchmark::Counter::kIsRate);
}

/// Requests of 64 bytes a second as `systole dram` plays them: the figure to hold beside the rates
/// of the established simulators (0.14-0.27 M sequential, 0.07-0.13 M random).
void play(benchmark::State& state, const configs::DramConfig& config, Pattern pattern) {
  PatternConfig c;
  c.pattern = pattern;
  c.bytes = kBytes;
  std::uint64_t requests = 0;
  for (auto _ : state) {
    DramChannel channel(config);
    const auto source = make_pattern(c);
    RequestPlayer player(channel, config.pseudo_channels, SteadyState::simulated);
    player.play(*source);
    requests += player.requests();
  }
  state.counters["requests/s"] =
      benchmark::Counter(static_cast<double>(requests), benchmark::Counter::kIsRate);
}

const bool registered = [] {
  for (const std::string& name : configs::names(configs::Kind::dram)) {
    const auto config = configs::load_dram(name);
    benchmark::RegisterBenchmark(("dram_stream/" + name).c_str(), read, config, 2048, false);
    benchmark::RegisterBenchmark(("dram_random64/" + name).c_str(), read, config, 64, true);
    for (const auto policy : configs::kDramPolicyNames) {
      const auto device = configs::load_dram(name, {"controller.policy=" + std::string(policy)});
      const std::string suffix = name + "/" + std::string(policy);
      benchmark::RegisterBenchmark(("dram_play_seq/" + suffix).c_str(), play, device, Pattern::seq);
      benchmark::RegisterBenchmark(("dram_play_random/" + suffix).c_str(), play, device,
                                   Pattern::random);
    }
  }
  return true;
}();

}  // namespace
}  // namespace systole::memory
