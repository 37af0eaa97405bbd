#include "memory/dram_channel.hpp"

#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

std::variant<SharedWindow, BankQueues, BankMachines> controller_of(
    const configs::DramConfig& config, bool bulk) {
  switch (config.controller.policy) {
    case configs::DramPolicy::per_bank_queues:
      return BankQueues(config);
    case configs::DramPolicy::bank_machines:
      return BankMachines(config);
    case configs::DramPolicy::shared_window:
      break;
  }
  return SharedWindow(config, bulk);
}

}  // namespace

DramChannel::DramChannel(const configs::DramConfig& config, Bulk bulk)
    : controller_(controller_of(config, bulk == Bulk::on)),
      idle_read_latency_(Clock{config.rcd_read} + config.activate_slots - config.column_slots +
                         config.cl + config.burst_clocks),
      middle_of_refresh_interval_((Clock{config.refi} + 1) / 2) {}

bool DramChannel::admit(const Segment& segment, Clock now) {
  return std::visit([&](auto& c) { return c.admit(segment, now); }, controller_);
}

void DramChannel::advance(Clock now) {
  std::visit([&](auto& c) { c.advance(now); }, controller_);
}

Clock DramChannel::advance_to_acceptance(Clock limit) {
  return std::visit([&](auto& c) { return c.advance_to_acceptance(limit); }, controller_);
}

std::optional<SegmentEvent> DramChannel::pop(Clock now) {
  return std::visit([&](auto& c) { return c.pop(now); }, controller_);
}

Clock DramChannel::next_event() const {
  return std::visit([](const auto& c) { return c.next_event(); }, controller_);
}

bool DramChannel::idle() const {
  return std::visit([](const auto& c) { return c.idle(); }, controller_);
}

std::uint32_t DramChannel::queued(bool write) const {
  return std::visit([&](const auto& c) { return c.queued(write); }, controller_);
}

bool DramChannel::full(bool write) const {
  return std::visit([&](const auto& c) { return c.full(write); }, controller_);
}

const DramCounts& DramChannel::counts() const {
  return std::visit([](const auto& c) -> const DramCounts& { return c.counts(); }, controller_);
}

const AddressMap& DramChannel::map() const {
  return std::visit([](const auto& c) -> const AddressMap& { return c.map(); }, controller_);
}

bool DramChannel::equivalent(const DramChannel& other, Clock now) const {
  return std::visit(
      [&](const auto& c) {
        using Controller = std::remove_cvref_t<decltype(c)>;
        const auto* const o = std::get_if<Controller>(&other.controller_);
        return o != nullptr && c.equivalent(*o, now);
      },
      controller_);
}

bool DramChannel::describe(StateReader& state) const {
  const auto* const window = std::get_if<SharedWindow>(&controller_);
  if (window != nullptr) window->describe(state);
  return window != nullptr;
}

void DramChannel::repeat(const StateShift& shift, const DramCounts& more) {
  auto* const window = std::get_if<SharedWindow>(&controller_);
  SYSTOLE_CHECK(window != nullptr, "steady state of a controller that cannot tell it");
  window->repeat(shift, more);
}

void DramChannel::restart(Clock first_refresh) {
  std::visit([&](auto& c) { c.restart(first_refresh); }, controller_);
}

}  // namespace systole::memory
