// systole dram: a trace or a pattern on DRAM channels alone.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "configs/library.hpp"
#include "memory/dram_player.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/kernel/simulation.hpp"

namespace systole::cli {
namespace {

struct Request {
  std::string standard, trace, format, pattern, map, page, policy, load, json;
  std::uint64_t channels = 1, interleave = 256, bytes = 0, chunk = 0, request_bytes = 64, seed = 1;
  bool no_reuse = false;
  std::vector<std::string> changes;
};

bool parse(const Arguments& arguments, Request& r) {
  Options options(
      "dram --standard NAME (--trace FILE --format NAME | --pattern NAME --bytes N) [options]",
      "Plays requests to DRAM channels and nothing else: bandwidth, latency, row hits, energy.\n"
      "Requests are offered in order, one burst a clock to a channel unless --load says less; one\n"
      "that finds its queue full holds up those behind it. Cycles are memory clocks. Which "
      "simulator\n"
      "a policy follows, and how closely, is in memory/README.md.",
      "  systole dram --standard DDR4-3200 --trace loads.trace --format ramulator --json out.json\n"
      "  systole dram --standard HBM2 --pattern kv-gather --chunk 4096 --bytes 67108864\n"
      "  systole dram --standard LPDDR5-6400 --pattern random --bytes 16777216 --load 0.05\n"
      "  systole dram --standard DDR4-3200 --pattern mixed --bytes 25165824 --policy "
      "per-bank-queues\n"
      "  systole dram --standard DDR5-4800 --pattern tile --bytes 16777216 --map RBC --set "
      "ppd=0\n");
  options.group("Device")
      .value("standard", "NAME", r.standard,
             "a shipped DRAM (systole list drams) in any case, its family (HBM2), or a YAML file")
      .words("@drams")
      .number("channels", "N", r.channels, "channels; each is played to by a port of its own (1)")
      .number("interleave", "BYTES", r.interleave,
              "consecutive addresses go to the next channel after so many bytes (256)")
      .value("policy", "NAME", r.policy,
             "shared-window, per-bank-queues or bank-machines (default: the device's)")
      .words("shared-window per-bank-queues bank-machines")
      .value("map", "NAME", r.map,
             "RBC, BGL, MOP, MOPX, or fields such as 'row column bank group column:2'")
      .words("RBC BGL MOP MOPX")
      .value("page", "open|closed|adaptive", r.page, "when rows close that nobody conflicts with")
      .list("set", "KEY=VALUE", r.changes, "any field of the device (systole show NAME)");
  options.group("Requests")
      .value("trace", "FILE", r.trace, "a request a line; - for standard input (one channel)")
      .value("format", "ramulator|dramsim3", r.format,
             "'LD ADDRESS', 'ST ADDRESS', 'ADDRESS R|W'; or 'ADDRESS READ|WRITE CLOCK'")
      .number("request-bytes", "N", r.request_bytes, "bytes of a trace's request (64)")
      .value("pattern", "NAME", r.pattern,
             "seq, tile (64 rows of a matrix), random, mixed (two reads, one write), kv-gather")
      .words("seq tile random mixed kv-gather")
      .number("bytes", "N", r.bytes, "of the pattern in all")
      .number("chunk", "BYTES", r.chunk,
              "of a tile's row, a random access, a stream's turn, a page (256, 64, 4096, 1024)")
      .number("seed", "N", r.seed, "of random and kv-gather (1)")
      .value("load", "X", r.load, "requests offered to a channel a clock (default: all it takes)");
  options.group("Simulation")
      .flag("no-reuse", r.no_reuse,
            "simulate every period of a steady state (changes no figure; a check)");
  options.group("Result").json(r.json, "the summary");
  return options.parse(arguments);
}

/// "DDR4-3200" is ddr4-3200; "HBM2" the one shipped DRAM of that family.
std::string standard_name(const std::string& text) {
  if (text.find('/') != std::string::npos || text.ends_with(".yaml")) return text;
  std::string lower = text;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  const auto names = configs::names(configs::Kind::dram);
  if (std::ranges::find(names, lower) != names.end()) return lower;
  std::vector<std::string> family;
  for (const std::string& name : names) {
    if (name.starts_with(lower + "-")) family.push_back(name);
  }
  if (family.size() > 1) {
    throw ConfigError(
        fmt::format("--standard: '{}' may be {}; name one", text, fmt::join(family, ", ")));
  }
  return family.size() == 1 ? family[0] : lower;
}

configs::DramConfig device_of(const Request& r) {
  if (r.standard.empty()) {
    throw ConfigError("systole dram needs --standard NAME (systole dram --help)");
  }
  configs::Overrides changes;
  const auto change = [&](const char* key, const std::string& value) {
    if (!value.empty()) changes.push_back(std::string(key) + "=" + value);
  };
  if (!r.policy.empty()) {
    (void)choice_of("--policy", "policy", r.policy, configs::kDramPolicyNames);
  }
  if (!r.page.empty()) (void)choice_of("--page", "choice", r.page, configs::kPagePolicyNames);
  change("controller.policy", r.policy);
  change("controller.map", r.map);
  change("controller.page", r.page);
  changes.insert(changes.end(), r.changes.begin(), r.changes.end());
  return configs::load_dram(standard_name(r.standard), changes);
}

double load_of(const Request& r, const configs::DramConfig& device) {
  const double saturating = device.pseudo_channels;
  if (r.load.empty()) return saturating;
  double load = 0;
  const char* const end = r.load.data() + r.load.size();
  const auto read = std::from_chars(r.load.data(), end, load);
  if (read.ec != std::errc() || read.ptr != end || !(load > 0) || load > saturating) {
    throw ConfigError(fmt::format(
        "--load: found '{}'; expected requests a clock above 0, at most {}", r.load, saturating));
  }
  return load;
}

/// Makes the stream of requests anew, for each channel to take its part of.
class Requests {
 public:
  explicit Requests(const Request& r) : r_(r) {
    if (r.trace.empty() == r.pattern.empty()) {
      throw ConfigError("systole dram needs --trace FILE or --pattern NAME (systole dram --help)");
    }
    if (!r.trace.empty()) {
      if (r.format.empty()) throw ConfigError("--trace needs --format ramulator or dramsim3");
      format_ = static_cast<memory::TraceFormat>(
          choice_of("--format", "format", r.format, memory::kTraceFormatNames));
      if (r.request_bytes == 0 || r.request_bytes > 4096) {
        throw ConfigError(
            fmt::format("--request-bytes: found {}; expected 1 to 4096", r.request_bytes));
      }
      return;
    }
    if (!r.format.empty()) throw ConfigError("--format is of a --trace");
    constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 42;
    if (r.bytes == 0 || r.bytes > kMostBytes) {
      throw ConfigError(
          fmt::format("--pattern needs --bytes, 1 to {}; found {}", kMostBytes, r.bytes));
    }
    pattern_.pattern = static_cast<memory::Pattern>(
        choice_of("--pattern", "pattern", r.pattern, memory::kPatternNames));
    pattern_.bytes = r.bytes;
    pattern_.chunk = r.chunk;
    pattern_.seed = r.seed;
  }

  std::unique_ptr<memory::RequestSource> make() {
    if (r_.trace.empty()) return memory::make_pattern(pattern_);
    auto file = std::make_unique<std::ifstream>(r_.trace == "-" ? "/dev/stdin" : r_.trace);
    if (!file->is_open()) {
      throw ConfigError(fmt::format("{}: cannot be read; expected a trace", r_.trace));
    }
    auto source =
        memory::read_trace(*file, r_.trace, format_, static_cast<std::uint32_t>(r_.request_bytes));
    files_.push_back(std::move(file));
    return source;
  }

 private:
  const Request& r_;
  memory::TraceFormat format_ = memory::TraceFormat::ramulator;
  memory::PatternConfig pattern_;
  std::vector<std::unique_ptr<std::ifstream>> files_;
};

struct Played {
  memory::DramCounts counts;
  std::uint64_t requests = 0, repeated = 0, cycles = 0;
  double cpu_seconds = 0;
};

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

Played play(const Request& r, const configs::DramConfig& device, Requests& requests) {
  const double load = load_of(r, device);
  const double bursts_a_request =
      std::ceil(static_cast<double>(r.trace.empty() ? 64 : r.request_bytes) / device.burst_bytes);
  const double bursts_per_clock = r.load.empty() ? load : load * bursts_a_request;
  Played played;
  const double before = cpu_seconds();
  kernel::run_simulation([&] {
    std::vector<std::unique_ptr<memory::DramPlayer>> players;
    for (std::uint32_t c = 0; c < r.channels; ++c) {
      auto source = requests.make();
      if (r.channels > 1) {
        source = std::make_unique<memory::ChannelShare>(std::move(source), c,
                                                        static_cast<std::uint32_t>(r.channels),
                                                        static_cast<std::uint32_t>(r.interleave));
      }
      const std::string name = "channel" + std::to_string(c);
      players.push_back(std::make_unique<memory::DramPlayer>(
          name.c_str(), device, std::move(source), bursts_per_clock,
          r.no_reuse ? memory::SteadyState::simulated : memory::SteadyState::reused));
    }
    sc_core::sc_start();
    for (const auto& player : players) {
      player->rethrow();
      SYSTOLE_CHECK(player->done(), "a channel that has not ended");
      played.counts += player->counts();
      played.requests += player->requests();
      played.repeated += player->repeated();
      played.cycles = std::max<std::uint64_t>(played.cycles, player->end());
    }
    return 0;
  });
  played.cpu_seconds = cpu_seconds() - before;
  return played;
}

nlohmann::ordered_json summary_of(const Request& r, const configs::DramConfig& device,
                                  const Played& played) {
  const memory::DramCounts& n = played.counts;
  const auto channels = static_cast<std::uint32_t>(r.channels);
  const std::uint64_t bursts = n.read_bursts + n.write_bursts;
  const auto all = static_cast<double>(bursts);
  const double clocks = static_cast<double>(played.cycles);
  const auto ratio = [](double part, double whole) { return whole > 0 ? part / whole : 0.0; };
  const memory::DramEnergy energy = memory::energy_of(device, n, played.cycles, channels);
  nlohmann::ordered_json s;
  s["standard"] = device.name;
  s["policy"] = configs::kDramPolicyNames[static_cast<std::size_t>(device.controller.policy)];
  s["map"] = device.controller.map;
  s["page"] = configs::kPagePolicyNames[static_cast<std::size_t>(device.controller.page)];
  s["channels"] = channels;
  if (!r.trace.empty()) s["trace"] = r.trace;
  if (!r.pattern.empty()) s["pattern"] = r.pattern;
  s["requests"] = played.requests;
  s["requests_repeated"] = played.repeated;  // of a steady state: not simulated again
  s["cycles"] = played.cycles;
  s["time_ns"] = clocks * 1e3 / device.clock_mhz;
  s["bytes"] = bursts * device.burst_bytes;
  if (device.ecc == configs::EccMode::inline_bursts) {
    const auto sum = [](const auto& bytes) {
      return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
    };
    s["check_bytes"] =
        sum(n.moved_read) + sum(n.moved_written) - sum(n.useful_read) - sum(n.useful_written);
  }
  s["read_bytes"] = n.read_bursts * device.burst_bytes;
  s["written_bytes"] = n.write_bursts * device.burst_bytes;
  s["bandwidth_fraction"] =
      ratio(all * device.burst_clocks, clocks * channels * device.pseudo_channels);
  s["bandwidth_gbps"] = ratio(all * device.burst_bytes * device.clock_mhz * 1e-3, clocks);
  const bool reads = n.read_bursts > 0;
  s["mean_latency_cycles"] =
      ratio(static_cast<double>(n.latency_clocks[reads ? memory::kRead : memory::kWrite]),
            static_cast<double>(reads ? n.read_bursts : n.write_bursts));
  s["row_hit_rate"] = ratio(static_cast<double>(n.row_hits), all);
  s["activates"] = n.activates;
  s["refreshes"] = n.refreshes + n.bank_refreshes;
  s["energy_pj"] = energy.total();
  s["energy"] = {{"activate_pj", energy.activate},
                 {"read_pj", energy.read},
                 {"write_pj", energy.write},
                 {"refresh_pj", energy.refresh},
                 {"standby_pj", energy.standby}};
  s["energy_pj_per_bit"] = ratio(energy.total(), all * device.burst_bytes * 8);
  s["requests_per_second"] = ratio(static_cast<double>(played.requests), played.cpu_seconds);
  return s;
}

void print(const nlohmann::ordered_json& s) {
  const auto value = [&](const char* key) { return s.at(key).get<double>(); };
  fmt::print("{} x {}, {}, {}, {} page\n", s.at("channels").get<std::uint32_t>(),
             s.at("standard").get<std::string>(), s.at("policy").get<std::string>(),
             s.at("map").get<std::string>(), s.at("page").get<std::string>());
  fmt::print("  requests      {:>16}   {:.2f} M a CPU second\n",
             s.at("requests").get<std::uint64_t>(), value("requests_per_second") / 1e6);
  if (const double repeated = value("requests_repeated"); repeated > 0) {
    fmt::print("  repeated      {:>14.2f} %   of a steady state, not simulated again\n",
               100 * repeated / value("requests"));
  }
  fmt::print("  cycles        {:>16}   {:.1f} us\n", s.at("cycles").get<std::uint64_t>(),
             value("time_ns") / 1e3);
  fmt::print("  bytes         {:>16}\n", s.at("bytes").get<std::uint64_t>());
  fmt::print("  bandwidth     {:>14.2f} %   of the pins' peak, {:.2f} GB/s\n",
             100 * value("bandwidth_fraction"), value("bandwidth_gbps"));
  fmt::print("  mean latency  {:>16.1f}   cycles from acceptance to the end of the data\n",
             value("mean_latency_cycles"));
  fmt::print("  row hits      {:>14.2f} %   {} activates, {} refreshes\n",
             100 * value("row_hit_rate"), s.at("activates").get<std::uint64_t>(),
             s.at("refreshes").get<std::uint64_t>());
  fmt::print("  energy        {:>16.4g}   pJ, {:.2f} pJ/bit\n", value("energy_pj"),
             value("energy_pj_per_bit"));
}

}  // namespace

int dram_command(const Arguments& arguments) {
  Request r;
  if (!parse(arguments, r)) return 0;
  const configs::DramConfig device = device_of(r);
  Requests requests(r);
  if (r.channels == 0 || r.channels > 64) {
    throw ConfigError(fmt::format("--channels: found {}; expected 1 to 64", r.channels));
  }
  if (r.channels > 1 && r.trace == "-") {
    throw ConfigError("--trace -: standard input is read once; name a file for several channels");
  }
  if (r.interleave == 0 || r.interleave > (1u << 20) || r.interleave % device.burst_bytes != 0) {
    throw ConfigError(fmt::format("--interleave: found {}; expected a multiple of {} up to 1048576",
                                  r.interleave, device.burst_bytes));
  }
  check_writable(r.json);
  const Played played = play(r, device, requests);
  nlohmann::ordered_json document;
  document["summary"] = summary_of(r, device, played);
  if (r.json != "-") print(document["summary"]);
  if (!r.json.empty()) write_text_file(r.json, document.dump(2) + "\n");
  return 0;
}

}  // namespace systole::cli
