#include "memory/memory_system.hpp"

#include <algorithm>
#include <bit>
#include <bitset>
#include <cmath>
#include <limits>
#include <string>

#include "memory/address_map.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

/// Ports of each channel: one for either engine of a pair, so that neither waits for the other's
/// back-pressure.
constexpr std::uint32_t kDirections = 2;

constexpr std::uint32_t kCachePorts = 2;  // fills and write-backs
constexpr std::uint32_t kMostEngines = 64;

std::string engine_name(std::uint32_t index) {
  const std::string name = index % kDirections == 1 ? "write_dma" : "read_dma";
  return index < kDirections ? name : name + std::to_string(index / kDirections);
}

const configs::MemoryConfig& checked(const configs::MemoryConfig& c) {
  const auto refuse = [](const std::string& what) { throw ConfigError("memory: " + what); };
  const auto found = [](std::uint64_t value) { return ", found " + std::to_string(value); };
  if (c.channels == 0 || c.channels > 1024) {
    refuse("channels: expected 1 to 1024" + found(c.channels));
  }
  const std::uint32_t burst = c.dram.burst_bytes;
  if (burst == 0) refuse("dram.burst_bytes: expected a positive number, found 0");
  if (c.interleave_bytes == 0 || c.interleave_bytes % burst != 0) {
    refuse("interleave_bytes: expected a multiple of the DRAM burst (" + std::to_string(burst) +
           " B)" + found(c.interleave_bytes));
  }
  if (c.dma.segment_bytes == 0 || c.dma.segment_bytes % burst != 0) {
    refuse("dma.segment_bytes: expected a multiple of the DRAM burst (" + std::to_string(burst) +
           " B)" + found(c.dma.segment_bytes));
  }
  const bool noc = c.noc.kind != configs::NocKind::none;
  if (noc && (c.noc.link_bytes == 0 || c.noc.hop_cycles == 0 || c.noc.queue == 0)) {
    refuse("noc: expected positive link_bytes, hop_cycles and queue");
  }
  if (c.noc.kind == configs::NocKind::mesh && c.noc.columns == 0) {
    refuse("noc.columns: expected a positive number, found 0");
  }
  if (const configs::CacheConfig& cache = c.cache; cache.capacity_bytes > 0) {
    if (cache.line_bytes == 0 || cache.line_bytes % burst != 0 ||
        c.interleave_bytes % cache.line_bytes != 0) {
      refuse("cache.line_bytes: expected a multiple of the burst that divides interleave_bytes" +
             found(cache.line_bytes));
    }
    const std::uint64_t sets = std::uint64_t{c.channels} * cache.ways * cache.line_bytes;
    if (sets == 0 || cache.capacity_bytes % sets != 0 || cache.mshrs == 0) {
      refuse("cache.capacity_bytes: expected whole sets in each channel, and mshrs" +
             found(cache.capacity_bytes));
    }
  }
  if (c.dma.outstanding == 0) refuse("dma.outstanding: expected a positive number, found 0");
  if (c.dma.engines == 0 || c.dma.engines > kMostEngines) {
    refuse("dma.engines: expected 1 to 64" + found(c.dma.engines));
  }
  if (!std::has_single_bit(c.dma.align_bytes) || c.dma.align_bytes > c.dma.segment_bytes) {
    refuse("dma.align_bytes: expected a power of two up to dma.segment_bytes" +
           found(c.dma.align_bytes));
  }
  if (c.dma.gather_entries == 0) refuse("dma.gather_entries: expected a positive number, found 0");
  return c;
}

}  // namespace

std::uint64_t TrafficBytes::total() const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kTrafficClassCount; ++i) sum += read[i] + written[i];
  return sum;
}

MemorySystem::MemorySystem(const sc_core::sc_module_name& name, const configs::MemoryConfig& config,
                           double accelerator_clock_mhz, Sharing sharing)
    : sc_core::sc_module(name),
      config_(checked(config)),
      accelerator_clock_mhz_(accelerator_clock_mhz),
      sharing_(sharing),
      interleave_(config.channels, config.interleave_bytes),
      alarm_("alarm"),
      ticket_done_("ticket_done") {
  SYSTOLE_CHECK(accelerator_clock_mhz > 0, "an accelerator without a clock");
  const std::uint32_t engines = kDirections * config.dma.engines;
  for (std::uint32_t c = 0; c < config.channels; ++c) {
    const std::string channel = "channel" + std::to_string(c);
    channels_.push_back(
        std::make_unique<Dram>(channel.c_str(), config.dram,
                               engines + (config.cache.capacity_bytes > 0 ? kCachePorts : 0)));
    alarm_.add(*channels_.back());
  }
  share_channels();
  if (config.cache.capacity_bytes > 0) {
    for (std::uint32_t c = 0; c < config.channels; ++c) {
      caches_.push_back(std::make_unique<Cache>(("cache" + std::to_string(c)).c_str(), config.cache,
                                                config.cache.capacity_bytes / config.channels,
                                                ClockDomain(accelerator_clock_mhz), engines));
      for (std::uint32_t p = 0; p < engines + kCachePorts; ++p) {
        caches_[c]->out[p].bind(channels_[c]->ports[p]);
      }
    }
  }
  const auto bind = [&](auto& initiator, std::uint32_t c, std::uint32_t e) {
    if (caches_.empty()) {
      initiator.bind(channels_[c]->ports[e]);
    } else {
      initiator.bind(caches_[c]->in[e]);
    }
  };
  if (config.noc.kind != configs::NocKind::none) {
    noc_ = std::make_unique<Crossbar>("noc", config.noc, ClockDomain(accelerator_clock_mhz),
                                      engines, config.channels);
    for (std::uint32_t p = 0; p < engines * config.channels; ++p) {
      bind(noc_->out[p], p % config.channels, p / config.channels);
    }
  }
  for (std::uint32_t e = 0; e < engines; ++e) {
    const std::string engine = engine_name(e);
    engines_.push_back(std::make_unique<Dma>(
        engine.c_str(), e % kDirections == 1, config.channels, config.dma.segment_bytes,
        config.dma.outstanding,
        config.dma.uses_descriptors()
            ? std::function<void(std::uint64_t)>([this](std::uint64_t id) { finished(id); })
            : [this](std::uint64_t ticket) { finished_part(ticket); }));
    for (std::uint32_t c = 0; c < config.channels; ++c) {
      if (noc_) {
        engines_[e]->channels[c].bind(noc_->in[e * config.channels + c]);
      } else {
        bind(engines_[e]->channels[c], c, e);
      }
    }
    if (!config.dma.uses_descriptors()) continue;
    descriptor_queues_.push_back(std::make_unique<DescriptorQueue>(
        (engine + "_descriptors").c_str(), ClockDomain(accelerator_clock_mhz),
        config.dma.descriptors, [this](std::uint64_t id) { decoded(id); }));
  }
}

MemorySystem::~MemorySystem() = default;

/// Segments of the parts that lie in each channel.
std::uint64_t MemorySystem::queue(Dma& engine, const Transfer& transfer, std::uint64_t ticket) {
  const Transfer whole = aligned(transfer, config_.dma.align_bytes);
  const std::uint64_t end = whole.address + whole.bytes;
  std::uint64_t segments = 0;
  for (std::uint32_t c = 0; c < channel_count(); ++c) {
    const std::uint64_t first = interleave_.local(c, whole.address);
    segments += engine.queue(c, whole.traffic, first, interleave_.local(c, end) - first, ticket);
  }
  return segments;
}

void MemorySystem::count(const Transfer& transfer) {
  SYSTOLE_CHECK(transfer.address <= std::numeric_limits<std::uint64_t>::max() - transfer.bytes,
                "a transfer beyond the address space");
  (transfer.write ? asked_.written : asked_.read)[index_of(transfer.traffic)] += transfer.bytes;
}

/// Gives every engine of the transfer's direction its part: `give(index in engines_, part)`. Parts
/// end where segments do, so that dividing makes no more segments.
template <class Give>
void MemorySystem::divide(const Transfer& transfer, const Give& give) {
  const std::uint64_t engines = config_.dma.engines, segment = config_.dma.segment_bytes;
  const auto index = [&](std::uint64_t engine) {
    return static_cast<std::uint32_t>(kDirections * engine + (transfer.write ? 1 : 0));
  };
  if (engines == 1) return give(index(0), transfer);
  if (transfer.bytes < engines * segment) {
    give(index(next_engine_), transfer);
    next_engine_ = next_engine_ + 1 == engines ? 0 : next_engine_ + 1;
    return;
  }
  std::uint64_t first = transfer.address;
  const std::uint64_t end = transfer.address + transfer.bytes;
  for (std::uint64_t e = 0; e < engines; ++e) {
    const std::uint64_t share = transfer.address + transfer.bytes / engines * (e + 1);
    const std::uint64_t last = e + 1 == engines ? end : share / segment * segment;
    give(index(e), Transfer{transfer.traffic, transfer.write, first, last - first});
    first = last;
  }
}

MemorySystem::Ticket MemorySystem::issue(std::span<const Transfer> transfers) {
  const Ticket ticket{next_ticket_++};
  if (!descriptor_queues_.empty()) {
    std::vector<std::vector<Transfer>> of_engine(engines_.size());
    for (const Transfer& transfer : transfers) {
      count(transfer);
      divide(transfer,
             [&](std::uint32_t e, const Transfer& part) { of_engine[e].push_back(part); });
    }
    for (std::uint32_t e = 0; e < engines_.size(); ++e) {
      for (Descriptor& each : descriptors_for(of_engine[e], config_.dma.gather_entries)) {
        push(ticket.id, e, std::move(each));
      }
    }
    return ticket;
  }
  share_channels();
  std::uint64_t segments = 0;
  std::bitset<kDirections * kMostEngines> used;
  for (const Transfer& transfer : transfers) {
    if (transfer.bytes == 0) continue;
    count(transfer);
    divide(transfer, [&](std::uint32_t e, const Transfer& part) {
      used[e] = true;
      segments += queue(*engines_[e], part, ticket.id);
    });
  }
  if (segments == 0) return ticket;
  open_.emplace(ticket.id, segments);
  for (std::size_t e = 0; e < engines_.size(); ++e) {
    if (used[e]) engines_[e]->start();
  }
  return ticket;
}

MemorySystem::Ticket MemorySystem::issue(std::span<const Descriptor> descriptors) {
  if (descriptor_queues_.empty()) {
    std::vector<Transfer> all;
    for (const Descriptor& each : descriptors) {
      const std::vector<Transfer> some = each.transfers();
      all.insert(all.end(), some.begin(), some.end());
    }
    return issue(std::span<const Transfer>(all));
  }
  const Ticket ticket{next_ticket_++};
  for (const Descriptor& each : descriptors) {
    const std::vector<Transfer> transfers = each.transfers();
    if (total_bytes(transfers) == 0) continue;
    for (const Transfer& transfer : transfers) {
      SYSTOLE_CHECK(transfer.write == transfers.front().write, "a descriptor of two directions");
      count(transfer);
    }
    push(ticket.id, kDirections * next_engine_ + (transfers.front().write ? 1 : 0), each);
    next_engine_ = next_engine_ + 1 == config_.dma.engines ? 0 : next_engine_ + 1;
  }
  return ticket;
}

void MemorySystem::push(std::uint64_t ticket, std::uint32_t engine, Descriptor descriptor) {
  const std::uint64_t id = next_descriptor_++;
  ++open_[ticket];
  ++descriptors_issued_;
  gather_entries_issued_ += descriptor.entries();
  const Cycles cycles(config_.dma.descriptor_cycles +
                      descriptor.entries() * config_.dma.gather_cycles);
  open_descriptors_.emplace(id, OpenDescriptor{ticket, engine, std::move(descriptor), 0});
  descriptor_queues_[engine]->push(id, cycles);
}

void MemorySystem::decoded(std::uint64_t id) {
  OpenDescriptor& open = open_descriptors_.at(id);
  share_channels();
  for (const Transfer& transfer : open.descriptor.transfers()) {
    if (transfer.bytes > 0) open.segments += queue(*engines_[open.engine], transfer, id);
  }
  engines_[open.engine]->start();
}

void MemorySystem::wait(Ticket ticket) {
  SYSTOLE_CHECK(ticket.id < next_ticket_, "waiting for a ticket that was never issued");
  while (open_.contains(ticket.id)) sc_core::wait(ticket_done_);
}

void MemorySystem::finished(std::uint64_t id) {
  const auto open = open_descriptors_.find(id);
  SYSTOLE_CHECK(open != open_descriptors_.end(), "a segment of no open descriptor");
  if (--open->second.segments > 0) return;
  const std::uint64_t ticket = open->second.ticket;
  const std::uint32_t engine = open->second.engine;
  open_descriptors_.erase(open);
  descriptor_queues_[engine]->completed();
  finished_part(ticket);
}

void MemorySystem::finished_part(std::uint64_t ticket) {
  if (latest_ == nullptr || latest_->first != ticket) {
    const auto found = open_.find(ticket);
    SYSTOLE_CHECK(found != open_.end(), "a segment of no open ticket");
    latest_ = &*found;
  }
  if (--latest_->second > 0) return;
  latest_ = nullptr;
  open_.erase(ticket);
  ticket_done_.notify(sc_core::SC_ZERO_TIME);
}

bool MemorySystem::idle() const {
  if (!open_.empty() || (noc_ && !noc_->idle())) return false;
  for (const auto& channel : channels_) {
    if (!channel->idle()) return false;
  }
  for (const auto& cache : caches_) {
    if (!cache->idle()) return false;
  }
  return true;
}

void MemorySystem::flush() {
  // Lines that made room may still be on their way back.
  const auto settle = [&] {
    for (const auto& cache : caches_) {
      while (!cache->idle()) sc_core::wait(cache->emptied());
    }
  };
  settle();
  for (const auto& cache : caches_) cache->flush();
  settle();
}

void MemorySystem::quiesce() {
  SYSTOLE_CHECK(idle(), "quiesce of a memory system with transfers in flight");
  for (const auto& channel : channels_) channel->quiesce();
  share_channels();
  for (const auto& engine : engines_) engine->restart();
  next_engine_ = 0;
  if (noc_) noc_->restart();
  for (const auto& cache : caches_) cache->restart();
}

/// Pieces of a transfer that differ from channel to channel only at its ends: most of the time all
/// channels do the same.
void MemorySystem::share_channels() {
  if (sharing_ == Sharing::off) return;
  leaders_.clear();
  for (const auto& channel : channels_) {
    const auto same = [&](Dram* leader) { return channel->share(*leader); };
    if (std::none_of(leaders_.begin(), leaders_.end(), same)) leaders_.push_back(channel.get());
  }
}

std::uint64_t MemorySystem::address_period_bytes(const configs::MemoryConfig& config) {
  return DramChannel(config.dram).period_bytes() * config.channels;
}

std::uint64_t MemorySystem::sum(const std::function<std::uint64_t(const DramCounts&)>& part) const {
  std::uint64_t total = 0;
  for (const auto& channel : channels_) total += part(channel->counts());
  return total;
}

EventCounts MemorySystem::events() const {
  const std::uint64_t burst_bits = std::uint64_t{config_.dram.burst_bytes} * 8;
  EventCounts counts;
  counts.add("dram.activate", sum([](const DramCounts& c) { return c.activates; }));
  counts.add("dram.read_bit", sum([](const DramCounts& c) { return c.read_bursts; }) * burst_bits);
  counts.add("dram.write_bit",
             sum([](const DramCounts& c) { return c.write_bursts; }) * burst_bits);
  counts.add("dram.refresh", sum([](const DramCounts& c) { return c.refreshes; }));
  // Only where the device has them.
  const auto rare = [&](const char* event, std::uint64_t count) {
    if (count > 0) counts.add(event, count);
  };
  rare("dram.bank_refresh", sum([](const DramCounts& c) { return c.bank_refreshes; }));
  rare("dram.power_down_clock", sum([](const DramCounts& c) { return c.power_down_clocks; }));
  for (const auto& cache : caches_) {
    const CacheCounts& part = cache->counts();
    counts.add("cache.lookup", part.lookups);
    counts.add("cache.hit", part.hits);
    counts.add("cache.miss", part.misses);
    counts.add("cache.line_read", part.line_reads);
    counts.add("cache.line_write", part.line_writes);
  }
  counts.add("dma.descriptor", descriptors_issued_);
  counts.add("dma.gather_entry", gather_entries_issued_);
  if (noc_) {
    for (const PacketSwitch::Counts& part : {noc_->request_counts(), noc_->response_counts()}) {
      counts.add("noc.flit_hop", part.flit_hops);
      counts.add("noc.packet", part.packets);
      counts.add("noc.wait_cycle", part.waits);
    }
  }
  return counts;
}

TrafficBytes MemorySystem::useful_bytes() const {
  TrafficBytes bytes;
  for (std::size_t i = 0; i < kTrafficClassCount; ++i) {
    bytes.read[i] = sum([i](const DramCounts& c) { return c.useful_read[i]; });
    bytes.written[i] = sum([i](const DramCounts& c) { return c.useful_written[i]; });
  }
  return bytes;
}

TrafficBytes MemorySystem::moved_bytes() const {
  TrafficBytes bytes;
  for (std::size_t i = 0; i < kTrafficClassCount; ++i) {
    bytes.read[i] = sum([i](const DramCounts& c) { return c.moved_read[i]; });
    bytes.written[i] = sum([i](const DramCounts& c) { return c.moved_written[i]; });
  }
  return bytes;
}

std::uint64_t MemorySystem::row_hits() const {
  return sum([](const DramCounts& c) { return c.row_hits; });
}

std::uint64_t MemorySystem::row_misses() const {
  return sum([](const DramCounts& c) { return c.row_misses; });
}

double MemorySystem::peak_bytes_per_cycle() const {
  return config_.dram.peak_bytes_per_second() * config_.channels / (accelerator_clock_mhz_ * 1e6);
}

Cycles MemorySystem::bandwidth_bound(Bytes bytes) const {
  return Cycles(static_cast<std::uint64_t>(
      std::ceil(static_cast<double>(bytes.count()) / peak_bytes_per_cycle())));
}

}  // namespace systole::memory
