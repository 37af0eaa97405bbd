#include "memory/dram_player.hpp"

#include <algorithm>

namespace systole::memory {

std::optional<DramRequest> ChannelShare::next() {
  while (auto request = all_->next()) {
    const std::uint64_t block = request->address / interleave_bytes_;
    if (block % channels_ != channel_) continue;
    request->address = block / channels_ * interleave_bytes_ + request->address % interleave_bytes_;
    return request;
  }
  return std::nullopt;
}

std::optional<Repetition> ChannelShare::repeats() const {
  const auto all = all_->repeats();
  // Equal requests one after the other, each within a block: a block in every `channels_`.
  if (!all || all->requests != 1 || interleave_bytes_ % all->bytes != 0) return std::nullopt;
  const std::uint64_t requests = interleave_bytes_ / all->bytes;
  return Repetition{requests, interleave_bytes_, all->left / (requests * channels_) * requests};
}

void ChannelShare::skip(std::uint64_t requests) { all_->skip(requests * channels_); }

DramPlayer::DramPlayer(const sc_core::sc_module_name& name, const configs::DramConfig& config,
                       std::unique_ptr<RequestSource> source, double bursts_per_clock,
                       SteadyState steady)
    : sc_core::sc_module(name),
      channel_(config),
      clock_(config.clock_mhz),
      source_(std::move(source)),
      player_(channel_, bursts_per_clock, steady) {
  SC_HAS_PROCESS(DramPlayer);
  SC_THREAD(thread);
}

void DramPlayer::rethrow() const {
  if (failure_) std::rethrow_exception(failure_);
}

void DramPlayer::thread() {
  try {
    for (Clock until = kQuantum; !player_.play(*source_, until);
         until = std::max(until, player_.now()) + kQuantum) {
      const sc_core::sc_time at = clock_.time(until);
      wait(at - sc_core::sc_time_stamp());
    }
  } catch (const std::exception&) {
    failure_ = std::current_exception();
  }
  done_ = true;
}

}  // namespace systole::memory
