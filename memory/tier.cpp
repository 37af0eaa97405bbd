#include "memory/tier.hpp"

#include <algorithm>
#include <numeric>

#include "memory/dram_channel.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {
namespace {

/// Ports of each channel: one for either DMA engine, so that neither waits for the other's
/// back-pressure.
constexpr std::uint32_t kPorts = 2;

std::uint32_t channels_of(const configs::TierConfig& config) {
  return config.kind == configs::TierKind::dram ? config.channels : 1;
}

}  // namespace

std::string tier_component(const std::string& tier) { return "tier_" + tier; }

Tier::Tier(const sc_core::sc_module_name& name, const configs::TierOfMachine& config,
           const configs::DmaConfig& dma)
    : sc_core::sc_module(name),
      config_(config.resolved()),
      component_(tier_component(config.name)),
      interleave_(channels_of(config_), config_.interleave_bytes),
      ticket_done_("ticket_done") {
  const std::uint32_t count = channels_of(config_);
  if (config_.kind == configs::TierKind::cells) {
    cells_ = std::make_unique<TierCells>("cells", config_, kPorts);
  } else {
    alarm_ = std::make_unique<DramAlarm>("alarm");
    for (std::uint32_t c = 0; c < count; ++c) {
      channels_.push_back(
          std::make_unique<Dram>(("channel" + std::to_string(c)).c_str(), config_.dram, kPorts));
      alarm_->add(*channels_.back());
    }
    share_channels();
  }
  if (config_.linked()) link_ = std::make_unique<TierLink>("link", config_.link, kPorts * count);
  for (const bool write : {false, true}) {
    engines_[write] =
        std::make_unique<Dma>(write ? "write_dma" : "read_dma", write, count, dma.segment_bytes,
                              dma.outstanding, [this](std::uint64_t ticket) { finished(ticket); });
    for (std::uint32_t c = 0; c < count; ++c) {
      const std::uint32_t port = write ? 1 : 0;
      const auto bind = [&](auto& initiator) {
        if (cells_) {
          initiator.bind(cells_->ports[port]);
        } else {
          initiator.bind(channels_[c]->ports[port]);
        }
      };
      if (link_) {
        engines_[write]->channels[c].bind(link_->above[kPorts * c + port]);
        bind(link_->below[kPorts * c + port]);
      } else {
        bind(engines_[write]->channels[c]);
      }
    }
  }
}

Tier::~Tier() = default;

void Tier::queue(const Transfer& transfer, std::uint64_t ticket) {
  const std::uint64_t end = transfer.address + transfer.bytes;
  std::uint64_t segments = 0;
  for (std::uint32_t c = 0; c < channels_of(config_); ++c) {
    const std::uint64_t first = interleave_.local(c, transfer.address);
    segments += engines_[transfer.write]->queue(c, transfer.traffic, first,
                                                interleave_.local(c, end) - first, ticket);
  }
  open_[ticket] += segments;
  queued_[transfer.write] = true;
}

void Tier::start() {
  share_channels();
  for (const bool write : {false, true}) {
    if (std::exchange(queued_[write], false)) engines_[write]->start();
  }
}

void Tier::finished(std::uint64_t ticket) {
  const auto found = open_.find(ticket);
  SYSTOLE_CHECK(found != open_.end(), "a segment of no open ticket");
  if (--found->second > 0) return;
  open_.erase(found);
  ended_at_[ticket] = sc_core::sc_time_stamp().value();
  ticket_done_.notify(sc_core::SC_ZERO_TIME);
}

std::uint64_t Tier::wait(std::uint64_t ticket) {
  while (open_.contains(ticket)) sc_core::wait(ticket_done_);
  const auto found = ended_at_.find(ticket);
  SYSTOLE_CHECK(found != ended_at_.end(), "waiting for a ticket of nothing");
  const std::uint64_t at = found->second;
  ended_at_.erase(found);
  return at;
}

bool Tier::idle() const {
  return open_.empty() && (!cells_ || cells_->idle()) && (!link_ || link_->idle()) &&
         std::ranges::all_of(channels_, [](const auto& c) { return c->idle(); });
}

void Tier::quiesce() {
  SYSTOLE_CHECK(idle(), std::string(name()) + ": quiesce with transfers in flight");
  for (const auto& channel : channels_) channel->quiesce();
  if (cells_) cells_->quiesce();
  if (link_) link_->quiesce();
  share_channels();
  for (const auto& engine : engines_) engine->restart();
}

/// As MemorySystem does: never changes a result. Behind a link, too, channels are told the same
/// things, but one after the other, so that only whole rounds of them would be alike.
void Tier::share_channels() {
  if (config_.linked()) return;
  std::vector<Dram*> leaders;
  for (const auto& channel : channels_) {
    const auto same = [&](Dram* leader) { return channel->share(*leader); };
    if (std::none_of(leaders.begin(), leaders.end(), same)) leaders.push_back(channel.get());
  }
}

void Tier::add_events(EventCounts& counts) const {
  const auto add = [&](const char* event, std::uint64_t count) {
    counts.add(component_ + "." + event, count);
  };
  if (cells_) {
    add("read_byte", cells_->counts().read_accesses * config_.granularity_bytes);
    add("write_byte", cells_->counts().write_accesses * config_.granularity_bytes);
  }
  for (const auto& channel : channels_) {
    const DramCounts c = channel->counts();
    const std::uint64_t bits = std::uint64_t{8} * config_.dram.burst_bytes;
    add("activate", c.activates);
    add("read_bit", c.read_bursts * bits);
    add("write_bit", c.write_bursts * bits);
    add("refresh", c.refreshes);
    add("bank_refresh", c.bank_refreshes);
    add("power_down_clock", c.power_down_clocks);
  }
  if (link_) {
    add("link_down_bit", link_->counts().down_bits);
    add("link_up_bit", link_->counts().up_bits);
  }
}

TrafficBytes Tier::useful_bytes() const {
  TrafficBytes bytes;
  for (std::size_t i = 0; i < kTrafficClassCount; ++i) {
    if (cells_) {
      bytes.read[i] = cells_->counts().useful_read[i];
      bytes.written[i] = cells_->counts().useful_written[i];
    }
    for (const auto& channel : channels_) {
      const DramCounts counts = channel->counts();
      bytes.read[i] += counts.useful_read[i];
      bytes.written[i] += counts.useful_written[i];
    }
  }
  return bytes;
}

std::uint64_t Tier::address_period_bytes() const {
  if (cells_) return std::uint64_t{config_.granularity_bytes} * config_.banks;
  return DramChannel(config_.dram).period_bytes() * config_.channels;
}

Tiers::Tiers(const sc_core::sc_module_name& name, const configs::MemoryConfig& config,
             MemorySystem& dram)
    : sc_core::sc_module(name), dram_(dram) {
  SYSTOLE_CHECK(config.tiers.size() < kMostTiers, "more tiers than the address space has");
  for (const configs::TierOfMachine& tier : config.tiers) {
    tiers_.push_back(std::make_unique<Tier>(tier.name.c_str(), tier, config.dma));
  }
}

std::uint32_t Tiers::transfer(std::span<const Transfer> transfers) {
  const std::uint64_t ticket = next_ticket_++;
  std::vector<Transfer> of_dram;
  std::array<bool, kMostTiers> used{};
  for (const Transfer& transfer : transfers) {
    if (transfer.bytes == 0) continue;
    const std::uint32_t number = tier_of(transfer.address);
    SYSTOLE_CHECK(number <= tiers_.size(), "a transfer to no tier");
    used[number] = true;
    if (number == 0) {
      of_dram.push_back(transfer);
      continue;
    }
    Transfer local = transfer;
    local.address = without_tier(transfer.address);
    tiers_[number - 1]->queue(local, ticket);
  }
  MemorySystem::Ticket dram_ticket;
  if (used[0]) dram_ticket = dram_.issue(of_dram);
  for (std::uint32_t t = 1; t <= tiers_.size(); ++t) {
    if (used[t]) tiers_[t - 1]->start();
  }
  std::uint32_t last = 0;
  std::uint64_t last_at = 0;
  if (used[0]) {
    dram_.wait(dram_ticket);
    last_at = sc_core::sc_time_stamp().value();
  }
  for (std::uint32_t t = 1; t <= tiers_.size(); ++t) {
    if (!used[t]) continue;
    const std::uint64_t at = tiers_[t - 1]->wait(ticket);
    if (at > last_at) {
      last = t;
      last_at = at;
    }
  }
  return last;
}

bool Tiers::idle() const {
  return std::ranges::all_of(tiers_, [](const auto& tier) { return tier->idle(); });
}

void Tiers::quiesce() {
  for (const auto& tier : tiers_) tier->quiesce();
}

EventCounts Tiers::events() const {
  EventCounts counts;
  for (const auto& tier : tiers_) tier->add_events(counts);
  return counts;
}

std::uint64_t Tiers::address_period_bytes() const {
  std::uint64_t period = dram_.address_period_bytes();
  for (const auto& tier : tiers_) period = std::lcm(period, tier->address_period_bytes());
  return period;
}

}  // namespace systole::memory
