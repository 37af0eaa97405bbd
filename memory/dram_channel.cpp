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
      inline_ecc_(
          config.ecc == configs::EccMode::inline_bursts
              ? std::optional<InlineEcc>(std::in_place, config.ecc_bursts, map().burst_bits())
              : std::nullopt),
      idle_read_latency_(Clock{config.rcd_read} + config.activate_slots - config.column_slots +
                         config.cl + config.burst_clocks),
      middle_of_refresh_interval_((Clock{config.refi} + 1) / 2) {}

bool DramChannel::admit(const Segment& segment, Clock now) {
  if (!inline_ecc_) return admit_piece(segment, now);
  std::uint32_t waiting = 0;
  for (const Segment& piece : inline_ecc_->open(segment)) {
    if (!admit_piece(piece, now)) ++waiting;
  }
  return inline_ecc_->opened(waiting);
}

bool DramChannel::admit_piece(const Segment& segment, Clock now) {
  return std::visit([&](auto& c) { return c.admit(segment, now); }, controller_);
}

void DramChannel::advance(Clock now) {
  std::visit([&](auto& c) { c.advance(now); }, controller_);
}

Clock DramChannel::advance_to_acceptance(Clock limit) {
  return std::visit([&](auto& c) { return c.advance_to_acceptance(limit); }, controller_);
}

std::optional<SegmentEvent> DramChannel::pop(Clock now) {
  if (!inline_ecc_) return pop_piece(now);
  while (const auto piece = pop_piece(now)) {
    if (const auto event = inline_ecc_->translate(*piece)) return event;
  }
  return std::nullopt;
}

std::optional<SegmentEvent> DramChannel::pop_piece(Clock now) {
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

std::uint64_t DramChannel::period_bytes() const {
  // Moved by whole groups and whole periods of what is stored.
  return map().period_bytes() * (inline_ecc_ ? inline_ecc_->data_bursts() : 1);
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
  if (window == nullptr || inline_ecc_) return false;
  window->describe(state);
  return true;
}

void DramChannel::repeat(const StateShift& shift, const DramCounts& more) {
  auto* const window = std::get_if<SharedWindow>(&controller_);
  SYSTOLE_CHECK(window != nullptr, "steady state of a controller that cannot tell it");
  window->repeat(shift, more);
}

void DramChannel::restart(Clock first_refresh) {
  std::visit([&](auto& c) { c.restart(first_refresh); }, controller_);
}

void DramChannel::record_to(DramRecorder* recorder) {
  std::visit([&](auto& controller) { controller.record_to(recorder); }, controller_);
}

}  // namespace systole::memory
