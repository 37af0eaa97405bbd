// A DRAM channel as a SystemC module: TLM-2.0 target sockets in front of the plain engine.
#pragma once

#include <tlm_utils/peq_with_cb_and_phase.h>
#include <tlm_utils/simple_target_socket.h>

#include <cstdint>
#include <tlm>
#include <unordered_map>
#include <vector>
#include "sim/kernel/systemc.hpp"

#include "configs/dram.hpp"
#include "memory/clocking.hpp"
#include "memory/shared_channel.hpp"
#include "memory/target_side.hpp"

namespace systole::memory {

/// Wakes several channels with one event, those of one time in the order of their numbers.
class DramAlarm : public sc_core::sc_module {
 public:
  explicit DramAlarm(const sc_core::sc_module_name& name);
  void add(class Dram& channel);
  /// Wakes channel `index` at `time` (kNever: not at all) instead of whatever was set before; but
  /// one that is to be woken now will be.
  void set(std::uint32_t index, std::uint64_t time);

 private:
  void ring();
  void notify();

  std::vector<class Dram*> channels_;
  std::vector<std::uint64_t> due_;  ///< values of sc_time
  std::uint64_t set_for_ = kNever;
  bool ringing_ = false;
  sc_core::sc_event bell_;
};

/// One channel. Each port is a base-protocol target for reads and writes of any length up to a DMA
/// segment; address is channel-local; no data is carried (the data pointer may be null): this is
/// the timed side.
///
/// Four phases: BEGIN_REQ; END_REQ when the request's last burst has entered its queue (at once, as
/// the return value, when there is room): withheld, it is the back-pressure; BEGIN_RESP when the
/// last beat has moved; END_RESP. A second response on a port waits for END_RESP of the first.
/// `b_transport` takes the same path, so it is as exact.
class Dram : public sc_core::sc_module {
 public:
  using Socket = tlm_utils::simple_target_socket_tagged<Dram>;
  sc_core::sc_vector<Socket> ports;

  /// Errors: ConfigError as DramChannel.
  Dram(const sc_core::sc_module_name& name, const configs::DramConfig& config,
       std::uint32_t port_count = 1);

  const configs::DramConfig& config() const { return config_; }
  bool idle() const { return in_flight_ == 0; }
  /// Counts up to the present, refreshes of idle time included.
  DramCounts counts();
  /// From now on `alarm` wakes this channel, its number `index`.
  void wake_by(DramAlarm& alarm, std::uint32_t index) {
    alarm_ = &alarm;
    alarm_index_ = index;
  }
  /// Bursts waiting in the read or the write queue now.
  std::uint32_t queued(bool write) { return sync(), channel_.queued(write); }
  /// DramChannel::restart with the present as clock 0. Requires idle().
  void quiesce();
  /// Computes once what this channel and `other`, of the same device and restarted at the same
  /// time, will do alike from now on, if both are idle and in equivalent states. Says whether.
  bool share(Dram& other);
  /// What its banks do from the next quiesce() on, or (null) no more.
  void record_to(DramRecorder* recorder) { channel_.record_to(recorder); }
  /// How many channels share this one's engine, this one included.
  std::size_t sharers() const { return channel_.sharers(); }

 private:
  struct Request {
    std::uint64_t id = 0;
    tlm::tlm_generic_payload* payload = nullptr;
    std::uint32_t port = 0;
    sc_core::sc_event* done = nullptr;  ///< of a b_transport, else null
  };
  struct Port {
    ResponseLine responses;
    bool requesting = false;  ///< between BEGIN_REQ and END_REQ
  };

  tlm::tlm_sync_enum nb_transport_fw(int port, tlm::tlm_generic_payload& payload,
                                     tlm::tlm_phase& phase, sc_core::sc_time& delay);
  void b_transport(int port, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  bool begin(std::uint32_t port, tlm::tlm_generic_payload& payload, sc_core::sc_event* done);
  void respond(std::uint32_t port);
  void delayed(tlm::tlm_generic_payload& payload, const tlm::tlm_phase& phase);
  void serve();
  Request& request(std::uint64_t id) { return requests_[id & (requests_.size() - 1)]; }
  void sync();
  void sleep();

  configs::DramConfig config_;
  SharedChannel channel_;
  MemoryClock clock_;
  std::vector<Request> requests_;  ///< of those in flight, by id modulo its size, a power of two
  std::uint32_t in_flight_ = 0;
  std::vector<SegmentEvent> events_;  ///< being served
  std::vector<Port> port_state_;
  std::unordered_map<tlm::tlm_generic_payload*, std::uint32_t> delayed_ports_;
  tlm_utils::peq_with_cb_and_phase<Dram> delay_queue_;
  std::uint64_t next_id_ = 0;
  bool serving_ = false;
  sc_core::sc_event wake_;
  DramAlarm* alarm_ = nullptr;  ///< nobody: `wake_`
  std::uint32_t alarm_index_ = 0;
  friend class DramAlarm;
};

}  // namespace systole::memory
