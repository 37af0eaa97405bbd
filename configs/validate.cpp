#include "configs/validate.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <concepts>
#include <map>
#include <type_traits>

#include "configs/binder.hpp"
#include "configs/library.hpp"

namespace systole::configs {
namespace {

using Problems = std::vector<Broken>;

template <std::integral T>
std::string number(T value) {
  return std::to_string(value);
}

/// 500 or 611.2, for messages.
std::string number(double value) {
  std::array<char, 64> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                    std::chars_format::general, 6);
  return {buffer.data(), result.ptr};
}

template <class E>
std::string name_in(E value) {
  return std::string(enum_names(value)[static_cast<std::size_t>(value)]);
}

/// Where a value is, as text only where something is wrong with it.
struct Place {
  const Place* parent = nullptr;
  std::string_view before, key, after;

  std::string text() const {
    std::string path = parent == nullptr ? "" : parent->text();
    if (path.empty()) return std::string(key);
    for (const std::string_view part : {before, key, after}) path += part;
    return path;
  }
};

/// Checks every number against its field's range, for structs that no reader has checked.
class RangeChecker {
 public:
  static constexpr bool kLeavesOutDefaults = true;  // a field left alone has no range to keep
  /// `sound`: a part at the top that is known to be in range.
  RangeChecker(Problems& problems, const Place* parent, std::string_view sound = "")
      : problems_(problems), parent_(parent), sound_(sound) {}

  template <class T>
  void operator()(std::string_view key, const T& member, const Info& info) {
    if (key != sound_ || sound_.empty()) check({parent_, ".", key, ""}, member, info);
  }
  template <class T>
  void table(std::string_view key, Kind, const T& member, const Info& info) {
    (*this)(key, member, info);
  }

 private:
  template <class T>
  void check(const Place& path, const T& value, const Info& info) {
    if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, bool>) {
      return;  // any text will do; that files name their sources is the reader's business
    } else if constexpr (std::is_enum_v<T>) {
      if (static_cast<std::size_t>(value) >= enum_names(value).size()) {
        problems_.push_back({path.text(), "not one of the known values"});
      }
    } else if constexpr (std::is_arithmetic_v<T>) {
      const auto x = static_cast<double>(value);
      const bool above = info.low_excluded ? x > info.low : x >= info.low;
      if (std::isfinite(x) && above && x <= info.high) return;
      constexpr auto kLimit = static_cast<double>(std::numeric_limits<T>::max());
      problems_.push_back({path.text(), "found " + number(value) + "; expected " +
                                            range_text(info, std::is_integral_v<T>, kLimit)});
    } else if constexpr (kIsMap<T>) {
      for (const auto& [name, item] : value) check({&path, ".", name, ""}, item, info);
    } else if constexpr (kIsVector<T>) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        check({&path, "[", std::to_string(i), "]"}, value[i], info);
      }
    } else {
      RangeChecker inner(problems_, &path);
      if constexpr (requires { describe(inner, value); }) {
        describe(inner, value);
      } else {
        T copy = value;
        describe(inner, copy);
      }
    }
  }

  Problems& problems_;
  const Place* parent_;
  std::string_view sound_;
};

/// Adds relations under one path prefix.
class Relations {
 public:
  Relations(Problems& problems, std::string prefix)
      : problems_(problems), prefix_(std::move(prefix)) {}

  void require(bool holds, std::string_view path, const std::string& message) {
    if (!holds) problems_.push_back({prefix_ + std::string(path), message});
  }

  void power_of_two(std::uint64_t value, std::string_view path) {
    require(std::has_single_bit(value), path,
            "found " + number(value) + "; expected a power of two");
  }

 private:
  Problems& problems_;
  std::string prefix_;
};

/// Relations are only meaningful between values that are in range; a value out of range is one
/// fault, not five.
template <class C>
Problems check_ranges(const C& config, std::string_view sound = "") {
  Problems problems;
  RangeChecker checker(problems, nullptr, sound);
  describe(checker, config);
  return problems;
}

void check_dram(const DramConfig& d, Relations r) {
  const auto not_below = [&](std::uint32_t value, std::string_view path, std::uint32_t least,
                             const std::string& why) {
    r.require(value >= least, path,
              "found " + number(value) + "; expected at least " + number(least) + " (" + why + ")");
  };
  r.power_of_two(d.bank_groups, "bank_groups");
  r.power_of_two(d.banks_per_group, "banks_per_group");
  r.power_of_two(d.burst_bytes, "burst_bytes");
  r.power_of_two(d.row_bytes, "row_bytes");
  r.require(d.row_bytes >= d.burst_bytes, "row_bytes",
            "found " + number(d.row_bytes) + "; expected at least one burst of " +
                number(d.burst_bytes) + " bytes");
  const std::uint64_t row_of_all_banks = std::uint64_t{d.row_bytes} * d.banks();
  r.require(d.capacity_bytes % row_of_all_banks == 0, "capacity_bytes",
            "found " + number(d.capacity_bytes) + "; expected a multiple of " +
                number(row_of_all_banks) + " (row_bytes x banks)");
  // Each of the three is rounded up to clocks on its own, so published sets are one clock apart.
  not_below(d.rc, "rc", d.ras + d.rp - 1, "ras + rp, less one clock of rounding");
  not_below(d.ras, "ras", std::max(d.rcd_read, d.rcd_write),
            "rcd: a row is open before it is used");
  not_below(d.ccd_s, "ccd_s", d.burst_clocks, "burst_clocks: bursts would overlap on the data bus");
  not_below(d.ccd_l, "ccd_l", d.ccd_s, "ccd_s");
  not_below(d.rrd_l, "rrd_l", d.rrd_s, "rrd_s");
  not_below(d.faw, "faw", d.rrd_s, "rrd_s");
  r.power_of_two(d.ranks, "ranks");
  r.power_of_two(d.pseudo_channels, "pseudo_channels");
  r.require(d.banks() <= 64, "bank_groups",
            "found " + number(d.banks()) +
                " banks in all ranks and pseudo channels; expected at most 64");
  if (d.refresh == RefreshMode::per_bank || d.refresh == RefreshMode::same_bank) {
    not_below(d.refi_bank, "refi_bank", 1, "refresh of single banks needs it");
    not_below(d.rfc_bank, "rfc_bank", 1, "refresh of single banks needs it");
  }
  r.require(d.controller.write_low <= d.controller.write_high, "controller.write_low",
            "found " + number(d.controller.write_low) + "; expected at most write_high, " +
                number(d.controller.write_high));
  not_below(d.wtr_l, "wtr_l", d.wtr_s, "wtr_s");
  r.require(d.refi > d.rfc, "refi",
            "found " + number(d.refi) + "; expected more than rfc, " + number(d.rfc) +
                " (it would do nothing but refresh)");
}

/// A tier is of one kind and says everything of it, and nothing of the other.
void check_tier(const TierConfig& t, Problems& problems, const std::string& prefix) {
  Relations r(problems, prefix);
  const bool cells = t.kind == TierKind::cells;
  const auto belongs = [&](std::string_view path, bool given, bool needed) {
    if (needed) {
      r.require(given, path,
                cells ? "missing; expected it for a tier of cells"
                      : "missing; expected it for a tier of DRAM");
    } else {
      r.require(!given, path,
                cells ? "given for a tier of cells; expected it of kind dram alone"
                      : "given for a tier of DRAM; expected it of kind cells alone");
    }
  };
  belongs("granularity_bytes", t.granularity_bytes != 0, cells);
  belongs("banks", t.banks != 0, cells);
  belongs("queue", t.queue != 0, cells);
  belongs("read_latency_ns", t.read_latency_ns > 0, cells);
  belongs("write_latency_ns", t.write_latency_ns > 0, cells);
  belongs("read_bandwidth_gbs", t.read_bandwidth_gbs > 0, cells);
  belongs("write_bandwidth_gbs", t.write_bandwidth_gbs > 0, cells);
  belongs("dram", !t.dram.name.empty(), !cells);
  if (cells) {
    belongs("capacity_bytes", t.capacity_bytes != 0, true);
    if (t.granularity_bytes != 0) {
      r.require(t.capacity_bytes % t.granularity_bytes == 0, "capacity_bytes",
                "found " + number(t.capacity_bytes) +
                    "; expected a multiple of granularity_bytes, " + number(t.granularity_bytes));
    }
    const TierConfig usual;
    r.require(t.channels == usual.channels, "channels",
              "given for a tier of cells; expected it of kind dram alone");
    r.require((t.endurance_writes > 0) == (t.wear_region_bytes > 0), "wear_region_bytes",
              "found " + number(t.wear_region_bytes) + " with endurance_writes " +
                  number(t.endurance_writes) + "; expected both or neither");
    if (t.granularity_bytes != 0 && t.wear_region_bytes != 0) {
      r.require(t.wear_region_bytes % t.granularity_bytes == 0, "wear_region_bytes",
                "found " + number(t.wear_region_bytes) +
                    "; expected a multiple of granularity_bytes, " + number(t.granularity_bytes));
    }
    return;
  }
  for (const auto& [path, given] : {std::pair("read_pj_per_byte", t.read_pj_per_byte > 0),
                                    std::pair("write_pj_per_byte", t.write_pj_per_byte > 0),
                                    std::pair("standby_mw", t.standby_mw > 0),
                                    std::pair("endurance_writes", t.endurance_writes > 0),
                                    std::pair("wear_region_bytes", t.wear_region_bytes > 0)}) {
    belongs(path, given, false);
  }
  if (t.dram.name.empty()) return;
  r.require(t.capacity_bytes <= t.dram.data_bytes() * t.channels, "capacity_bytes",
            "found " + number(t.capacity_bytes) + "; expected at most " +
                number(t.dram.data_bytes() * t.channels) +
                ", channels x what a channel of the DRAM holds");
  check_dram(t.dram, Relations(problems, prefix + "dram."));
  r.require(t.interleave_bytes % t.dram.burst_bytes == 0, "interleave_bytes",
            "found " + number(t.interleave_bytes) + "; expected a multiple of the burst, " +
                number(t.dram.burst_bytes) + " bytes");
}

/// Tiers by name, and rules that can hold.
void check_tiers(const MemoryConfig& memory, Problems& problems) {
  Relations r(problems, "memory.");
  constexpr std::size_t kMostTiers = 7;  // beside the DRAM: memory::kMostTiers
  r.require(
      memory.tiers.size() <= kMostTiers, "tiers",
      "found " + number(memory.tiers.size()) + " tiers; expected at most " + number(kMostTiers));
  std::vector<std::string> names = {std::string(kDramTier)};
  for (std::size_t i = 0; i < memory.tiers.size(); ++i) {
    const TierOfMachine& tier = memory.tiers[i];
    const std::string path = "tiers[" + std::to_string(i) + "]";
    const auto plain = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    };
    r.require(!tier.name.empty() && std::ranges::all_of(tier.name, plain), path + ".name",
              "found '" + tier.name + "'; expected letters a to z, digits and '_'");
    r.require(std::ranges::find(names, tier.name) == names.end(), path + ".name",
              "a second tier '" + tier.name + "'; expected each name once ('dram' is memory.dram)");
    names.push_back(tier.name);
    r.require(tier.channels == 0 || tier.tier.kind == TierKind::dram, path + ".channels",
              "given for a tier of cells; expected it for a tier of DRAM");
    check_tier(tier.resolved(), problems, "memory." + path + ".tier.");
    const std::uint32_t burst = tier.tier.kind == TierKind::dram ? tier.tier.dram.burst_bytes : 1;
    r.require(burst == 0 || memory.dma.segment_bytes % burst == 0, "dma.segment_bytes",
              "found " + number(memory.dma.segment_bytes) +
                  "; expected a multiple of the burst of " + path + ", " + number(burst) +
                  " bytes");
  }
  const auto known = [&](const std::string& tier, const std::string& path) {
    r.require(std::ranges::find(names, tier) != names.end(), path,
              unknown_name_message("tier of this machine", tier, names));
  };
  for (std::size_t i = 0; i < memory.placement.size(); ++i) {
    const PlacementRule& rule = memory.placement[i];
    const std::string path = "placement[" + std::to_string(i) + "]";
    known(rule.tier, path + ".tier");
    r.require(rule.first_layer <= rule.last_layer, path + ".last_layer",
              "found " + number(rule.last_layer) + "; expected at least first_layer, " +
                  number(rule.first_layer));
    const bool cache = rule.of == PlacedClass::kv_cache || rule.of == PlacedClass::keys ||
                       rule.of == PlacedClass::values;
    r.require(cache || rule.older_than == 0, path + ".older_than",
              "given for class " + name_in(rule.of) + "; expected kv_cache, keys or values");
    r.require(cache || rule.salience == PlacedSalience::any, path + ".salience",
              "given for class " + name_in(rule.of) + "; expected kv_cache, keys or values");
    r.require((rule.salience == PlacedSalience::sinks) == (rule.tokens > 0), path + ".tokens",
              "found " + number(rule.tokens) + " with salience " + name_in(rule.salience) +
                  "; expected a number of tokens with sinks, and 0 with anything else");
    r.require(
        rule.older_than == 0 || rule.salience == PlacedSalience::any, path + ".older_than",
        "given with salience " + name_in(rule.salience) + "; expected one of the two in a rule");
    const bool layered = rule.of != PlacedClass::activations && rule.of != PlacedClass::embeddings;
    r.require(layered || (rule.first_layer == 0 && rule.last_layer == kLastLayer),
              path + ".first_layer",
              "given for class " + name_in(rule.of) + ", which belongs to no layer");
  }
  r.require(memory.placement.empty() || !memory.tiers.empty(), "placement",
            "rules without tiers; expected memory.tiers");
  if (memory.prefetch.staging_bytes > 0) {
    known(memory.prefetch.tier, "prefetch.tier");
    r.require(!memory.tiers.empty(), "prefetch.staging_bytes",
              "found " + number(memory.prefetch.staging_bytes) +
                  " without tiers to prefetch from; expected memory.tiers");
  } else {
    r.require(memory.prefetch == PrefetchConfig{}, "prefetch.staging_bytes",
              "found 0 with other prefetch settings; expected a positive number");
  }
  if (memory.swap.every_steps > 0) {
    known(memory.swap.tier, "swap.tier");
    r.require(!memory.tiers.empty(), "swap.tier",
              "found '" + memory.swap.tier + "' without tiers; expected memory.tiers");
  }
  if (memory.pim.place != PimPlace::none) {
    for (std::size_t i = 0; i < memory.placement.size(); ++i) {
      const PlacementRule& rule = memory.placement[i];
      const bool elsewhere = rule.of != PlacedClass::weights &&
                             rule.of != PlacedClass::embeddings &&
                             rule.of != PlacedClass::activations && rule.tier != kDramTier;
      r.require(!elsewhere, "placement[" + std::to_string(i) + "].tier",
                "found '" + rule.tier +
                    "' for a KV cache that memory.pim reads; expected dram, "
                    "where its units are");
    }
    r.require(!memory.pim.source.empty(), "pim.source",
              "missing; expected where the figures come from");
  } else {
    r.require(memory.pim == PimConfig{}, "pim.place",
              "found none with other pim settings; expected bank or channel");
  }
}

void check_scratchpad(const ScratchpadConfig& s, std::uint64_t edge_bytes, const std::string& edge,
                      Relations r) {
  r.power_of_two(s.banks, "banks");
  r.power_of_two(s.word_bytes, "word_bytes");
  const std::uint64_t row = std::uint64_t{s.banks} * s.word_bytes;
  const std::string halves =
      s.buffers == 2 ? "two halves" : number(s.buffers) + (s.buffers == 1 ? " buffer" : " buffers");
  r.require(s.capacity_bytes % (s.buffers * row) == 0, "capacity_bytes",
            "found " + number(s.capacity_bytes) + "; expected a multiple of " +
                number(s.buffers * row) + " (" + halves + " of banks x word_bytes)");
  r.require(s.half_bytes() >= edge_bytes, "capacity_bytes",
            "found " + number(s.capacity_bytes) + "; expected at least " +
                number(s.buffers * edge_bytes) + " (each " + (s.buffers == 2 ? "half" : "buffer") +
                " holds " + edge + ")");
}

/// Prices of one node, unless the table says why not.
void check_nodes(const EnergyTable& e, Relations& r) {
  if (e.scale.to_nm != 0) {
    r.require(e.scale.from_nm == 0 || e.node_nm == e.scale.to_nm, "scale.to_nm",
              "found " + number(e.scale.to_nm) + " in a table already scaled to node_nm " +
                  number(e.node_nm) + "; expected the two equal");
  }
  if (!e.mixed_nodes.empty()) return;
  const auto same = [&](double node_nm, const std::string& path) {
    r.require(node_nm == 0 || node_nm == e.node_nm, path,
              "a price at " + number(node_nm) + " nm in a table at " + number(e.node_nm) +
                  " nm; expected one node, a table scaled with `scale`, or `mixed_nodes` with the "
                  "reason");
  };
  for (const auto& [name, pe] : e.pes) same(pe.node_nm, "pes." + name + ".node_nm");
  for (const auto& [name, op] : e.ops) same(op.node_nm, "ops." + name + ".node_nm");
  same(e.sram_node_nm, "sram_node_nm");
}

void check_energy(const EnergyTable& e, Relations r) {
  check_nodes(e, r);
  for (const auto& [name, pe] : e.pes) {
    r.require((pe.mac_quiet_pj > 0) == (pe.operand_toggle_pj > 0), "pes." + name + ".mac_quiet_pj",
              "found " + number(pe.mac_quiet_pj) + " with operand_toggle_pj " +
                  number(pe.operand_toggle_pj) + "; expected both or neither");
  }
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::size_t> seen;
  for (std::size_t i = 0; i < e.sram_points.size(); ++i) {
    const SramPoint& point = e.sram_points[i];
    const auto [it, fresh] = seen.emplace(std::pair(point.bytes, point.word_bytes), i);
    const std::string path = "sram_points[" + std::to_string(i) + "]";
    r.require(fresh, path,
              "same bytes and word_bytes as sram_points[" + std::to_string(it->second) +
                  "]; expected each once");
    r.require(point.bytes >= point.word_bytes, path + ".bytes",
              "found " + number(point.bytes) + "; expected at least one word of " +
                  number(point.word_bytes));
  }
}

/// `sound`: null, or a machine without problems; DRAM and prices equal to its are not looked at.
void check_machine(const MachineConfig& m, Problems& problems,
                   const MachineConfig* sound = nullptr) {
  Relations r(problems, "");
  // Bytes that rules by age or a preemption move would be in the buffer, not where they lie.
  r.require(m.kv_dequantiser.combining_bytes == 0 || m.memory.tiers.empty(),
            "kv_dequantiser.combining_bytes",
            "found " + number(m.kv_dequantiser.combining_bytes) +
                " with memory.tiers; expected 0, or no tiers");
  const std::vector<std::string> names = [&] {
    std::vector<std::string> result;
    for (const auto& [name, pe] : m.energy.pes) result.push_back(name);
    return result;
  }();
  if (const auto pe = m.energy.pes.find(m.array.pe); pe == m.energy.pes.end()) {
    const std::vector<std::string> others = tables_with_pe(m.array.pe);
    r.require(false, "array.pe",
              others.empty() ? unknown_name_message("PE", m.array.pe, names) + " (energy table '" +
                                   m.energy.name + "')"
                             : no_price_message(m.energy.name, m.array.pe, others));
  } else {
    const double fastest = pe->second.max_clock_mhz;  // 0: the source does not say
    r.require(fastest == 0 || m.clock_mhz <= fastest, "clock_mhz",
              "found " + number(m.clock_mhz) + "; expected at most " +
                  number(pe->second.max_clock_mhz) + ", what the synthesis of '" + m.array.pe +
                  "' met");
  }
  const std::uint64_t edge = std::max(m.array.rows, m.array.cols);
  const MemoryConfig& memory = m.memory;
  // The widest operands are 16 bits, sums 32; a half below one edge could not feed the array at
  // all.
  check_scratchpad(memory.weight, 2 * edge, "one array edge of 16-bit weights",
                   Relations(problems, "memory.weight."));
  check_scratchpad(memory.activation, 2 * edge, "one array edge of 16-bit activations",
                   Relations(problems, "memory.activation."));
  check_scratchpad(memory.output, 4 * edge, "one array edge of 32-bit sums",
                   Relations(problems, "memory.output."));
  r.require(memory.output.layout == ScratchpadLayout::streamed, "memory.output.layout",
            "found '" + name_in(memory.output.layout) +
                "'; expected streamed (sums lie as the array's columns leave them)");
  const auto reads_in_time = [&](const ScratchpadConfig& s, std::string_view path) {
    const auto bank = std::ranges::find_if(m.energy.sram_points, [&](const SramPoint& p) {
      return p.word_bytes == s.word_bytes && p.bytes * s.banks == s.capacity_bytes;
    });
    if (bank == m.energy.sram_points.end()) return;  // a fit is too coarse to refuse a machine by
    const double cycles = std::ceil(bank->access_ns * m.clock_mhz * 1e-3);
    r.require(s.read_latency_cycles >= cycles, path,
              "found " + number(s.read_latency_cycles) + "; expected at least " + number(cycles) +
                  " (a bank takes " + number(bank->access_ns) + " ns, a cycle " +
                  number(1e3 / m.clock_mhz) + " ns)");
  };
  reads_in_time(memory.weight, "memory.weight.read_latency_cycles");
  reads_in_time(memory.activation, "memory.activation.read_latency_cycles");
  reads_in_time(memory.output, "memory.output.read_latency_cycles");
  const auto multiple_of_burst = [&](std::uint32_t value, std::string_view path) {
    r.require(value % memory.dram.burst_bytes == 0, path,
              "found " + number(value) + "; expected a multiple of the burst, " +
                  number(memory.dram.burst_bytes) + " bytes");
  };
  multiple_of_burst(memory.dma.segment_bytes, "memory.dma.segment_bytes");
  multiple_of_burst(memory.interleave_bytes, "memory.dram.interleave_bytes");
  r.power_of_two(memory.dma.align_bytes, "memory.dma.align_bytes");
  r.require(memory.dma.align_bytes <= memory.dma.segment_bytes, "memory.dma.align_bytes",
            "found " + number(memory.dma.align_bytes) + "; expected at most segment_bytes, " +
                number(memory.dma.segment_bytes));
  if (const CacheConfig& cache = memory.cache; cache.capacity_bytes > 0) {
    r.power_of_two(cache.line_bytes, "memory.cache.line_bytes");
    multiple_of_burst(cache.line_bytes, "memory.cache.line_bytes");
    r.require(memory.interleave_bytes % cache.line_bytes == 0, "memory.cache.line_bytes",
              "found " + number(cache.line_bytes) + "; expected a divisor of interleave_bytes, " +
                  number(memory.interleave_bytes) + " (a line lies in one channel)");
    if (cache.replacement == CacheReplacement::plru) {
      r.power_of_two(cache.ways, "memory.cache.ways");
    }
    const std::uint64_t unit = std::uint64_t{2} * memory.channels * cache.ways * cache.line_bytes;
    r.require(cache.capacity_bytes % unit == 0, "memory.cache.capacity_bytes",
              "found " + number(cache.capacity_bytes) + "; expected a multiple of " + number(unit) +
                  " (two sets of ways x line_bytes in each channel)");
    r.require(cache.weights || cache.activations || cache.kv_cache, "memory.cache.kv_cache",
              "no class of traffic passes through the cache; expected one at least");
  }
  r.power_of_two(memory.noc.link_bytes, "memory.noc.link_bytes");
  if (memory.noc.kind == NocKind::mesh) {
    const std::uint32_t points = 2 * memory.dma.engines + memory.channels;
    r.require(memory.noc.columns <= points, "memory.noc.columns",
              "found " + number(memory.noc.columns) + "; expected at most " + number(points) +
                  ", the engines of both directions and the channels");
  }
  for (const auto& [name, fixed] : m.mapping.fixed) {
    constexpr std::uint64_t kSumBytes = 4;
    const std::uint64_t bytes = kSumBytes * fixed.tile.m * fixed.tile.n;
    r.require(bytes <= memory.output.half_bytes(), "mapping.fixed." + name + ".tile",
              "found m " + number(fixed.tile.m) + " and n " + number(fixed.tile.n) + ", " +
                  number(bytes) + " bytes of sums; expected at most " +
                  number(memory.output.half_bytes()) +
                  (memory.output.buffers == 2 ? ", half of memory.output"
                                              : ", a buffer of memory.output"));
  }
  if (sound == nullptr || memory.dram != sound->memory.dram) {
    check_dram(memory.dram, Relations(problems, "memory.dram."));
  }
  check_tiers(memory, problems);
  if (sound == nullptr || m.energy != sound->energy) {
    check_energy(m.energy, Relations(problems, "energy."));
  }
}

std::string path_of(Target t) {
  return "tensors." + std::string(kTargetNames[static_cast<std::size_t>(t)]);
}
bool is_cache(Target t) { return t == Target::key || t == Target::value; }
bool is_weight(Target t) {
  return t == Target::weight || t == Target::head || t == Target::embedding;
}

/// What holds for policies that are their QuantSpec and nothing more: the integer kernels' rules.
void check_plain_policy(Target target, const quant::QuantSpec& spec, Relations& r) {
  using quant::Affine;
  using quant::Granularity;
  if (!is_integer(spec.format)) return;  // nothing else of the policy is used
  const std::string path = path_of(target);
  const std::string granularity = name_in(spec.granularity);
  if (is_weight(target)) {
    r.require(spec.granularity != Granularity::token, path + ".granularity",
              "found 'token'; expected tensor, channel or group (a weight has no tokens)");
    r.require(spec.granularity != Granularity::group || spec.group > 0, path + ".group",
              "found 0; expected the elements that share a scale, for granularity 'group'");
    r.require(spec.granularity == Granularity::group || spec.group == 0, path + ".group",
              "found " + number(spec.group) + " with granularity '" + granularity +
                  "'; expected 0, or granularity 'group'");
  } else {
    const bool cache = target != Target::activation && target != Target::shortcut;
    r.require(spec.granularity == Granularity::token ||
                  (!cache && spec.granularity == Granularity::tensor),
              path + ".granularity",
              "found '" + granularity + "'; expected " + (cache ? "token" : "token or tensor") +
                  " (this release has no other scale for it)");
    r.require(spec.group == 0, path + ".group",
              "found " + number(spec.group) + "; expected 0: only weights have groups");
    r.require(
        spec.affine == Affine::symmetric, path + ".affine",
        "found '" + name_in(spec.affine) + "'; expected symmetric (zero points are for weights)");
  }
  r.require(is_ieee(spec.scale), path + ".scale",
            "found '" + std::string(name_of(spec.scale)) + "'; expected fp32, fp16 or bf16");
}

/// The format, its parameters and the scales.
void check_format(Target target, const quant::TensorPolicy& p, Relations& r) {
  using quant::FormatClass;
  const std::string path = path_of(target);
  const FormatClass kind = info_of(p.format).kind;
  const std::string name(name_of(p.format));
  r.require(p.format != quant::Format::e8m0 && p.format != quant::Format::ue4m3, path + ".format",
            "found '" + name + "'; expected an operand format: " + name + " is for scales");
  const bool affine_integer = (kind == FormatClass::integer && p.format != quant::Format::int1) ||
                              p.format == quant::Format::levels;
  // A mixed policy may have its zero points in the other class.
  const bool mixed = p.outliers.kind == quant::OutlierKind::channel_class || !p.tokens.empty();
  r.require(affine_integer || mixed || p.affine == quant::Affine::symmetric, path + ".affine",
            "found '" + name_in(p.affine) + "'; expected symmetric: '" + name + "' has no zero");
  const bool has_count = p.format == quant::Format::levels;
  r.require(!has_count || p.QuantSpec::levels >= 2, path + ".level_count",
            "found " + number(p.QuantSpec::levels) + "; expected the number of levels, 2 or more");
  r.require(p.format != quant::Format::fixed || p.fraction_bits + p.integer_bits > 0,
            path + ".fraction_bits", "missing; expected the f of Q(i.f)");
  r.require(p.format != quant::Format::codebook || p.vector_length > 0, path + ".vector_length",
            "found 0; expected the elements of one codeword");
  r.require(p.granularity != quant::Granularity::group || p.group > 0, path + ".group",
            "found 0; expected the elements that share a scale, for granularity 'group'");
  r.require(p.range != quant::RangeRule::clip || (p.range_value > 0 && p.range_value <= 1),
            path + ".range_value",
            "found " + number(p.range_value) + "; expected a ratio above 0, at most 1");
  r.require(p.range != quant::RangeRule::percentile || (p.range_value > 0 && p.range_value <= 100),
            path + ".range_value",
            "found " + number(p.range_value) + "; expected a percentile above 0, at most 100");
  const std::size_t axes = is_cache(target) ? 3 : 2;
  for (std::size_t i = 0; i < p.levels.size(); ++i) {
    const std::string level = path + ".levels[" + number(i) + "].box";
    r.require(p.levels[i].box.size() == axes, level,
              "found " + number(p.levels[i].box.size()) + " extents; expected " +
                  (axes == 3           ? "[tokens, heads, channels]"
                   : is_weight(target) ? "[outputs, inputs]"
                                       : "[tokens, channels]"));
    if (i == 0 || p.levels[i].box.size() != axes || p.levels[i - 1].box.size() != axes) continue;
    for (std::size_t a = 0; a < axes; ++a) {
      const std::uint32_t outer = p.levels[i - 1].box[a];
      const std::uint32_t inner = p.levels[i].box[a];
      r.require(outer == 0 || (inner != 0 && outer % inner == 0), level,
                "found an extent of " + number(inner) + " inside one of " + number(outer) +
                    "; expected a divisor");
    }
  }
}

/// quantization.md §2.5: which axes go together.
void check_composition(Target target, const quant::TensorPolicy& p, Relations& r) {
  using namespace quant;
  const std::string path = path_of(target);
  const auto window = std::ranges::find(p.tokens, TokenKind::window, &TokenPolicy::kind);
  // A box over several tokens needs them all before its parameters are known.
  for (std::size_t i = 0; is_cache(target) && i < p.levels.size(); ++i) {
    const Level& level = p.levels[i];
    if (level.box.size() != 3 || level.box[0] == 1 || level.parameters == ParameterSource::fixed)
      continue;
    if (level.box[0] == 0) {
      const bool closed = std::ranges::any_of(p.tokens, [](const TokenPolicy& t) {
        return t.kind == TokenKind::salient && t.refresh > 0;
      });
      r.require(closed, path + ".levels[" + number(i) + "].param",
                "found '" + name_in(level.parameters) +
                    "' over all tokens; expected static, or a salient policy that refreshes");
      continue;
    }
    r.require(window != p.tokens.end() && window->count > 0 && window->count % level.box[0] == 0,
              path + ".tokens",
              "a box of " + number(level.box[0]) +
                  " tokens needs as many at full precision until it closes; expected a window "
                  "whose count is a multiple of it");
  }
  const bool pre_rope = std::ranges::any_of(p.transforms, [](const Transform& t) {
    return t.op == TransformOp::rope && t.where == Where::read;
  });
  for (std::size_t i = 0; i < p.transforms.size(); ++i) {
    const Transform& t = p.transforms[i];
    const std::string at = path + ".transforms[" + number(i) + "]";
    const bool over_heads = t.axis == TransformAxis::heads_channel;
    const bool mixes = t.op == TransformOp::had || t.op == TransformOp::rot;
    r.require(t.op != TransformOp::rope || target == Target::key, at + ".op",
              "found 'rope'; expected it on the key only");
    r.require(t.op != TransformOp::rope || t.where == Where::read || t.where == Where::query,
              at + ".where",
              "found '" + name_in(t.where) +
                  "'; expected read or query: keys are stored before their rotation");
    r.require(t.where != Where::query || target == Target::key, at + ".where",
              "found 'query'; expected it on the key only");
    r.require(t.where != Where::read || is_cache(target), at + ".where",
              "found 'read'; expected a tensor that is stored and read: key or value");
    if (target == Target::key && mixes) {
      r.require(
          !over_heads || t.where != Where::query, at + ".where",
          "found 'query' over heads; expected read: each query head has its own rotary angles");
      r.require(over_heads || pre_rope || t.where != Where::fold, at + ".where",
                "found 'fold' on keys rotated by RoPE; expected query (it commutes with the "
                "product) or rope at read");
    }
    if (target == Target::value && mixes) {
      r.require(!over_heads || t.where != Where::fold, at + ".where",
                "found 'fold' over heads; expected read: each head has its own probabilities");
    }
    if (target == Target::key && t.op == TransformOp::diag && t.where == Where::fold) {
      r.require(t.rope_pair_tied, at + ".rope_pair_tied",
                "found false; expected true: a factor folds into q and k before RoPE only if equal "
                "within a rotary pair");
    }
    const bool power = t.size == 0 || std::has_single_bit(t.size);
    r.require(power || (t.op != TransformOp::had && t.op != TransformOp::fft), at + ".size",
              "found " + number(t.size) + "; expected a power of two");
    r.require(t.op != TransformOp::diag || t.factors != FactorRule::none, at + ".factors",
              "missing; expected how the factors are found");
  }
  if (p.outliers.kind == OutlierKind::dense_sparse) {
    const bool zero = p.format == Format::lut || p.affine != Affine::symmetric ||
                      info_of(p.format).kind == FormatClass::integer;
    r.require(zero && p.format != Format::int1, path + ".outliers.kind",
              "found 'dense_sparse' with '" + std::string(name_of(p.format)) +
                  "'; expected a format with a zero-point code for the dense place of an outlier");
    r.require(p.outliers.fraction > 0 || p.outliers.count > 0, path + ".outliers.fraction",
              "found 0 and no count; expected one of them");
  }
  if (p.outliers.kind == OutlierKind::channel_class) {
    r.require(p.outliers.fraction > 0 && p.outliers.fraction < 1, path + ".outliers.fraction",
              "found " + number(p.outliers.fraction) + "; expected a share between 0 and 1");
  }
  for (std::size_t i = 0; i < p.tokens.size(); ++i) {
    const TokenPolicy& t = p.tokens[i];
    const std::string at = path + ".tokens[" + number(i) + "]";
    const bool first_tokens = target == Target::activation && t.kind == TokenKind::sink &&
                              p.tokens.size() == 1 && is_integer(t.high) && is_integer(p.format);
    r.require(is_cache(target) || first_tokens, at,
              "found a token policy; expected it on key or value, or one sink policy on activation "
              "with an integer format in both classes");
    const bool scores = (t.kind == TokenKind::salient && t.scorer != Scorer::text_similarity) ||
                        t.kind == TokenKind::evict;
    r.require(!scores || t.probe > 0, at + ".probe",
              "found 0; expected the share of query rows that score: a scorer needs attention "
              "probabilities");
    r.require(t.kind != TokenKind::salient || (t.ratio > 0 && t.ratio <= 1), at + ".ratio",
              "found " + number(t.ratio) + "; expected the salient share");
    r.require(!t.by_pages() || (t.ratio > 0 && t.ratio <= 1 && t.block > 1), at + ".block",
              "found " + number(t.block) + " and ratio " + number(t.ratio) +
                  "; expected tokens of a page, at least 2, and the share of pages read");
    r.require(t.kind == TokenKind::retrieve || t.scorer != Scorer::page_bounds, at + ".scorer",
              "found page_bounds for " + name_in(t.kind) + "; expected it with retrieve");
    r.require(t.kind != TokenKind::retrieve || t.by_pages() || (t.ratio > 0 && t.codewords > 1),
              at + ".codewords",
              "found " + number(t.codewords) + " and ratio " + number(t.ratio) +
                  "; expected an index codebook and the share fetched");
    r.require(
        (t.kind != TokenKind::window && t.kind != TokenKind::evict && t.kind != TokenKind::sink) ||
            t.count > 0,
        at + ".count", "found 0; expected a number of tokens");
    r.require(t.tier == "dram" || t.tier == "host", at + ".tier",
              "found '" + t.tier + "'; expected dram or host");
  }
  const ScheduleKind kind = p.schedule.kind;
  const bool ranked = kind == ScheduleKind::map && p.schedule.sensitivity != Sensitivity::listed;
  const bool mix = kind == ScheduleKind::map && p.schedule.sensitivity == Sensitivity::llama_mix;
  const bool inside = p.schedule.unit == MapUnit::group || p.schedule.unit == MapUnit::column;
  const bool complete = kind == ScheduleKind::fixed || kind == ScheduleKind::budget || mix ||
                        (ranked && inside) || (kind == ScheduleKind::map && is_cache(target));
  r.require(complete || !p.schedule.entries.empty(), path + ".schedule.entries",
            "missing; expected the formats of the schedule");
  r.require(p.schedule.kind != ScheduleKind::map || p.schedule.sensitivity == Sensitivity::listed ||
                mix || p.schedule.mean_bits > 0,
            path + ".schedule.mean_bits", "found 0; expected the mean bits that the map may spend");
}

/// What the executor multiplies: integers after, or reals before, with one kind on both sides.
void check_compute(const Recipe& recipe, Relations& r) {
  using quant::TransformOp;
  const auto turned = [&](Target t, TransformOp op, quant::Where where) {
    return std::ranges::any_of(recipe[t].transforms, [&](const quant::Transform& x) {
      return x.op == op && x.where == where;
    });
  };
  for (const TransformOp op : {TransformOp::had, TransformOp::rot}) {
    const bool folded = turned(Target::weight, op, quant::Where::fold);
    r.require(folded == turned(Target::activation, op, quant::Where::write),
              path_of(folded ? Target::activation : Target::weight) + ".transforms",
              "'" + name_in(op) +
                  "' is on one side only; expected it folded in the weight and written on the "
                  "activation");
  }
  const auto integer = [&](Target t) {
    return quant::is_plain(recipe[t]) ? is_integer(recipe[t].format) : !is_ieee(recipe[t].format);
  };
  const auto plain = [&](Target t) { return quant::is_plain(recipe[t]); };
  const auto found = [&](Target t) {
    return "found '" + std::string(name_of(recipe[t].format)) + "'";
  };
  const bool weights = integer(Target::weight);
  const bool heads = integer(Target::head);
  const bool activations = integer(Target::activation);
  const bool all_plain = plain(Target::weight) && plain(Target::head) && plain(Target::activation);
  if (all_plain && recipe.dequantise == Dequantise::after) {
    r.require(activations || (!weights && !heads), path_of(Target::activation) + ".format",
              found(Target::activation) +
                  "; expected an integer format: dequantise 'after' multiplies integers (or set "
                  "compute.dequantise to before)");
    r.require(weights || !activations, path_of(Target::weight) + ".format",
              found(Target::weight) + "; expected an integer format, as the activations have");
  } else if (all_plain) {
    r.require(!activations, path_of(Target::activation) + ".format",
              found(Target::activation) +
                  "; expected a float format: dequantise 'before' multiplies floats (or set "
                  "compute.dequantise to after)");
  }
  const auto pair = [&](Target moving, Target stored) {
    if (!plain(stored)) {
      r.require(
          is_ieee(recipe[moving].format), path_of(moving) + ".format",
          found(moving) + " against a cache that is decoded on reading; expected a float format");
      return;
    }
    r.require(integer(moving) == integer(stored), path_of(moving) + ".format",
              found(moving) + " against " +
                  std::string(kTargetNames[static_cast<std::size_t>(stored)]) + " '" +
                  std::string(name_of(recipe[stored].format)) +
                  "'; expected both integer or both float");
  };
  pair(Target::query, Target::key);
  pair(Target::probability, Target::value);
  r.require(quant::is_plain(recipe[Target::key]) == quant::is_plain(recipe[Target::value]) ||
                (is_ieee(recipe[Target::key].format) || is_ieee(recipe[Target::value].format)) ||
                (!quant::is_plain(recipe[Target::key]) && !quant::is_plain(recipe[Target::value])),
            path_of(Target::value) + ".format",
            "one of key and value is decoded on reading and the other multiplied as integers; "
            "expected both the same way");
}

void check_policies(const Recipe& recipe, Relations r) {
  for (std::size_t i = 0; i < kTargetCount; ++i) {
    const auto target = static_cast<Target>(i);
    const quant::TensorPolicy& policy = recipe[target];
    if (quant::is_plain(policy)) {
      check_plain_policy(target, policy, r);
    } else {
      check_format(target, policy, r);
      check_composition(target, policy, r);
    }
  }
}

void check_recipe(const Recipe& recipe, Relations r) {
  check_policies(recipe, r);
  check_compute(recipe, r);
}

void check_model(const ModelShape& m, Relations r) {
  r.require(m.heads % m.kv_heads == 0, "kv_heads",
            "found " + number(m.kv_heads) + "; expected a divisor of heads, " + number(m.heads));
  if (m.head_dim == 0) {
    r.require(m.hidden % m.heads == 0, "head_dim",
              "missing; expected a value, because hidden " + number(m.hidden) +
                  " is not a multiple of heads " + number(m.heads));
  }
  const std::uint64_t dim = m.head_dim == 0 ? m.hidden / m.heads : m.head_dim;
  r.require(dim > 0 && dim % 2 == 0, "head_dim",
            "found " + number(dim) + "; expected an even number (RoPE turns pairs)");
}

void find_relations(const MachineConfig& c, Problems& p) { check_machine(c, p); }
void find_relations(const Recipe& c, Problems& p) { check_recipe(c, Relations(p, "")); }
void find_relations(const ModelShape& c, Problems& p) { check_model(c, Relations(p, "")); }
void find_relations(const DramConfig& c, Problems& p) { check_dram(c, Relations(p, "")); }
void find_relations(const TierConfig& c, Problems& p) { check_tier(c, p, ""); }
void find_relations(const EnergyTable& c, Problems& p) { check_energy(c, Relations(p, "")); }

/// Names of a list of named things, each once.
template <class T>
std::vector<std::string> unique_names(const std::vector<T>& things, auto name_of_thing,
                                      std::string_view list, Relations& r) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < things.size(); ++i) {
    const std::string& name = name_of_thing(things[i]);
    r.require(std::ranges::find(names, name) == names.end(),
              std::string(list) + "[" + number(i) + "]", "a second '" + name + "'; expected one");
    names.push_back(name);
  }
  r.require(!names.empty(), list, "empty; expected at least one");
  return names;
}

/// Layers of one network; more is a slip of the keyboard.
constexpr std::size_t kMostPaperLayers = 4096;
/// Outputs x inputs of a layer, kernel aside: with the largest kernel, tiles rounded up in five
/// dimensions and 64-bit operands, the counts of the models still fit 64 bits.
constexpr double kLargestPaperLayer = 549755813888.0;  // 2^39
constexpr std::uint64_t kLargestPaperBuffer = 4194304;

void check_bitfusion(const BitfusionPaper& b, std::vector<std::string>& networks,
                     std::vector<std::string>& machines, Relations r) {
  machines = unique_names(
      b.machines, [](const auto& m) -> const std::string& { return m.name; }, "machines", r);
  for (std::size_t i = 0; i < b.machines.size(); ++i) {
    const BitfusionMachine& m = b.machines[i];
    const std::string at = "machines[" + number(i) + "]";
    r.require(
        m.max_bits >= m.min_bits, at + ".max_bits",
        "found " + number(m.max_bits) + "; expected at least min_bits, " + number(m.min_bits));
    r.require(m.dataflow != PaperDataflow::is, at + ".dataflow",
              "found 'is'; expected os or ws (the model has no other)");
  }
  r.require(std::ranges::find(machines, b.reference) != machines.end(), "reference",
            unknown_name_message("machine", b.reference, machines));
  for (const auto& [buffer, path] :
       {std::pair{&b.weight, "weight"}, {&b.activation, "activation"}, {&b.output, "output"}}) {
    r.require(
        buffer->bytes <= kLargestPaperBuffer, std::string(path) + ".bytes",
        "found " + number(buffer->bytes) + "; expected at most " + number(kLargestPaperBuffer));
  }
  std::map<std::string, std::vector<std::string>> seen;  // machines by network
  for (std::size_t i = 0; i < b.workloads.size(); ++i) {
    const BitfusionWorkload& w = b.workloads[i];
    const std::string at = "workloads[" + number(i) + "]";
    if (std::ranges::find(networks, w.network) == networks.end()) networks.push_back(w.network);
    std::size_t layers = 0;
    for (const PaperBlock& block : w.blocks) {
      for (const PaperLayer& layer : block.layers) {
        layers += std::size_t{block.times} * layer.times;
        const double size = static_cast<double>(b.batch) * layer.rows * layer.edge * layer.edge *
                            static_cast<double>(layer.in) * layer.out;
        r.require(size <= kLargestPaperLayer, at + ".blocks",
                  "a layer of batch x rows x edge^2 x in x out = " + number(size) +
                      "; expected at most " + number(kLargestPaperLayer));
      }
    }
    r.require(layers > 0 && layers <= kMostPaperLayers, at + ".blocks",
              number(layers) + " layers; expected 1 to " + number(kMostPaperLayers));
    for (const auto& [machine, runs] : w.bits) {
      r.require(std::ranges::find(machines, machine) != machines.end(), at + ".bits",
                unknown_name_message("machine", machine, machines));
      auto& others = seen[w.network];
      r.require(std::ranges::find(others, machine) == others.end(), at + ".bits",
                "'" + machine + "' has layers of '" + w.network + "' already");
      others.push_back(machine);
      try {
        const auto bits = expand_runs(runs, kMostPaperLayers);
        r.require(bits.size() == layers, at + ".bits." + machine,
                  number(bits.size()) + " widths for " + number(layers) +
                      " layers; expected a width a layer");
        r.require(std::ranges::max(bits) <= 64, at + ".bits." + machine,
                  "found " + number(std::ranges::max(bits)) + "; expected widths from 1 to 64");
      } catch (const ConfigError& error) {
        r.require(false, at + ".bits." + machine, error.what());
      }
    }
  }
  for (const std::string& network : networks) {
    const auto& others = seen[network];
    r.require(std::ranges::find(others, b.reference) != others.end(), "workloads",
              "no bits of the reference '" + b.reference + "' for network '" + network + "'");
  }
}

void check_bitmod(const BitmodPaper& b, std::vector<std::string>& networks,
                  std::vector<std::string>& machines, Relations r) {
  const auto name = [](const auto& m) -> const std::string& { return m.name; };
  networks = unique_names(b.models, name, "models", r);
  machines = unique_names(b.machines, name, "machines", r);
  for (std::size_t i = 0; i < b.models.size(); ++i) {
    const BitmodModel& m = b.models[i];
    const std::string at = "models[" + number(i) + "]";
    r.require(m.hidden % m.heads == 0, at + ".heads", "expected a divisor of hidden");
    r.require(m.heads % m.kv_heads == 0, at + ".kv_heads", "expected a divisor of heads");
  }
  for (std::size_t i = 0; i < b.machines.size(); ++i) {
    const BitmodMachine& m = b.machines[i];
    for (const auto& [phase, path] : {std::pair{&m.prefill, ".prefill.weight_bits"},
                                      {&m.generation, ".generation.weight_bits"}}) {
      r.require(phase->weight_bits.size() == 1 || phase->weight_bits.size() == b.models.size(),
                "machines[" + number(i) + "]" + path,
                number(phase->weight_bits.size()) + " widths; expected one, or one a model (" +
                    number(b.models.size()) + ")");
    }
  }
}

void check_scale_sim(const ScaleSimPaper& s, std::vector<std::string>& networks,
                     std::vector<std::string>& machines, Relations r) {
  const auto name = [](const auto& m) -> const std::string& { return m.name; };
  networks = unique_names(s.networks, name, "networks", r);
  machines = unique_names(s.machines, name, "machines", r);
  for (std::size_t i = 0; i < s.networks.size(); ++i) {
    for (std::size_t l = 0; l < s.networks[i].layers.size(); ++l) {
      const ScaleSimLayer& layer = s.networks[i].layers[l];
      const std::string at = "networks[" + number(i) + "].layers[" + number(l) + "]";
      r.require(layer.gemm.size() + layer.conv.size() == (layer.gemm.empty() ? 7 : 3), at,
                "expected gemm: [m, n, k], or conv: [height, width, kernel height, kernel width, "
                "channels, filters, stride]");
      if (layer.conv.size() != 7) continue;
      r.require(layer.conv[2] <= layer.conv[0] && layer.conv[3] <= layer.conv[1], at + ".conv",
                "the kernel is larger than the image");
    }
  }
}

void find_relations(const PaperConfig& c, Problems& p) {
  std::vector<std::string> networks, machines;
  switch (c.model) {
    case PaperModel::bitfusion:
      check_bitfusion(c.bitfusion, networks, machines, Relations(p, "bitfusion."));
      break;
    case PaperModel::bitmod:
      check_bitmod(c.bitmod, networks, machines, Relations(p, "bitmod."));
      break;
    case PaperModel::scale_sim:
      check_scale_sim(c.scale_sim, networks, machines, Relations(p, "scale_sim."));
      break;
  }
  networks.emplace_back("mean");
  Relations r(p, "");
  for (std::size_t i = 0; i < c.published.size(); ++i) {
    const PublishedValues& values = c.published[i];
    const std::string at = "published[" + number(i) + "]";
    r.require(std::ranges::find(networks, values.network) != networks.end(), at + ".network",
              unknown_name_message("network", values.network, networks));
    r.require(std::ranges::find(machines, values.machine) != machines.end(), at + ".machine",
              unknown_name_message("machine", values.machine, machines));
    for (const auto& [metric, text] : values.values) {
      double value = 0;
      const auto [end, error] =
          std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
      r.require(error == std::errc{} && end == text.data() + text.size() && std::isfinite(value) &&
                    text.size() <= 20,
                at + ".values." + metric, "found '" + text + "'; expected a number as printed");
    }
  }
}

template <class C>
Problems all_problems(const C& config) {
  Problems problems = check_ranges(config);
  if (problems.empty()) find_relations(config, problems);
  return problems;
}

template <class C>
void throw_problems(std::string_view kind, const C& config, const Problems& problems) {
  std::string text;
  for (const Broken& broken : problems) {
    if (!text.empty()) text += '\n';
    text += std::string(kind) + " '" + config.name + "': " + broken.path + ": " + broken.message;
  }
  if (!text.empty()) throw ConfigError(text);
}

}  // namespace

std::vector<Broken> problems(const MachineConfig& config) { return all_problems(config); }
std::vector<Broken> problems(const MachineConfig& config, const MachineConfig& sound) {
  Problems problems = check_ranges(config, config.energy == sound.energy ? "energy" : "");
  if (problems.empty()) check_machine(config, problems, &sound);
  return problems;
}
std::vector<Broken> problems(const Recipe& config) { return all_problems(config); }
std::vector<Broken> problems(const ModelShape& config) { return all_problems(config); }
std::vector<Broken> problems(const DramConfig& config) { return all_problems(config); }
std::vector<Broken> problems(const TierConfig& config) { return all_problems(config); }
std::vector<Broken> problems(const EnergyTable& config) { return all_problems(config); }
std::vector<Broken> problems(const PaperConfig& config) { return all_problems(config); }

void validate(const MachineConfig& config) {
  throw_problems("machine", config, all_problems(config));
}
void validate(const Recipe& config) { throw_problems("recipe", config, all_problems(config)); }
void validate_policies(const Recipe& config) {
  Problems problems = check_ranges(config);
  if (problems.empty()) check_policies(config, Relations(problems, ""));
  throw_problems("recipe", config, problems);
}
void validate(const ModelShape& config) { throw_problems("model", config, all_problems(config)); }
void validate(const DramConfig& config) { throw_problems("DRAM", config, all_problems(config)); }
void validate(const TierConfig& config) {
  throw_problems("memory tier", config, all_problems(config));
}
void validate(const EnergyTable& config) {
  throw_problems("energy table", config, all_problems(config));
}
void validate(const PaperConfig& config) { throw_problems("paper", config, all_problems(config)); }

}  // namespace systole::configs
