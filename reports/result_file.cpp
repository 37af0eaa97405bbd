#include "reports/result_file.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "reports/hdf5_file.hpp"
#include "reports/sweep_file.hpp"
#include "sim/core/error.hpp"

namespace systole::reports {
namespace {

// --- the schema, listed once: writer and reader are visitors of these lists
// ------------------------

template <class Visitor, class Result>
void describe_identity(Visitor& field, Result& r) {
  field("/identity/version", r.version, "");
  field("/identity/command", r.command, "");
  field("/identity/seed", r.seed, "");
  field("/identity/machine", r.machine, "");
  field("/identity/recipe", r.recipe, "");
  field("/identity/model", r.model, "");
}

template <class Visitor, class Result>
void describe_summary(Visitor& field, Result& r) {
  field("/summary/clock_mhz", r.clock_mhz, "MHz");
  field("/summary/prefill_tokens", r.prefill_tokens, "tokens");
  field("/summary/decode_tokens", r.decode_tokens, "tokens");
  field("/summary/sequences", r.sequences, "sequences");
  field("/summary/cycles", r.cycles, "cycles");
  field("/summary/prefill_cycles", r.prefill_cycles, "cycles");
  field("/summary/decode_cycles", r.decode_cycles, "cycles");
  field("/summary/ttft_ms", r.ttft_ms, "ms");
  field("/summary/tpot_ms", r.tpot_ms, "ms");
  field("/summary/energy_pj", r.energy_pj, "pJ");
  field("/summary/area_mm2", r.area_mm2, "mm2");
  field("/summary/peak_macs_per_cycle", r.peak_macs_per_cycle, "MACs/cycle");
  field("/summary/peak_dram_bytes_per_cycle", r.peak_dram_bytes_per_cycle, "bytes/cycle");
  field("/summary/kv_bytes", r.kv_bytes, "bytes");
  field("/summary/kv_bytes_read", r.kv_bytes_read, "bytes");
  field("/summary/kv_bytes_written", r.kv_bytes_written, "bytes");
  field("/summary/kv_burst_bytes_read", r.kv_burst_bytes_read, "bytes");
  field("/summary/kv_burst_bytes_written", r.kv_burst_bytes_written, "bytes");
  field("/summary/kv_dequantise_cycles", r.kv_dequantise_cycles, "cycles");
}

template <class Visitor, class QualityType>
void describe_quality(Visitor& field, QualityType& q) {
  field("/quality/perplexity", q.perplexity, "1");
  field("/quality/nll", q.nll, "nats/token");
  field("/quality/tokens", q.tokens, "tokens");
  field("/quality/text", q.text, "");
  field("/quality/kl_divergence", q.kl, "nats/token");
}

template <class Visitor, class Sharing>
void describe_sharing(Visitor& field, Sharing& s) {
  field("/kv_sharing/prefix_tokens", s.prefix_tokens, "tokens");
  field("/kv_sharing/pages_shared", s.pages_shared, "pages");
  field("/kv_sharing/pages_shared_at_end", s.pages_shared_at_end, "pages");
  field("/kv_sharing/pages_copied", s.pages_copied, "pages");
  field("/kv_sharing/pages_replaced", s.pages_replaced, "pages");
  field("/kv_sharing/bytes_copied", s.bytes_copied, "bytes");
  field("/kv_sharing/bytes_saved", s.bytes_saved, "bytes");
}

constexpr std::span<const std::string_view> kNoNames;

template <class Visitor>
void describe_operations(Visitor& column) {
  using Row = OperationRow;
  column("/operations/name", &Row::name, "", kNoNames);
  column("/operations/kind", &Row::kind, "", kNoNames);
  column("/operations/phase", &Row::phase, "", kNoNames);
  column("/operations/repeats", &Row::repeats, "1", kNoNames);
  column("/operations/m", &Row::m, "1", kNoNames);
  column("/operations/n", &Row::n, "1", kNoNames);
  column("/operations/k", &Row::k, "1", kNoNames);
  column("/operations/weight_format", &Row::weight_format, "", kNoNames);
  column("/operations/activation_format", &Row::activation_format, "", kNoNames);
  column("/operations/macs", &Row::macs, "MACs", kNoNames);
  column("/operations/cycles", &Row::cycles, "cycles", kNoNames);
  column("/operations/cycles_by_cause", &Row::cycles_by_cause, "cycles", kCycleCauseNames);
  column("/operations/dram_read_bytes", &Row::dram_read_bytes, "bytes", kTrafficClassNames);
  column("/operations/dram_write_bytes", &Row::dram_write_bytes, "bytes", kTrafficClassNames);
  column("/operations/compute_bound_cycles", &Row::compute_bound_cycles, "cycles", kNoNames);
  column("/operations/bandwidth_bound_cycles", &Row::bandwidth_bound_cycles, "cycles", kNoNames);
  column("/operations/bound", &Row::bound, "", kNoNames);
}

/// One entry of a row's energy map: a map has no fixed columns, so it is a table of its own.
struct EnergyEntry {
  std::uint64_t operation = 0;  ///< index into /operations
  std::string component;
  double energy_pj = 0;
};

template <class Visitor>
void describe_energy(Visitor& column) {
  column("/operation_energy/operation", &EnergyEntry::operation, "row", kNoNames);
  column("/operation_energy/component", &EnergyEntry::component, "", kNoNames);
  column("/operation_energy/energy_pj", &EnergyEntry::energy_pj, "pJ", kNoNames);
}

/// A tiling of an operation: the chosen one (rank 0), after it its runner-up (rank 1).
struct MappingEntry {
  std::uint64_t operation = 0;  ///< index into /operations
  std::uint64_t rank = 0;
  std::string objective;
  std::uint64_t fixed = 0;
  std::uint64_t estimated_cycles = 0;  ///< of all instances
  std::uint64_t m = 0, n = 0, k = 0, cycles = 0, first_load_cycles = 0, dram_bytes = 0;
  std::string order;
  double energy_pj = 0;
};

template <class Visitor>
void describe_mappings(Visitor& column) {
  using Row = MappingEntry;
  column("/mappings/operation", &Row::operation, "row", kNoNames);
  column("/mappings/rank", &Row::rank, "1", kNoNames);
  column("/mappings/objective", &Row::objective, "", kNoNames);
  column("/mappings/fixed", &Row::fixed, "1", kNoNames);
  column("/mappings/m_tile", &Row::m, "1", kNoNames);
  column("/mappings/n_tile", &Row::n, "1", kNoNames);
  column("/mappings/k_tile", &Row::k, "1", kNoNames);
  column("/mappings/order", &Row::order, "", kNoNames);
  column("/mappings/cycles", &Row::cycles, "cycles", kNoNames);
  column("/mappings/first_load_cycles", &Row::first_load_cycles, "cycles", kNoNames);
  column("/mappings/energy_pj", &Row::energy_pj, "pJ", kNoNames);
  column("/mappings/dram_bytes", &Row::dram_bytes, "bytes", kNoNames);
  column("/mappings/estimated_cycles", &Row::estimated_cycles, "cycles", kNoNames);
}

template <class Visitor>
void describe_components(Visitor& column) {
  using Row = ComponentRow;
  column("/components/name", &Row::name, "", kNoNames);
  column("/components/dynamic_pj", &Row::dynamic_pj, "pJ", kNoNames);
  column("/components/static_pj", &Row::static_pj, "pJ", kNoNames);
  column("/components/area_mm2", &Row::area_mm2, "mm2", kNoNames);
  column("/components/area_source", &Row::area_source, "", kNoNames);
  column("/components/energy_source", &Row::energy_source, "", kNoNames);
  column.later("/components/dynamic_high_pj", &Row::dynamic_high_pj, "pJ");
  column.later("/components/energy_band", &Row::energy_band, "1");
  column.later("/components/area_band", &Row::area_band, "1");
}

template <class Visitor>
void describe_tiers(Visitor& column) {
  using Row = TierRow;
  column("/tiers/name", &Row::name, "", kNoNames);
  column("/tiers/capacity_bytes", &Row::capacity_bytes, "bytes", kNoNames);
  column("/tiers/placed_bytes", &Row::placed_bytes, "bytes", kNoNames);
  column("/tiers/spilled_bytes", &Row::spilled_bytes, "bytes", kNoNames);
  column("/tiers/read_bytes", &Row::read_bytes, "bytes", kTrafficClassNames);
  column("/tiers/written_bytes", &Row::written_bytes, "bytes", kTrafficClassNames);
  column("/tiers/busy_fraction", &Row::busy_fraction, "1", kNoNames);
  column("/tiers/link_fraction", &Row::link_fraction, "1", kNoNames);
  column("/tiers/wait_cycles", &Row::wait_cycles, "cycles", kNoNames);
  column("/tiers/energy_pj", &Row::energy_pj, "pJ", kNoNames);
  column("/tiers/line_writes", &Row::line_writes, "1", kNoNames);
  column("/tiers/most_region_writes", &Row::most_region_writes, "1", kNoNames);
  column("/tiers/lifetime_years", &Row::lifetime_years, "years", kNoNames);
}

template <class Visitor>
void describe_paths(Visitor& column) {
  using Row = MemoryPath;
  column("/memory_paths/name", &Row::name, "", kNoNames);
  column("/memory_paths/peak_bytes_per_cycle", &Row::peak_bytes_per_cycle, "bytes/cycle", kNoNames);
  column("/memory_paths/bytes", &Row::bytes, "bytes", kNoNames);
}

template <class Visitor>
void describe_scratchpads(Visitor& column) {
  using Row = ScratchpadUse;
  column("/scratchpads/name", &Row::name, "", kNoNames);
  column("/scratchpads/capacity_bytes", &Row::capacity_bytes, "bytes", kNoNames);
  column("/scratchpads/held_byte_cycles", &Row::held_byte_cycles, "bytes*cycles", kNoNames);
}
template <class Visitor>
void describe_held(Visitor& column) {
  column("/scratchpads/operation_held_byte_cycles", &OperationRow::held_byte_cycles, "bytes*cycles",
         kScratchpadNames);
}
template <class Visitor>
void describe_held_in_windows(Visitor& column) {
  column("/windows/held_byte_cycles", &TimeWindow::held_byte_cycles, "bytes*cycles",
         kScratchpadNames);
}

template <class Visitor>
void describe_steps(Visitor& column) {
  using Row = StepRow;
  column("/steps/phase", &Row::phase, "", kNoNames);
  column("/steps/steps", &Row::steps, "1", kNoNames);
  column("/steps/context", &Row::context, "tokens", kNoNames);
  column("/steps/cycles", &Row::cycles, "cycles", kNoNames);
  column("/steps/kv_bytes", &Row::kv_bytes, "bytes", kNoNames);
  column("/steps/kv_bytes_read", &Row::kv_bytes_read, "bytes", kNoNames);
  column("/steps/kv_bytes_written", &Row::kv_bytes_written, "bytes", kNoNames);
}

template <class Visitor>
void describe_windows(Visitor& column) {
  using Row = TimeWindow;
  column("/windows/cycles_by_cause", &Row::cycles_by_cause, "cycles", kCycleCauseNames);
  column("/windows/macs", &Row::macs, "MACs", kNoNames);
  column("/windows/dram_read_bytes", &Row::dram_read_bytes, "bytes", kNoNames);
  column("/windows/dram_write_bytes", &Row::dram_write_bytes, "bytes", kNoNames);
}

template <class Visitor>
void describe_excerpt_operations(Visitor& column) {
  using Row = ExcerptOperation;
  column("/excerpt/operations/stretch", &Row::stretch, "", kNoNames);
  column("/excerpt/operations/name", &Row::name, "", kNoNames);
  column("/excerpt/operations/begin_cycles", &Row::begin_cycles, "cycles", kNoNames);
  column("/excerpt/operations/cycles", &Row::cycles, "cycles", kNoNames);
}

template <class Visitor>
void describe_excerpt_bars(Visitor& column) {
  using Row = ExcerptBar;
  column("/excerpt/bars/operation", &Row::operation, "row", kNoNames);
  column("/excerpt/bars/track", &Row::track, "1", kNoNames);
  column("/excerpt/bars/begin_ps", &Row::begin_ps, "ps", kNoNames);
  column("/excerpt/bars/end_ps", &Row::end_ps, "ps", kNoNames);
  column("/excerpt/bars/busy_ps", &Row::busy_ps, "ps", kNoNames);
  column("/excerpt/bars/pieces", &Row::pieces, "1", kNoNames);
  column("/excerpt/bars/bytes", &Row::bytes, "bytes", kNoNames);
}

template <class Visitor>
void describe_excerpt_dram(Visitor& column) {
  using Row = ExcerptDramBar;
  column("/excerpt/dram/operation", &Row::operation, "row", kNoNames);
  column("/excerpt/dram/bank", &Row::bank, "1", kNoNames);
  column("/excerpt/dram/act", &Row::act, "1", kNoNames);
  column("/excerpt/dram/begin_ps", &Row::begin_ps, "ps", kNoNames);
  column("/excerpt/dram/end_ps", &Row::end_ps, "ps", kNoNames);
  column("/excerpt/dram/busy_ps", &Row::busy_ps, "ps", kNoNames);
  column("/excerpt/dram/pieces", &Row::pieces, "1", kNoNames);
  column("/excerpt/dram/bytes", &Row::bytes, "bytes", kNoNames);
}

template <class Visitor>
void describe_excerpt_levels(Visitor& column) {
  using Row = ExcerptLevel;
  column("/excerpt/levels/operation", &Row::operation, "row", kNoNames);
  column("/excerpt/levels/scratchpad", &Row::scratchpad, "1", kNoNames);
  column("/excerpt/levels/begin_ps", &Row::begin_ps, "ps", kNoNames);
  column("/excerpt/levels/end_ps", &Row::end_ps, "ps", kNoNames);
  column("/excerpt/levels/bytes", &Row::bytes, "bytes", kNoNames);
}

template <class Visitor>
void describe_sensitivities(Visitor& column) {
  using Row = SensitivityRow;
  column("/sensitivities/change", &Row::change, "", kNoNames);
  column("/sensitivities/path", &Row::path, "", kNoNames);
  column("/sensitivities/time_ms", &Row::time_ms, "ms", kNoNames);
  column("/sensitivities/ttft_ms", &Row::ttft_ms, "ms", kNoNames);
  column("/sensitivities/tpot_ms", &Row::tpot_ms, "ms", kNoNames);
  column("/sensitivities/energy_pj", &Row::energy_pj, "pJ", kNoNames);
  column("/sensitivities/area_mm2", &Row::area_mm2, "mm2", kNoNames);
}

struct EventEntry {
  std::string name;
  std::uint64_t count = 0;
};

template <class Visitor>
void describe_events(Visitor& column) {
  column("/events/name", &EventEntry::name, "", kNoNames);
  column("/events/count", &EventEntry::count, "1", kNoNames);
}

struct KeyValue {
  std::string key, value;
};

/// `group` is "/config" or "/notes".
template <class Visitor>
void describe_key_values(Visitor& column, const std::string& group) {
  column(group + "/key", &KeyValue::key, "", kNoNames);
  column(group + "/value", &KeyValue::value, "", kNoNames);
}

// --- the visitors
// ----------------------------------------------------------------------------------

struct FieldWriter {
  Hdf5Writer& file;
  template <class T>
  void operator()(const std::string& name, const T& value, std::string_view unit) {
    file.scalar(name, value, unit);
  }
  template <class T>
  void operator()(const std::string& name, const std::optional<T>& value, std::string_view unit) {
    if (value) file.scalar(name, *value, unit);
  }
};

struct FieldReader {
  const Hdf5Reader& file;
  template <class T>
  void operator()(const std::string& name, T& value, std::string_view) {
    file.scalar(name, value);
  }
  template <class T>
  void operator()(const std::string& name, std::optional<T>& value, std::string_view) {
    if (file.has(name)) file.scalar(name, value.emplace());
  }
};

template <class Row>
struct ColumnWriter {
  Hdf5Writer& file;
  const std::vector<Row>& rows;

  template <class T>
  void operator()(const std::string& name, T Row::*member, std::string_view unit,
                  std::span<const std::string_view>) {
    std::vector<T> values;
    values.reserve(rows.size());
    for (const Row& row : rows) values.push_back(row.*member);
    file.column(name, std::span<const T>(values), unit);
  }
  /// A column that files of the same schema version may lack: it was added since.
  template <class T>
  void later(const std::string& name, T Row::*member, std::string_view unit) {
    (*this)(name, member, unit, {});
  }
  template <std::size_t N>
  void operator()(const std::string& name, std::array<std::uint64_t, N> Row::*member,
                  std::string_view unit, std::span<const std::string_view> names) {
    std::vector<std::uint64_t> values;
    for (const Row& row : rows)
      values.insert(values.end(), (row.*member).begin(), (row.*member).end());
    file.table(name, values, names, unit);
  }
};

template <class Row>
struct ColumnReader {
  const Hdf5Reader& file;
  std::vector<Row>& rows;
  bool first = true;

  /// The first column says how many rows there are, every other must agree.
  void resize(const std::string& name, std::size_t count) {
    if (first) rows.resize(count);
    first = false;
    if (count != rows.size()) {
      file.fail("'" + name + "' has " + std::to_string(count) + " rows, expected " +
                std::to_string(rows.size()) + " as in its first column");
    }
  }
  template <class T>
  void later(const std::string& name, T Row::*member, std::string_view unit) {
    if (file.has(name)) (*this)(name, member, unit, {});
  }
  template <class T>
  void operator()(const std::string& name, T Row::*member, std::string_view,
                  std::span<const std::string_view>) {
    std::vector<T> values;
    file.column(name, values);
    resize(name, values.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].*member = std::move(values[i]);
  }
  template <std::size_t N>
  void operator()(const std::string& name, std::array<std::uint64_t, N> Row::*member,
                  std::string_view, std::span<const std::string_view> names) {
    std::vector<std::uint64_t> values;
    file.table(name, values, names);
    resize(name, values.size() / N);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(i * N), N,
                  (rows[i].*member).begin());
    }
  }
};

template <class Row>
ColumnWriter(Hdf5Writer&, const std::vector<Row>&) -> ColumnWriter<Row>;

std::vector<MappingEntry> mapping_entries(const RunResult& result) {
  std::vector<MappingEntry> entries;
  for (std::size_t i = 0; i < result.operations.size(); ++i) {
    const std::optional<MappingChoice>& mapping = result.operations[i].mapping;
    if (!mapping) continue;
    const auto add = [&](std::uint64_t rank, const Tiling& t) {
      MappingEntry& e = entries.emplace_back();
      e.operation = i;
      e.rank = rank;
      e.objective = mapping->objective;
      e.fixed = mapping->fixed ? 1 : 0;
      e.estimated_cycles = mapping->estimated_cycles;
      e.m = t.m;
      e.n = t.n;
      e.k = t.k;
      e.order = t.order;
      e.cycles = t.cycles;
      e.first_load_cycles = t.first_load_cycles;
      e.energy_pj = t.energy_pj;
      e.dram_bytes = t.dram_bytes;
    };
    add(0, mapping->chosen);
    if (mapping->runner_up) add(1, *mapping->runner_up);
  }
  return entries;
}

void read_mappings(const Hdf5Reader& file, RunResult& result) {
  std::vector<MappingEntry> entries;
  ColumnReader<MappingEntry> column{file, entries};
  describe_mappings(column);
  for (MappingEntry& e : entries) {
    if (e.operation >= result.operations.size()) {
      file.fail("'/mappings/operation' names row " + std::to_string(e.operation) +
                ", expected less than " + std::to_string(result.operations.size()));
    }
    std::optional<MappingChoice>& mapping = result.operations[e.operation].mapping;
    if (e.rank > 1 || mapping.has_value() != (e.rank == 1)) {
      file.fail("'/mappings/rank' has " + std::to_string(e.rank) + " for row " +
                std::to_string(e.operation) + ", expected one 0 and at most one 1 after it");
    }
    const Tiling tiling{
        e.m,         e.n,         e.k, std::move(e.order), e.cycles, e.first_load_cycles,
        e.energy_pj, e.dram_bytes};
    if (e.rank == 1) {
      mapping->runner_up = tiling;
    } else {
      mapping = MappingChoice{std::move(e.objective), e.fixed != 0, tiling, std::nullopt,
                              e.estimated_cycles};
    }
  }
}

void write_key_values(Hdf5Writer& file, const std::string& group, const KeyValues& pairs) {
  std::vector<KeyValue> rows;
  for (const auto& [key, value] : pairs) rows.push_back({key, value});
  file.group(group);
  ColumnWriter column{file, rows};
  describe_key_values(column, group);
}

KeyValues read_key_values(const Hdf5Reader& file, const std::string& group) {
  std::vector<KeyValue> rows;
  ColumnReader<KeyValue> column{file, rows};
  describe_key_values(column, group);
  KeyValues pairs;
  for (KeyValue& row : rows) pairs.emplace_back(std::move(row.key), std::move(row.value));
  return pairs;
}

std::vector<std::string_view> path_names(const RunResult& result) {
  std::vector<std::string_view> names;
  for (const MemoryPath& path : result.memory_paths) names.push_back(path.name);
  return names;
}

void write_paths(Hdf5Writer& file, const RunResult& result) {
  if (result.memory_paths.empty()) return;
  file.group("/memory_paths");
  ColumnWriter paths{file, result.memory_paths};
  describe_paths(paths);
  std::vector<std::uint64_t> bytes;
  for (const OperationRow& row : result.operations) {
    SYSTOLE_CHECK(row.path_bytes.size() == result.memory_paths.size(), "bytes of no path");
    bytes.insert(bytes.end(), row.path_bytes.begin(), row.path_bytes.end());
  }
  file.table("/memory_paths/operation_bytes", bytes, path_names(result), "bytes");
}

void read_paths(const Hdf5Reader& file, RunResult& result) {
  if (!file.has("/memory_paths")) return;
  ColumnReader<MemoryPath> paths{file, result.memory_paths};
  describe_paths(paths);
  if (result.memory_paths.empty())
    file.fail("'/memory_paths' has no row, expected some or no such group");
  std::vector<std::uint64_t> bytes;
  file.table("/memory_paths/operation_bytes", bytes, path_names(result));
  const std::size_t count = result.memory_paths.size();
  if (bytes.size() != count * result.operations.size()) {
    file.fail("'/memory_paths/operation_bytes' has " + std::to_string(bytes.size() / count) +
              " rows, expected " + std::to_string(result.operations.size()) +
              " as in '/operations'");
  }
  auto from = bytes.begin();
  for (OperationRow& row : result.operations) {
    const auto to = from + static_cast<std::ptrdiff_t>(count);
    row.path_bytes.assign(from, to);
    from = to;
  }
}

void write_scratchpads(Hdf5Writer& file, const RunResult& result) {
  if (result.scratchpads.empty()) return;
  file.group("/scratchpads");
  ColumnWriter scratchpads{file, result.scratchpads};
  describe_scratchpads(scratchpads);
  ColumnWriter held{file, result.operations};
  describe_held(held);
}

void read_scratchpads(const Hdf5Reader& file, RunResult& result) {
  if (!file.has("/scratchpads")) return;
  ColumnReader<ScratchpadUse> scratchpads{file, result.scratchpads};
  describe_scratchpads(scratchpads);
  if (!std::ranges::equal(result.scratchpads, kScratchpadNames, {}, &ScratchpadUse::name)) {
    file.fail(
        "'/scratchpads/name' names others than weight_scratchpad, activation_scratchpad and "
        "output_scratchpad, expected these");
  }
  ColumnReader<OperationRow> held{file, result.operations};
  describe_held(held);
}

void write_over_time(Hdf5Writer& file, const RunResult& result) {
  if (!result.windows.empty() || !result.steps.empty()) {
    file.group("/steps");
    ColumnWriter steps{file, result.steps};
    describe_steps(steps);
    file.group("/windows");
    file.scalar("/windows/window_cycles", result.window_cycles, "cycles");
    ColumnWriter windows{file, result.windows};
    describe_windows(windows);
    if (!result.scratchpads.empty()) describe_held_in_windows(windows);
  }
  if (!result.excerpt.operations.empty()) {
    file.group("/excerpt");
    file.group("/excerpt/operations");
    ColumnWriter operations{file, result.excerpt.operations};
    describe_excerpt_operations(operations);
    file.group("/excerpt/bars");
    ColumnWriter bars{file, result.excerpt.bars};
    describe_excerpt_bars(bars);
    if (!result.excerpt.dram.empty()) {
      file.group("/excerpt/dram");
      ColumnWriter dram{file, result.excerpt.dram};
      describe_excerpt_dram(dram);
    }
    if (!result.excerpt.levels.empty()) {
      file.group("/excerpt/levels");
      ColumnWriter levels{file, result.excerpt.levels};
      describe_excerpt_levels(levels);
    }
  }
  if (!result.sensitivities.empty()) {
    file.group("/sensitivities");
    ColumnWriter sensitivities{file, result.sensitivities};
    describe_sensitivities(sensitivities);
  }
}

void read_excerpt_dram(const Hdf5Reader& file, Excerpt& excerpt) {
  ColumnReader<ExcerptDramBar> dram{file, excerpt.dram};
  describe_excerpt_dram(dram);
  for (const ExcerptDramBar& bar : excerpt.dram) {
    if (bar.operation >= excerpt.operations.size() || bar.bank >= kMostDramBanks ||
        bar.act >= kDramActCount) {
      file.fail("'/excerpt/dram' names operation " + std::to_string(bar.operation) + ", bank " +
                std::to_string(bar.bank) + ", act " + std::to_string(bar.act) +
                ", expected less than " + std::to_string(excerpt.operations.size()) + ", " +
                std::to_string(kMostDramBanks) + " and " + std::to_string(kDramActCount));
    }
  }
}

void read_excerpt(const Hdf5Reader& file, Excerpt& excerpt) {
  ColumnReader<ExcerptOperation> operations{file, excerpt.operations};
  describe_excerpt_operations(operations);
  ColumnReader<ExcerptBar> bars{file, excerpt.bars};
  describe_excerpt_bars(bars);
  for (const ExcerptBar& bar : excerpt.bars) {
    if (bar.operation >= excerpt.operations.size() || bar.track >= kTimelineTrackCount) {
      file.fail("'/excerpt/bars' names operation " + std::to_string(bar.operation) + " on track " +
                std::to_string(bar.track) + ", expected less than " +
                std::to_string(excerpt.operations.size()) + " and " +
                std::to_string(kTimelineTrackCount));
    }
  }
  if (file.has("/excerpt/dram")) read_excerpt_dram(file, excerpt);
  if (!file.has("/excerpt/levels")) return;
  ColumnReader<ExcerptLevel> levels{file, excerpt.levels};
  describe_excerpt_levels(levels);
  for (const ExcerptLevel& level : excerpt.levels) {
    if (level.operation >= excerpt.operations.size() || level.scratchpad >= kScratchpadCount) {
      file.fail("'/excerpt/levels' names operation " + std::to_string(level.operation) +
                " and scratchpad " + std::to_string(level.scratchpad) + ", expected less than " +
                std::to_string(excerpt.operations.size()) + " and " +
                std::to_string(kScratchpadCount));
    }
  }
}

void read_over_time(const Hdf5Reader& file, RunResult& result) {
  if (file.has("/windows")) {
    ColumnReader<StepRow> steps{file, result.steps};
    describe_steps(steps);
    file.scalar("/windows/window_cycles", result.window_cycles);
    ColumnReader<TimeWindow> windows{file, result.windows};
    describe_windows(windows);
    if (file.has("/windows/held_byte_cycles")) describe_held_in_windows(windows);
  }
  if (file.has("/excerpt")) read_excerpt(file, result.excerpt);
  if (file.has("/sensitivities")) {
    ColumnReader<SensitivityRow> sensitivities{file, result.sensitivities};
    describe_sensitivities(sensitivities);
  }
}

/// The packaged HDF5 library is not thread-safe.
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

void put_result(Hdf5Writer& file, const RunResult& result) {
  file.attribute("/", "format", kResultFormat);
  file.attribute("/", "schema_version", kResultSchemaVersion);
  FieldWriter field{file};
  file.group("/identity");
  describe_identity(field, result);
  file.group("/summary");
  describe_summary(field, result);
  if (result.quality) {
    file.group("/quality");
    describe_quality(field, *result.quality);
  }
  if (result.kv_sharing) {
    file.group("/kv_sharing");
    describe_sharing(field, *result.kv_sharing);
  }

  file.group("/operations");
  ColumnWriter operations{file, result.operations};
  describe_operations(operations);

  std::vector<EnergyEntry> energy;
  for (std::size_t i = 0; i < result.operations.size(); ++i) {
    for (const auto& [component, pj] : result.operations[i].energy_pj)
      energy.push_back({i, component, pj});
  }
  file.group("/operation_energy");
  ColumnWriter energies{file, energy};
  describe_energy(energies);

  const std::vector<MappingEntry> mappings = mapping_entries(result);
  file.group("/mappings");
  ColumnWriter mapping_columns{file, mappings};
  describe_mappings(mapping_columns);

  file.group("/components");
  ColumnWriter components{file, result.components};
  describe_components(components);

  if (!result.tiers.empty()) {
    file.group("/tiers");
    ColumnWriter tiers{file, result.tiers};
    describe_tiers(tiers);
  }

  write_paths(file, result);
  write_scratchpads(file, result);
  write_over_time(file, result);

  std::vector<EventEntry> events;
  for (const auto& [name, count] : result.events) events.push_back({name, count});
  file.group("/events");
  ColumnWriter event_columns{file, events};
  describe_events(event_columns);

  write_key_values(file, "/config", result.config_echo);
  write_key_values(file, "/notes", result.notes);
}

void write_result(const std::string& path, const RunResult& result) {
  const std::lock_guard lock(library_mutex());
  Hdf5Writer file(path);
  put_result(file, result);
  file.commit();
}

RunResult take_result(const Hdf5Reader& file) {
  const std::string format = file.text_attribute("/", "format");
  if (format == kSweepFormat) {
    file.fail(
        "it is a sweep, not the result of one run: systole report takes it alone, and systole "
        "sweep export FILE --point ID --out point.h5 gives one of its points");
  }
  if (format != kResultFormat) file.fail("it is not a systole result (attribute 'format')");
  const std::uint64_t version = file.count_attribute("/", "schema_version");
  if (version != kResultSchemaVersion) {
    file.fail("its schema version is " + std::to_string(version) + ", this systole reads version " +
              std::to_string(kResultSchemaVersion) +
              (version > kResultSchemaVersion ? "; it was written by a newer systole"
                                              : "; run it again with this systole"));
  }

  RunResult result;
  FieldReader field{file};
  describe_identity(field, result);
  describe_summary(field, result);
  if (file.has("/quality")) describe_quality(field, result.quality.emplace());
  if (file.has("/kv_sharing")) describe_sharing(field, result.kv_sharing.emplace());

  ColumnReader<OperationRow> operations{file, result.operations};
  describe_operations(operations);

  std::vector<EnergyEntry> energy;
  ColumnReader<EnergyEntry> energies{file, energy};
  describe_energy(energies);
  for (EnergyEntry& entry : energy) {
    if (entry.operation >= result.operations.size()) {
      file.fail("'/operation_energy/operation' names row " + std::to_string(entry.operation) +
                ", expected less than " + std::to_string(result.operations.size()));
    }
    result.operations[entry.operation].energy_pj[std::move(entry.component)] = entry.energy_pj;
  }

  read_mappings(file, result);

  ColumnReader<ComponentRow> components{file, result.components};
  describe_components(components);

  if (file.has("/tiers")) {
    ColumnReader<TierRow> tiers{file, result.tiers};
    describe_tiers(tiers);
  }

  read_paths(file, result);
  read_scratchpads(file, result);
  read_over_time(file, result);

  std::vector<EventEntry> events;
  ColumnReader<EventEntry> event_columns{file, events};
  describe_events(event_columns);
  for (const EventEntry& event : events) result.events.add(event.name, event.count);

  result.config_echo = read_key_values(file, "/config");
  result.notes = read_key_values(file, "/notes");
  return result;
}

RunResult read_result(const std::string& path) {
  const std::lock_guard lock(library_mutex());
  return take_result(Hdf5Reader(path));
}

}  // namespace systole::reports
