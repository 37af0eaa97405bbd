// DRAM channels that are told the same things at the same clocks: computed once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "configs/dram.hpp"
#include "memory/dram_channel.hpp"

namespace systole::memory {

/// A DramChannel that shares its engine with others for as long as all of them do the same, which
/// the channels of an interleaved memory do most of the time. Never changes a result: a channel is
/// a pure function of what it was told, and the first difference makes it go on alone.
///
/// Channels with a common history form a lane: one engine and a log of what it was told and what it
/// answered. The channel that is ahead drives the engine; the others find their calls in the log
/// and take the answers from there. One that asks for something else leaves: the engine's state of
/// some calls ago is kept, and the calls since then are made again on a copy. Those who leave at
/// the same call for the same other call share again.
class SharedChannel {
 public:
  /// Alone. Errors: ConfigError as DramChannel.
  explicit SharedChannel(const configs::DramConfig& config);
  ~SharedChannel();
  SharedChannel(const SharedChannel&) = delete;
  SharedChannel& operator=(const SharedChannel&) = delete;

  /// Goes on with the engine of `other`, a channel of the same device, when from `now` on both will
  /// answer alike (DramChannel::equivalent). Says whether it shares with `other`.
  bool share(SharedChannel& other, Clock now);

  /// As of DramChannel.
  bool admit(const Segment& segment, Clock now);
  void advance(Clock now);
  /// `advance(now)`, then hands out every event up to `now`, in order. Admissions at `now` will add
  /// none to them.
  void serve(Clock now, std::vector<SegmentEvent>& events);
  Clock next_event();
  std::uint32_t queued(bool write) { return settled().queued(write); }
  DramCounts counts();
  void restart();
  /// From the next restart on; it shares with nobody meanwhile.
  void record_to(DramRecorder* recorder) { recorder_ = recorder; }

  /// How many channels share this one's engine, this one included.
  std::size_t sharers() const { return lane_->members.size(); }

 private:
  enum class Call : std::uint8_t { advance, serve, admit };
  /// One call and its answer.
  struct Entry {
    Segment segment;
    Clock now = 0;
    Clock next = kUnknown;  ///< next_event after it, once somebody has asked
    std::uint32_t first_event = 0, last_event = 0;
    Call call = Call::advance;
    bool accepted = false;
  };
  struct Lane {
    explicit Lane(DramChannel state) : engine(std::move(state)) {}
    DramChannel engine;                    ///< after all of the log
    std::unique_ptr<DramChannel> earlier;  ///< before all of it, unless it is empty
    std::vector<Entry> log;
    std::vector<SegmentEvent> events;  ///< of the log's serve calls
    std::vector<SharedChannel*> members;
    /// Lanes that begin where somebody left this one, with the position in the log.
    std::vector<std::pair<std::size_t, std::weak_ptr<Lane>>> forks;
    bool open = false;  ///< the log still begins at the fork: others may join there
  };
  static constexpr Clock kUnknown = kNever - 1;
  static constexpr std::size_t kShortLog = 16;   ///< a log is dropped from this length on
  static constexpr std::size_t kLongLog = 2048;  ///< and who has fallen so far behind leaves

  const Entry& make(Call call, Clock now, const Segment& segment = {});
  bool alone();
  void leave();
  void enter(const std::shared_ptr<Lane>& lane, std::size_t position);
  void trim();
  void drop_log();
  static void run(DramChannel& engine, Entry& entry, std::vector<SegmentEvent>& events);
  DramChannel& settled();

  configs::DramConfig config_;
  std::shared_ptr<Lane> lane_;
  std::size_t position_ = 0;  ///< calls of the log that this channel has made
  Clock limit_ = 0;           ///< of its latest advance
  DramRecorder* recorder_ = nullptr;
  DramCounts more_{};  ///< what this channel has counted beyond its engine, modulo 2^64
};

}  // namespace systole::memory
