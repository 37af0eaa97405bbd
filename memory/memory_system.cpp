#include "memory/memory_system.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "memory/address_map.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

/// Ports of each channel: one for either DMA engine, so that neither waits for the other's
/// back-pressure.
constexpr std::uint32_t kPorts = 2;

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
  if (c.dma.outstanding == 0) refuse("dma.outstanding: expected a positive number, found 0");
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
  for (std::uint32_t c = 0; c < config.channels; ++c) {
    const std::string channel = "channel" + std::to_string(c);
    channels_.push_back(std::make_unique<Dram>(channel.c_str(), config.dram, kPorts));
    alarm_.add(*channels_.back());
  }
  share_channels();
  for (const bool write : {false, true}) {
    engines_[write] = std::make_unique<Dma>(
        write ? "write_dma" : "read_dma", write, config.channels, config.dma.segment_bytes,
        config.dma.outstanding, [this](std::uint64_t ticket) { finished(ticket); });
    for (std::uint32_t c = 0; c < config.channels; ++c) {
      engines_[write]->channels[c].bind(channels_[c]->ports[write ? 1 : 0]);
    }
  }
}

MemorySystem::~MemorySystem() = default;

MemorySystem::Ticket MemorySystem::issue(std::span<const Transfer> transfers) {
  const Ticket ticket{next_ticket_++};
  share_channels();
  std::uint64_t segments = 0;
  std::array<bool, 2> used{};
  for (const Transfer& transfer : transfers) {
    if (transfer.bytes == 0) continue;
    SYSTOLE_CHECK(transfer.address <= std::numeric_limits<std::uint64_t>::max() - transfer.bytes,
                  "a transfer beyond the address space");
    const std::uint64_t end = transfer.address + transfer.bytes;
    used[transfer.write] = true;
    for (std::uint32_t c = 0; c < channel_count(); ++c) {
      const std::uint64_t first = interleave_.local(c, transfer.address);
      segments += engines_[transfer.write]->queue(c, transfer.traffic, first,
                                                  interleave_.local(c, end) - first, ticket.id);
    }
  }
  if (segments == 0) return ticket;
  open_.emplace(ticket.id, segments);
  for (const bool write : {false, true}) {
    if (used[write]) engines_[write]->start();
  }
  return ticket;
}

void MemorySystem::wait(Ticket ticket) {
  SYSTOLE_CHECK(ticket.id < next_ticket_, "waiting for a ticket that was never issued");
  while (open_.contains(ticket.id)) sc_core::wait(ticket_done_);
}

void MemorySystem::finished(std::uint64_t ticket) {
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
  if (!open_.empty()) return false;
  for (const auto& channel : channels_) {
    if (!channel->idle()) return false;
  }
  return true;
}

void MemorySystem::quiesce() {
  SYSTOLE_CHECK(idle(), "quiesce of a memory system with transfers in flight");
  for (const auto& channel : channels_) channel->quiesce();
  share_channels();
  for (const auto& engine : engines_) engine->restart();
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

std::uint64_t MemorySystem::address_period_bytes() const {
  return DramChannel(config_.dram).period_bytes() * config_.channels;
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

Bytes MemorySystem::capacity() const { return Bytes(config_.dram.data_bytes() * config_.channels); }

double MemorySystem::peak_bytes_per_cycle() const {
  return config_.dram.peak_bytes_per_second() * config_.channels / (accelerator_clock_mhz_ * 1e6);
}

Cycles MemorySystem::bandwidth_bound(Bytes bytes) const {
  return Cycles(static_cast<std::uint64_t>(
      std::ceil(static_cast<double>(bytes.count()) / peak_bytes_per_cycle())));
}

}  // namespace systole::memory
