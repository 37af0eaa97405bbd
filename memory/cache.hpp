// A cache in front of a DRAM channel, for classes of traffic that come back to the same lines
// (gathers of codebooks and outliers, a KV cache read again by another block of rows).
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <tlm>
#include <unordered_map>
#include <vector>

#include "configs/machine.hpp"
#include "memory/target_side.hpp"
#include "sim/core/traffic.hpp"
#include "sim/core/units.hpp"
#include "sim/kernel/clock.hpp"
#include "sim/kernel/systemc.hpp"

namespace systole::memory {

/// Which lines are there: sets of ways, tags only. No SystemC, no time.
class CacheDirectory {
 public:
  /// Errors: SYSTOLE_CHECK unless ways divide lines (and are a power of two for plru).
  CacheDirectory(std::uint64_t lines, std::uint32_t ways, configs::CacheReplacement replacement);

  struct Line {
    std::uint64_t number = 0;  ///< address / line bytes
    TrafficClass traffic = TrafficClass::weights;
    bool valid = false, dirty = false;
  };

  bool contains(std::uint64_t line) const { return find(line) != nullptr; }
  /// Uses a line that is there (and makes it dirty); false where it is not.
  bool touch(std::uint64_t line, bool dirty);
  /// Brings in a line that is not there and uses it; returns what it replaces, if anything. An
  /// invalid way is taken first, the lowest; else the least recently used one, or the one that the
  /// tree of bits points away from.
  std::optional<Line> allocate(std::uint64_t line, TrafficClass traffic, bool dirty);
  /// All dirty lines, in the order of sets and ways; nothing is there afterwards.
  std::vector<Line> clear();

 private:
  const Line* find(std::uint64_t line) const;
  std::uint64_t set_of(std::uint64_t line) const { return line % sets_; }
  std::uint32_t victim(std::uint64_t set) const;
  void use(std::uint64_t set, std::uint32_t way);

  std::uint32_t ways_;
  std::uint64_t sets_;
  configs::CacheReplacement replacement_;
  std::vector<Line> lines_;           ///< [set][way]
  std::vector<std::uint64_t> used_;   ///< lru: when last, [set][way]
  std::vector<std::uint8_t> points_;  ///< plru: ways - 1 nodes a set; 1: the right half is older
  std::uint64_t now_ = 0;
};

struct CacheCounts {
  std::uint64_t lookups = 0;  ///< = hits + misses + merged + bypassed
  std::uint64_t hits = 0, misses = 0;
  std::uint64_t merged = 0;       ///< of lines already on their way
  std::uint64_t bypassed = 0;     ///< writes through to lines that are not there
  std::uint64_t line_reads = 0;   ///< of the data array, write-backs included
  std::uint64_t line_writes = 0;  ///< likewise, fills included
  std::uint64_t fills = 0, write_backs = 0;
};

/// One slice. Port p of the initiators' side passes to port p of the channel's; the channel has two
/// more ports, for fills and for write-backs. Requests of the classes that are cached are looked up
/// in order, a line a cycle; a miss takes one of `mshrs` and the next request goes on (hits pass
/// under misses) until none is free. A response leaves `hit_cycles` after the last line is there.
/// Write-back: allocated on writes, a line written in part is fetched. Write-through: writes go on
/// to the channel, and update lines that are there. Addresses are channel-local.
class Cache : public sc_core::sc_module {
 public:
  using TargetSocket = tlm_utils::simple_target_socket_tagged<Cache>;
  using InitiatorSocket = tlm_utils::simple_initiator_socket_tagged<Cache>;
  sc_core::sc_vector<TargetSocket> in;
  sc_core::sc_vector<InitiatorSocket> out;  ///< as many, then fills, then write-backs

  /// `capacity_bytes`: of this slice. Errors: as CacheDirectory.
  Cache(const sc_core::sc_module_name& name, const configs::CacheConfig& config,
        std::uint64_t capacity_bytes, ClockDomain clock, std::uint32_t ports);
  ~Cache() override;

  bool idle() const { return open_ == 0; }
  /// Writes all dirty lines back and empties the cache; done when idle, which `emptied` tells. Call
  /// when idle.
  void flush();
  const sc_core::sc_event& emptied() const { return emptied_; }
  /// Forgets what is there, of which nothing is dirty.
  void restart();
  const CacheCounts& counts() const { return counts_; }

 private:
  using Payload = tlm::tlm_generic_payload;
  struct Request {
    Payload* payload = nullptr;
    std::uint32_t port = 0;
    std::uint64_t missing = 1;  ///< lines on their way, and one until all are looked up
  };
  struct Port {
    ResponseLine responses;
    std::deque<Payload*> onward;  ///< to the channel; the front one is with it when `requesting`
    bool requesting = false;
  };
  struct Own;  ///< a payload of our making

  tlm::tlm_sync_enum forward(int port, Payload& payload, tlm::tlm_phase& phase,
                             sc_core::sc_time& delay);
  tlm::tlm_sync_enum backward(int port, Payload& payload, tlm::tlm_phase& phase,
                              sc_core::sc_time& delay);
  void serve();
  void look_up(const std::shared_ptr<Request>& request, std::uint64_t line, bool whole);
  void line_arrived(const std::shared_ptr<Request>& request);
  void respond();
  void answer(std::uint32_t port, Payload& payload);
  void offer(std::uint32_t port);
  void send_onward(std::uint32_t port, Payload& payload);
  void push_onward(std::uint32_t port);
  void channel_done(std::uint32_t port, Payload& payload);
  void move_line(bool write, const CacheDirectory::Line& line);
  bool cached(const Payload& payload) const;

  configs::CacheConfig config_;
  kernel::Clock clock_;
  std::uint32_t fills_, write_backs_;  ///< numbers of those ports
  CacheDirectory directory_;
  CacheCounts counts_;
  std::deque<std::shared_ptr<Request>> waiting_;
  std::unordered_map<std::uint64_t, std::vector<std::shared_ptr<Request>>> mshrs_;  ///< by line
  std::vector<Port> ports_;
  struct Ready {
    std::uint64_t time;
    std::uint32_t port;
    Payload* payload;
  };
  std::deque<Ready> ready_;  ///< responses on their way out, in order of time
  std::uint64_t open_ = 0;   ///< requests and payloads of our own that are not done
  std::vector<std::unique_ptr<Own>> own_;
  std::vector<Own*> free_;
  sc_core::sc_event arrived_, mshr_freed_, due_, emptied_;
};

}  // namespace systole::memory
