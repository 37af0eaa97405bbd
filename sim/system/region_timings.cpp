#include "sim/system/region_timings.hpp"

#include "configs/assign.hpp"
#include "sim/core/bytes.hpp"
#include "sim/core/error.hpp"

namespace systole::sim {
namespace {

/// Prices of DRAM and network at their defaults.
void drop_prices(configs::MemoryConfig& memory) {
  memory.noc.hop_pj_per_byte = 0;
  configs::DramConfig& dram = memory.dram;
  dram.name.clear();
  dram.energy_source.clear();
  dram.activate_pj = dram.read_pj_per_bit = dram.write_pj_per_bit = dram.refresh_pj =
      dram.standby_mw = dram.power_down_mw = dram.energy_band = 0;
}

RegionKey digest_of(const configs::MachineConfig& machine) {
  configs::Digest digest;
  configs::add_to(digest, machine);
  return digest.value();
}

/// The machine with everything at its default that no timed part looks at: arrays, dequantisers and
/// the vector unit are in the jobs' cycles, the sizes of scratchpads in what the jobs move.
configs::MachineConfig timed_part(const configs::MachineConfig& machine) {
  configs::MachineConfig timed;
  timed.clock_mhz = machine.clock_mhz;
  configs::MemoryConfig& memory = timed.memory = machine.memory;
  for (configs::ScratchpadConfig* each : {&memory.weight, &memory.activation, &memory.output}) {
    const std::uint32_t buffers = each->buffers;
    *each = {};
    each->buffers = buffers;
  }
  memory.pim = {};
  drop_prices(memory);
  return timed;
}

/// Every number of an operation that is kept, once: writing and reading cannot disagree.
template <class Operation, class Visit>
void visit_numbers(Operation& operation, const Visit& visit) {
  for (auto& value : operation.cycles_by_cause) visit(value);
  for (auto& value : operation.dram_read_bytes) visit(value);
  for (auto& value : operation.dram_write_bytes) visit(value);
  for (auto& value : operation.held_byte_cycles) visit(value);
}

/// A region has some tens of operations and of events.
constexpr std::uint64_t kMostEntries = 1 << 16;

}  // namespace

RegionKeys::RegionKeys(const configs::MachineConfig& machine)
    : machine_(digest_of(timed_part(machine))) {}

RegionKey priceless_digest(const configs::MachineConfig& machine) {
  configs::MachineConfig priceless;
  priceless.clock_mhz = machine.clock_mhz;
  priceless.array = machine.array;
  priceless.dequantiser = machine.dequantiser;
  priceless.kv_dequantiser = machine.kv_dequantiser;
  priceless.vector = machine.vector;
  priceless.memory = machine.memory;
  priceless.mapping = machine.mapping;
  drop_prices(priceless.memory);
  return digest_of(priceless);
}

const RegionTimings::Scheduled& RegionTimings::scheduled(const RegionKey& source,
                                                         const std::function<Scheduled()>& make) {
  const auto known = scheduled_.find(source);
  if (known != scheduled_.end()) return known->second;
  if (scheduled_.size() >= kMostScheduled) scheduled_.clear();
  return scheduled_.emplace(source, make()).first->second;
}

RegionKey RegionKeys::of(std::span<const Job> jobs) const {
  configs::Digest digest;
  const auto put = [&](auto value) { digest.add(static_cast<std::uint64_t>(value)); };
  put(machine_[0]);
  put(machine_[1]);
  put(jobs.size());
  for (const Job& job : jobs) {
    visit_timing(job, put, [&](const memory::Transfer& transfer) {
      put(index_of(transfer.traffic) * 2 + transfer.write);
      put(transfer.address);
      put(transfer.bytes);
    });
    put(job.needs_background ? *job.needs_background + 1 : 0);
  }
  return digest.value();
}

std::vector<CountedWork> count_work(std::span<const Job> jobs, std::size_t operations) {
  std::vector<CountedWork> work(operations);
  for (const Job& job : jobs) {
    CountedWork& operation = work.at(job.operation);
    operation.counts += job.counts;
    if (job.at_memory) operation.at_memory += job.at_memory->pass;
  }
  return work;
}

void set_work(SegmentOutcome& outcome, std::span<const CountedWork> work) {
  SYSTOLE_CHECK(outcome.operations.size() == work.size(), "the work of another region");
  for (std::size_t i = 0; i < work.size(); ++i) {
    outcome.operations[i].counts = work[i].counts;
    outcome.operations[i].at_memory = work[i].at_memory;
  }
}

std::string to_bytes(const SegmentOutcome& outcome) {
  std::string out;
  put_number(out, std::uint64_t{outcome.operations.size()});
  for (const OperationOutcome& operation : outcome.operations) {
    visit_numbers(operation, [&](std::uint64_t value) { put_number(out, value); });
  }
  std::uint64_t events = 0;
  for ([[maybe_unused]] const auto& event : outcome.dram_events) ++events;
  put_number(out, events);
  for (const auto& [name, count] : outcome.dram_events) {
    put_text<std::uint64_t>(out, name);
    put_number(out, count);
  }
  return out;
}

std::optional<SegmentOutcome> outcome_from(std::string_view bytes) {
  SegmentOutcome outcome;
  std::uint64_t operations = 0, events = 0;
  if (!take_number(bytes, operations) || operations > kMostEntries) return std::nullopt;
  bool whole = true;
  for (std::uint64_t i = 0; whole && i < operations; ++i) {
    visit_numbers(outcome.operations.emplace_back(),
                  [&](std::uint64_t& value) { whole = whole && take_number(bytes, value); });
  }
  if (!whole || !take_number(bytes, events) || events > kMostEntries) return std::nullopt;
  for (std::uint64_t i = 0; i < events; ++i) {
    std::string_view name;
    std::uint64_t count = 0;
    if (!take_text<std::uint64_t>(bytes, name) || !take_number(bytes, count)) return std::nullopt;
    outcome.dram_events.add(name, count);
  }
  if (!bytes.empty()) return std::nullopt;
  return outcome;
}

}  // namespace systole::sim
