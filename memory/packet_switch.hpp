// A packet-switched network in plain C++, clock by clock but only where something happens: routers
// with bounded input queues, links of so many bytes a cycle, and arbiters. A crossbar is one
// router, a mesh many. No SystemC; crossbar.hpp puts it behind sockets.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "configs/machine.hpp"

namespace systole::memory {

/// Who of `candidates` (indices of input queues, ascending) sends next on a link.
class Arbiter {
 public:
  explicit Arbiter(configs::NocArbitration kind) : kind_(kind) {}
  struct Candidate {
    std::uint32_t input = 0;
    std::uint64_t entered = 0;  ///< when the packet entered the network
    std::uint64_t packet = 0;   ///< breaks ties of age: numbered in order of entry
  };
  /// Position in `candidates`, which is not empty.
  std::size_t choose(const std::vector<Candidate>& candidates);

 private:
  configs::NocArbitration kind_;
  static constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t last_ = kNobody;  ///< round robin: served last
};

/// How routers are joined. Every router has `ports` ports; port p of router r leads to another
/// router's port or, without one, to the end point attached there.
struct Topology {
  struct Port {
    std::optional<std::uint32_t> router, port;  ///< where its link leads; none: to its end point
    std::uint32_t endpoint = kNowhere;          ///< attached here
  };
  static constexpr std::uint32_t kNowhere = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::vector<Port>> routers;
  struct Place {
    std::uint32_t router = 0, port = 0;
  };
  std::vector<Place> endpoints;
  /// The port that a packet for `endpoint` leaves `router` by.
  std::function<std::uint32_t(std::uint32_t router, std::uint32_t endpoint)> route;

  /// One router; every end point has a port.
  static Topology crossbar(std::uint32_t endpoints);
  /// Routers in rows of `columns`, end points placed one a router in order; packets go along the
  /// row first, then along the column (XY), which cannot deadlock.
  static Topology mesh(std::uint32_t endpoints, std::uint32_t columns);
  /// Links on the way, the one to the end point included.
  std::uint32_t hops(std::uint32_t from, std::uint32_t to) const;
};

/// Packets of `flits` cycles each, cut through: a flit takes `hop` cycles from a queue to the next
/// or to the end point, the head goes on without waiting for its tail, and a link serves one packet
/// at a time. A queue takes a packet only when it has room for all of it (counted in packets).
///
/// What enters in one cycle may leave in the next, so that packets of one cycle meet their arbiter
/// together. Alone, a packet sent at t over h links arrives, tail and all, at t + h * hop + flits.
class PacketSwitch {
 public:
  struct Packet {
    std::uint32_t source = 0, target = 0;  ///< end points
    std::uint32_t lane = 0;  ///< of the target: deliveries of a lane wait for its room alone
    std::uint64_t flits = 1;
    std::uint64_t tag = 0;  ///< the sender's
  };
  struct Counts {
    std::uint64_t packets = 0, flits = 0;
    std::uint64_t flit_hops = 0;  ///< a flit over a link
    std::uint64_t waits = 0;  ///< cycles from entry to delivery beyond those of an empty network
  };

  /// `queue`: packets of every input queue; `room`: packets on their way to or held by a lane of an
  /// end point, until it says `taken`.
  PacketSwitch(Topology topology, std::uint32_t hop, std::uint32_t queue, std::uint32_t room,
               std::uint32_t lanes, configs::NocArbitration arbitration);

  bool has_room(std::uint32_t source) const;
  /// Requires has_room.
  void send(const Packet& packet, std::uint64_t now);
  /// The end point has done with a delivery of that lane; there is room again in the next cycle.
  void taken(std::uint32_t target, std::uint32_t lane, std::uint64_t now);

  /// Everything up to `now`; deliveries in the order of their time. Call at every `next()` at
  /// least.
  void advance(std::uint64_t now);
  std::optional<Packet> next_delivery();
  /// When something can happen next without anybody calling; kIdle: never.
  std::uint64_t next() const;
  static constexpr std::uint64_t kIdle = std::numeric_limits<std::uint64_t>::max();

  bool empty() const { return inside_ == 0; }
  const Counts& counts() const { return counts_; }
  /// When empty: arbiters begin anew.
  void restart();

 private:
  struct Held {
    Packet packet;
    std::uint64_t entered = 0, number = 0;
    std::uint64_t ready = 0;  ///< when its head may leave
    std::uint64_t hops = 0;
  };
  struct Queue {
    std::deque<Held> packets;
    std::uint32_t promised = 0;       ///< packets in it or on their way to it
    std::uint64_t sending_until = 0;  ///< its front is leaving; 0: is not
  };
  struct Link {
    Arbiter arbiter;
    std::uint64_t free = 0;
  };
  struct Arrival {
    std::uint64_t time = 0, number = 0;
    Packet packet;
  };
  struct Return {
    std::uint64_t time = 0;
    std::size_t lane = 0;
  };

  void step(std::uint64_t now);
  void leave(std::uint64_t now);
  bool accepts(const Topology::Port& port, const Packet& packet) const;
  void grant(std::uint32_t router, std::uint32_t in, std::uint32_t out, std::uint64_t now);
  std::size_t lane_index(std::uint32_t target, std::uint32_t lane) const {
    return std::size_t{target} * lanes_ + lane;
  }

  Topology topology_;
  std::uint32_t hop_, queue_, room_, lanes_;
  configs::NocArbitration arbitration_;
  std::vector<std::vector<Queue>> queues_;  ///< [router][port]
  std::vector<std::vector<Link>> links_;
  std::vector<std::uint32_t> lane_load_;
  std::vector<std::vector<Arbiter::Candidate>> wants_;  ///< of a step, by port of the router
  std::deque<Return> returning_;
  std::deque<Arrival> arriving_;  ///< by time, then number
  std::deque<Packet> delivered_;
  std::uint64_t next_number_ = 0;
  std::uint64_t inside_ = 0;
  std::uint64_t pending_ = kIdle;  ///< the first cycle in which a step may find something
  Counts counts_;
};

}  // namespace systole::memory
