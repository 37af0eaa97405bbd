// Offers a stream of requests to a DRAM channel in order, as one saturating or paced port would.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "memory/dram_channel.hpp"
#include "memory/request_source.hpp"
#include "memory/steady_state.hpp"

namespace systole::memory {

/// Whether what a steady state repeats is left out. Never changes a result; `simulated` exists for
/// the test that says so.
enum class SteadyState : std::uint8_t { reused, simulated };

/// In order: a request that finds its queue full holds up those behind it, and each is offered the
/// clock after the acceptance of the last. Nothing is offered before its `not_before`. What a
/// saturating port offers while it waits goes to the channel in longer segments; this never changes
/// a result, since bursts enter one by one as room appears.
///
/// Where the source repeats itself and the port saturates, the channel's state is looked at after
/// every refresh. Once it reads as it did before, whole such periods are not simulated: the counts
/// of one are added, time and addresses moved.
class RequestPlayer {
 public:
  /// Offers at most `bursts_per_clock`; at 1 and more the port saturates, below it is a load.
  RequestPlayer(DramChannel& channel, double bursts_per_clock,
                SteadyState steady = SteadyState::reused)
      : channel_(channel),
        seeks_(steady == SteadyState::reused && bursts_per_clock >= 1),
        interval_(1.0 / bursts_per_clock),
        spacing_(interval_ < 1 ? interval_ : 1) {}

  /// Plays requests until `limit` or, at the end of the source, until all are done. Says whether
  /// all are done.
  bool play(RequestSource& source, Clock limit = kNever);

  std::uint64_t requests() const { return requests_; }
  /// How many of them were not simulated.
  std::uint64_t repeated() const { return repeated_; }
  Clock now() const { return now_; }
  /// End of the last read's data (of the last write's where nothing was read).
  Clock end() const { return last_read_ != 0 ? last_read_ : last_write_; }

 private:
  bool fill(RequestSource& source);
  bool wait_for_acceptance(Clock limit);
  void serve();
  void seek_period(RequestSource& source);

  /// Where a state was passed.
  struct Passed {
    Clock now = 0;
    std::uint64_t requests = 0, burst = 0;
    double next_offer = 0;
    DramCounts counts;
  };

  DramChannel& channel_;
  bool seeks_;                   ///< a period
  std::uint64_t refreshes_ = 0;  ///< when the state was last looked at
  Clock looked_ = 0;
  PassedStates states_;
  std::vector<Passed> passed_;
  std::uint64_t repeated_ = 0;
  std::uint64_t held_by_schedule_ = 0;  ///< requests_ when the schedule last held an offer up
  double interval_, spacing_;           ///< of the schedule; of two offers, however late they are
  std::optional<DramRequest> ahead_;    ///< read from the source, not offered
  std::uint64_t next_burst_ = 0, end_burst_ = 0;  ///< to be offered
  bool write_ = false;
  Clock not_before_ = 0;
  bool waiting_ = false, ended_ = false;
  double next_offer_ = 0;  ///< by the schedule, which waiting does not move
  double earliest_ = 0;    ///< after the acceptance of the last
  std::uint64_t requests_ = 0;
  Clock now_ = 0, last_read_ = 0, last_write_ = 0;
};

}  // namespace systole::memory
