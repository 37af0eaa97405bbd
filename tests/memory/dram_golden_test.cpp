// The channel engine against the stored runs of Ramulator 2.1, DRAMsim3 and DRAMSys 5.1, read in
// place: with that simulator's policy selected, bandwidth, latency and activates of every trace and
// mapping there is.
#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "configs/library.hpp"
#include "memory/request_player.hpp"

namespace systole::memory {
namespace {

#define PEERS SYSTOLE_SOURCE_DIR "/tests/memory/peers/"

/// The runs of one simulator on one device.
struct Peer {
  const char* name;  ///< of the test
  const char* file;  ///< of golden/dram
  const char* simulator;
  const char* device;
  const char* config;                ///< a shipped DRAM, or a file of peers/
  double bursts_per_clock;           ///< that its driver offered
  double bandwidth_band;             ///< relative
  double points;                     ///< part of them that must be within it
  std::vector<std::string> changes;  ///< to the config
};
void PrintTo(const Peer& peer, std::ostream* out) { *out << peer.name; }

constexpr const char* kMain = "results_ramulator2_dramsim3.csv";
constexpr const char* kDramsys = "results_dramsys.csv";
const std::vector<std::string> kBankwise = {"controller.buffer=bank", "read_queue=8"};

const Peer kPeers[] = {
    {"RamulatorDdr4_3200", kMain, "ramulator2.1", "DDR4-3200", "ddr4-3200", 1, 0.01, 0.95, {}},
    {"RamulatorDdr4_2400", kMain, "ramulator2.1", "DDR4-2400", "ddr4-2400", 1, 0.01, 0.95, {}},
    {"RamulatorDdr5", kMain, "ramulator2.1", "DDR5-4800", "ddr5-4800", 1, 0.01, 0.95, {}},
    {"RamulatorLpddr5", kMain, "ramulator2.1", "LPDDR5-6400", "lpddr5-6400", 1, 0.01, 0.95, {}},
    {"RamulatorHbm2",
     kMain,
     "ramulator2.1",
     "HBM2-2.0",
     PEERS "ramulator-hbm2-2.0.yaml",
     2,
     0.01,
     0.95,
     {}},
    {"RamulatorHbm2e",
     kMain,
     "ramulator2.1",
     "HBM2E-3.2",
     PEERS "ramulator-hbm2e-3.2.yaml",
     2,
     0.01,
     0.95,
     {}},
    {"Dramsim3Ddr4_3200",
     kMain,
     "dramsim3",
     "DDR4-3200",
     PEERS "dramsim3-ddr4-3200.yaml",
     1,
     0.03,
     0.9,
     {}},
    {"Dramsim3Ddr4_2400",
     kMain,
     "dramsim3",
     "DDR4-2400",
     PEERS "dramsim3-ddr4-2400.yaml",
     1,
     0.03,
     0.9,
     {}},
    {"Dramsim3Lpddr4",
     kMain,
     "dramsim3",
     "LPDDR4-2400",
     PEERS "dramsim3-lpddr4-2400.yaml",
     1,
     0.03,
     0.9,
     {}},
    {"Dramsim3Hbm2",
     kMain,
     "dramsim3",
     "HBM2-2.0",
     PEERS "dramsim3-hbm2-2.0.yaml",
     2,
     0.03,
     0.9,
     {}},
    {"DramsysGroupedDdr4_3200",
     kDramsys,
     "dramsys5.1-grpwm32",
     "DDR4-3200",
     PEERS "dramsys-ddr4-3200.yaml",
     1,
     0.03,
     0.9,
     {}},
    {"DramsysGroupedDdr4_2400",
     kDramsys,
     "dramsys5.1-grpwm32",
     "DDR4-2400",
     PEERS "dramsys-ddr4-2400.yaml",
     1,
     0.03,
     0.9,
     {}},
    {"DramsysGroupedLpddr4",
     kDramsys,
     "dramsys5.1-grpwm32",
     "LPDDR4-3200",
     PEERS "dramsys-lpddr4-3200.yaml",
     1,
     0.03,
     0.9,
     {}},
    {"DramsysGroupedHbm2",
     kDramsys,
     "dramsys5.1-grpwm64",
     "HBM2-2.0",
     PEERS "dramsys-hbm2-2.0.yaml",
     1,
     0.03,
     0.9,
     {}},
    {"DramsysBankwiseDdr4", kDramsys, "dramsys5.1-bank8", "DDR4-3200",
     PEERS "dramsys-ddr4-3200.yaml", 1, 0.03, 0.9, kBankwise},
    {"DramsysBankwiseLpddr4", kDramsys, "dramsys5.1-bank8", "LPDDR4-3200",
     PEERS "dramsys-lpddr4-3200.yaml", 1, 0.03, 0.9, kBankwise},
    {"DramsysBankwiseHbm2", kDramsys, "dramsys5.1-bank8", "HBM2-2.0", PEERS "dramsys-hbm2-2.0.yaml",
     1, 0.03, 0.9, kBankwise},
};

std::vector<std::vector<std::string>> rows(const std::string& name) {
  std::vector<std::vector<std::string>> result;
  std::ifstream file(std::string(SYSTOLE_SHARED_DIR "/golden/dram/") + name);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::vector<std::string>& row = result.emplace_back();
    for (std::string field; std::getline(fields, field, ',');) row.push_back(field);
  }
  return result;
}

/// The trace definitions of the reference runs (traces.csv).
PatternConfig pattern_of(const std::string& name) {
  constexpr std::uint64_t kMiB = 1 << 20;
  PatternConfig p;
  const auto set = [&](Pattern pattern, std::uint64_t mib, std::uint64_t chunk) {
    p.pattern = pattern;
    p.bytes = mib * kMiB;
    p.chunk = chunk;
  };
  if (name == "a_seq") set(Pattern::seq, 64, 0);
  if (name == "w_seq") set(Pattern::seq, 16, 0), p.write = true;
  if (name == "b_tile256") set(Pattern::tile, 16, 256);
  if (name == "b_tile64") set(Pattern::tile, 16, 64);
  if (name == "c_rand64") set(Pattern::random, 16, 64);
  if (name == "e_4k") set(Pattern::kv_gather, 16, 4096);
  if (name == "e_1k") set(Pattern::kv_gather, 16, 1024);
  if (name == "e_256") set(Pattern::kv_gather, 16, 256);
  if (name == "d_mix64" || name == "d_off64") set(Pattern::mixed, 24, 64);
  if (name == "d_mix4k" || name == "d_off4k") set(Pattern::mixed, 24, 4096);
  if (name.starts_with("d_off")) p.stream_pitch += 40 << 10;
  return p;
}

struct Measured {
  double bandwidth = 0;  ///< part of the pins' peak
  double latency_ns = 0;
  double activates = 0;  ///< a burst
};

Measured play(const configs::DramConfig& device, const PatternConfig& pattern,
              double bursts_per_clock, Clock first_refresh) {
  DramChannel channel(device);
  channel.restart(first_refresh);
  const auto source = make_pattern(pattern);
  RequestPlayer player(channel, bursts_per_clock);
  player.play(*source);
  const DramCounts& counts = channel.counts();
  const auto bursts = static_cast<double>(counts.read_bursts + counts.write_bursts);
  Measured m;
  m.bandwidth =
      bursts * device.burst_clocks / device.pseudo_channels / static_cast<double>(player.end());
  m.activates = static_cast<double>(counts.activates) / bursts;
  if (counts.read_bursts > 0) {
    m.latency_ns = static_cast<double>(counts.latency_clocks[kRead]) /
                   static_cast<double>(counts.read_bursts) * 1e3 / device.clock_mhz;
  }
  return m;
}

/// The tables have three decimals: half of the last one is their own error.
double activate_error(const Measured& m, const std::string& table) {
  const double golden = std::stod(table);
  return std::max(0.0, std::abs(m.activates - golden) - 0.0005) / golden;
}

class DramGolden : public testing::TestWithParam<Peer> {};
INSTANTIATE_TEST_SUITE_P(Peers, DramGolden, testing::ValuesIn(kPeers),
                         [](const auto& peer) { return std::string(peer.param.name); });

TEST_P(DramGolden, BandwidthLatencyAndActivatesFollowThePeer) {
  const Peer& peer = GetParam();
  const auto golden = rows(peer.file);
  if (golden.empty()) GTEST_SKIP() << "no reference runs in " SYSTOLE_SHARED_DIR "/golden/dram";
  int points = 0, bandwidth_points = 0, latency_points = 0, activate_points = 0;
  std::ostringstream outside;
  for (const auto& row : golden) {
    if (row.size() < 14 || row[0] != peer.simulator || row[1] != peer.device) continue;
    auto changes = peer.changes;
    changes.push_back("controller.map=" + row[3]);
    const auto device = configs::load_dram(peer.config, changes);
    // Ramulator counts from 1 before the first clock, the others from 0.
    const bool ramulator = std::string(peer.simulator).starts_with("ramulator");
    const Clock first_refresh = ramulator ? device.refi - 1 : device.refi;
    const Measured m = play(device, pattern_of(row[2]), peer.bursts_per_clock, first_refresh);
    const double bandwidth = m.bandwidth / std::stod(row[9]) - 1;
    const double latency = row[10] == "0.0" || row[10].empty() || m.latency_ns == 0
                               ? 0
                               : m.latency_ns / std::stod(row[10]) - 1;
    // The table has three decimals: half of the last one is its own error.
    const double activates = row[13].empty() ? 0 : activate_error(m, row[13]);
    ++points;
    bandwidth_points += std::abs(bandwidth) <= peer.bandwidth_band ? 1 : 0;
    latency_points += std::abs(latency) <= 0.05 ? 1 : 0;
    activate_points += activates <= 0.02 ? 1 : 0;
    if (std::abs(bandwidth) > peer.bandwidth_band || std::abs(latency) > 0.05 || activates > 0.02) {
      outside << "  " << row[2] << " " << row[3] << ": bandwidth " << 100 * bandwidth
              << " %, latency " << 100 * latency << " %, activates " << 100 * activates << " %\n";
    }
  }
  ASSERT_GT(points, 0);
  EXPECT_GE(bandwidth_points, peer.points * points) << outside.str();
  EXPECT_EQ(latency_points, points) << outside.str();
  EXPECT_EQ(activate_points, points) << outside.str();
  RecordProperty("points", points);
  RecordProperty("bandwidth", bandwidth_points);
  RecordProperty("outside", outside.str());
}

TEST(DramGoldenLoad, LatencyFollowsThePeersAtEveryOfferedLoad) {
  const auto golden = rows("latency_vs_load_ddr4_3200.csv");
  if (golden.empty()) GTEST_SKIP() << "no reference runs in " SYSTOLE_SHARED_DIR "/golden/dram";
  int points = 0;
  for (const auto& row : golden) {
    const bool ramulator = row[0] == "ramulator2.1";
    if (!ramulator && row[0] != "dramsim3") continue;
    const auto device = configs::load_dram(
        ramulator ? "ddr4-3200" : PEERS "dramsim3-ddr4-3200.yaml", {"controller.map=" + row[3]});
    const Measured m = play(device, pattern_of(row[2]), std::stod(row[4]),
                            ramulator ? device.refi - 1 : device.refi);
    EXPECT_NEAR(m.latency_ns / std::stod(row[6]), 1, 0.05)
        << row[0] << " " << row[2] << " at " << row[4];
    EXPECT_NEAR(m.bandwidth / std::stod(row[5]), 1, 0.01)
        << row[0] << " " << row[2] << " at " << row[4];
    ++points;
  }
  EXPECT_EQ(points, 20);
}

TEST(DramGoldenVariants, QueueDepthsFollowRamulator) {
  const auto golden = rows("queue_depth_check.csv");
  if (golden.empty()) GTEST_SKIP() << "no reference runs in " SYSTOLE_SHARED_DIR "/golden/dram";
  int within = 0, points = 0;
  for (std::size_t i = 1; i < golden.size(); ++i) {
    const auto& row = golden[i];
    const bool hbm = row[0] == "HBM2-2.0";
    const auto device = configs::load_dram(hbm ? PEERS "ramulator-hbm2-2.0.yaml" : "ddr4-3200",
                                           {"read_queue=" + row[1], "write_queue=" + row[1]});
    const Measured m = play(device, pattern_of(row[2]), hbm ? 2 : 1, device.refi - 1);
    const double error = m.bandwidth / std::stod(row[3]) - 1;
    ++points;
    within += std::abs(error) <= 0.01 ? 1 : 0;
    EXPECT_NEAR(error, 0, 0.02) << row[0] << " " << row[1] << " " << row[2];
  }
  EXPECT_GE(within, 0.95 * points);
}

TEST(DramGoldenVariants, ClosedPagesAndPerBankRefreshFollowRamulator) {
  const auto golden = rows("variants_ramulator2.csv");
  if (golden.empty()) GTEST_SKIP() << "no reference runs in " SYSTOLE_SHARED_DIR "/golden/dram";
  int points = 0;
  for (std::size_t i = 1; i < golden.size(); ++i) {
    const auto& row = golden[i];
    std::string config = "ddr4-3200";
    std::vector<std::string> changes;
    if (row[1] == "per-bank refresh") {
      if (row[0] == "HBM3-6.4") continue;  // pairs of pseudo channels: not modelled
      config = row[0] == "LPDDR5-6400" ? "lpddr5-6400" : PEERS "ramulator-hbm2-2.0.yaml";
      changes = {"refresh=per-bank"};
    } else {
      changes = {"controller.page=adaptive",
                 "controller.page_accesses=" +
                     std::string(row[1].find('4') != std::string::npos ? "4" : "1")};
    }
    const auto device = configs::load_dram(config, changes);
    const Measured m = play(device, pattern_of(row[2]), device.pseudo_channels,
                            (changes.size() == 1 ? device.refi_bank : device.refi) - 1);
    EXPECT_NEAR(m.bandwidth / std::stod(row[4]), 1, 0.01)
        << row[0] << " " << row[1] << " " << row[2];
    EXPECT_NEAR(m.latency_ns / std::stod(row[5]), 1, 0.05)
        << row[0] << " " << row[1] << " " << row[2];
    EXPECT_LE(activate_error(m, row[6]), 0.02) << row[0] << " " << row[1] << " " << row[2];
    ++points;
  }
  EXPECT_EQ(points, 16);
}

}  // namespace
}  // namespace systole::memory
