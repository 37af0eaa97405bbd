#include "memory/packet_switch.hpp"

#include <algorithm>
#include <utility>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

std::size_t Arbiter::choose(const std::vector<Candidate>& candidates) {
  using Kind = configs::NocArbitration;
  std::size_t chosen = 0;
  switch (kind_) {
    case Kind::fixed:
      break;  // ascending: the first
    case Kind::round_robin:
      for (std::size_t i = 0; i < candidates.size(); ++i) {
        if (last_ != kNobody && candidates[i].input > last_) {
          chosen = i;
          break;
        }
      }
      break;
    case Kind::age:
      for (std::size_t i = 1; i < candidates.size(); ++i) {
        const auto age = [&](std::size_t j) {
          return std::pair(candidates[j].entered, candidates[j].packet);
        };
        if (age(i) < age(chosen)) chosen = i;
      }
      break;
  }
  last_ = candidates[chosen].input;
  return chosen;
}

Topology Topology::crossbar(std::uint32_t endpoints) {
  Topology t;
  t.routers.resize(1);
  for (std::uint32_t e = 0; e < endpoints; ++e) {
    t.routers[0].push_back({std::nullopt, std::nullopt, e});
    t.endpoints.push_back({0, e});
  }
  t.route = [](std::uint32_t, std::uint32_t endpoint) { return endpoint; };
  return t;
}

Topology Topology::mesh(std::uint32_t endpoints, std::uint32_t columns) {
  SYSTOLE_CHECK(columns > 0, "a mesh without columns");
  // Ports of a router: its end point, then the neighbours right, left, below and above.
  enum Side : std::uint32_t { local, right, left, below, above, kSides };
  Topology t;
  const std::uint32_t rows = static_cast<std::uint32_t>(ceil_div(endpoints, columns));
  t.routers.resize(std::size_t{rows} * columns, std::vector<Port>(kSides));
  const auto join = [&](std::uint32_t a, Side out, std::uint32_t b, Side in) {
    t.routers[a][out] = {b, in, kNowhere};
    t.routers[b][in] = {a, out, kNowhere};
  };
  for (std::uint32_t r = 0; r < rows * columns; ++r) {
    if (r % columns + 1 < columns) join(r, right, r + 1, left);
    if (r / columns + 1 < rows) join(r, below, r + columns, above);
    if (r < endpoints) {
      t.routers[r][local].endpoint = r;
      t.endpoints.push_back({r, local});
    }
  }
  t.route = [columns](std::uint32_t router, std::uint32_t endpoint) -> std::uint32_t {
    const std::uint32_t x = router % columns, to_x = endpoint % columns;
    if (x != to_x) return x < to_x ? right : left;
    const std::uint32_t y = router / columns, to_y = endpoint / columns;
    if (y != to_y) return y < to_y ? below : above;
    return local;
  };
  return t;
}

std::uint32_t Topology::hops(std::uint32_t from, std::uint32_t to) const {
  std::uint32_t count = 1;
  for (std::uint32_t router = endpoints[from].router;; ++count) {
    const Port& port = routers[router][route(router, to)];
    if (!port.router) return count;
    router = *port.router;
  }
}

PacketSwitch::PacketSwitch(Topology topology, std::uint32_t hop, std::uint32_t queue,
                           std::uint32_t room, std::uint32_t lanes,
                           configs::NocArbitration arbitration)
    : topology_(std::move(topology)),
      hop_(hop),
      queue_(queue),
      room_(room),
      lanes_(lanes),
      arbitration_(arbitration),
      lane_load_(topology_.endpoints.size() * lanes) {
  SYSTOLE_CHECK(hop > 0 && queue > 0 && room > 0 && lanes > 0, "a network without room or delay");
  for (const auto& ports : topology_.routers) {
    queues_.emplace_back(ports.size());
    links_.emplace_back(ports.size(), Link{Arbiter(arbitration), 0});
    wants_.resize(std::max(wants_.size(), ports.size()));
  }
}

bool PacketSwitch::has_room(std::uint32_t source) const {
  const Topology::Place place = topology_.endpoints[source];
  return queues_[place.router][place.port].promised < queue_;
}

void PacketSwitch::send(const Packet& packet, std::uint64_t now) {
  SYSTOLE_CHECK(has_room(packet.source), "a packet for a full queue");
  SYSTOLE_CHECK(packet.flits > 0, "a packet of nothing");
  const Topology::Place place = topology_.endpoints[packet.source];
  Queue& queue = queues_[place.router][place.port];
  ++queue.promised;
  queue.packets.push_back({packet, now, next_number_++, now + 1, 0});
  ++inside_;
  ++counts_.packets;
  counts_.flits += packet.flits;
  pending_ = std::min(pending_, now + 1);
}

void PacketSwitch::taken(std::uint32_t target, std::uint32_t lane, std::uint64_t now) {
  returning_.push_back({now + 1, lane_index(target, lane)});
  pending_ = std::min(pending_, now + 1);
}

bool PacketSwitch::accepts(const Topology::Port& port, const Packet& packet) const {
  if (port.router) return queues_[*port.router][*port.port].promised < queue_;
  return lane_load_[lane_index(packet.target, packet.lane)] < room_;
}

/// Packets whose tail has left make room where they were.
void PacketSwitch::leave(std::uint64_t now) {
  for (; !returning_.empty() && returning_.front().time <= now; returning_.pop_front()) {
    std::uint32_t& load = lane_load_[returning_.front().lane];
    SYSTOLE_CHECK(load > 0, "more packets taken than delivered");
    --load;
  }
  for (auto& ports : queues_) {
    for (Queue& queue : ports) {
      if (queue.sending_until == 0 || queue.sending_until > now) continue;
      queue.packets.pop_front();
      --queue.promised;
      queue.sending_until = 0;
    }
  }
}

void PacketSwitch::grant(std::uint32_t router, std::uint32_t in, std::uint32_t out,
                         std::uint64_t now) {
  Queue& queue = queues_[router][in];
  Held held = queue.packets.front();
  const std::uint64_t flits = held.packet.flits;
  queue.sending_until = links_[router][out].free = now + flits;
  counts_.flit_hops += flits;
  ++held.hops;
  held.ready = now + hop_;
  const Topology::Port& port = topology_.routers[router][out];
  if (port.router) {
    Queue& next = queues_[*port.router][*port.port];
    ++next.promised;
    next.packets.push_back(held);
    return;
  }
  ++lane_load_[lane_index(held.packet.target, held.packet.lane)];
  const Arrival arrival{now + hop_ + flits - 1, held.number, held.packet};
  counts_.waits += arrival.time - (held.entered + held.hops * hop_ + flits);
  const auto later = [](const Arrival& a, const Arrival& b) {
    return std::pair(a.time, a.number) < std::pair(b.time, b.number);
  };
  arriving_.insert(std::upper_bound(arriving_.begin(), arriving_.end(), arrival, later), arrival);
}

void PacketSwitch::step(std::uint64_t now) {
  leave(now);
  for (std::uint32_t r = 0; r < queues_.size(); ++r) {
    auto& ports = queues_[r];
    for (std::uint32_t in = 0; in < ports.size(); ++in) {
      const Queue& queue = ports[in];
      if (queue.packets.empty() || queue.sending_until != 0) continue;
      const Held& head = queue.packets.front();
      if (head.ready > now) continue;
      const std::uint32_t out = topology_.route(r, head.packet.target);
      if (links_[r][out].free > now || !accepts(topology_.routers[r][out], head.packet)) continue;
      wants_[out].push_back({in, head.entered, head.number});
    }
    for (std::uint32_t out = 0; out < ports.size(); ++out) {
      if (wants_[out].empty()) continue;
      const std::size_t chosen = links_[r][out].arbiter.choose(wants_[out]);
      grant(r, wants_[out][chosen].input, out, now);
      wants_[out].clear();
    }
  }
  // What is blocked waits for one of these; a link is free when the queue that it served is.
  pending_ = returning_.empty() ? kIdle : returning_.front().time;
  for (const auto& ports : queues_) {
    for (const Queue& queue : ports) {
      if (queue.packets.empty()) continue;
      if (queue.sending_until != 0) {
        pending_ = std::min(pending_, queue.sending_until);
      } else if (queue.packets.front().ready > now) {
        pending_ = std::min(pending_, queue.packets.front().ready);
      }
    }
  }
}

void PacketSwitch::advance(std::uint64_t now) {
  while (pending_ <= now) step(pending_);
  for (; !arriving_.empty() && arriving_.front().time <= now; arriving_.pop_front()) {
    delivered_.push_back(arriving_.front().packet);
  }
}

std::optional<PacketSwitch::Packet> PacketSwitch::next_delivery() {
  if (delivered_.empty()) return std::nullopt;
  const Packet packet = delivered_.front();
  delivered_.pop_front();
  --inside_;
  return packet;
}

std::uint64_t PacketSwitch::next() const {
  return arriving_.empty() ? pending_ : std::min(pending_, arriving_.front().time);
}

void PacketSwitch::restart() {
  SYSTOLE_CHECK(empty(), "restart of a network with packets in it");
  for (auto& ports : links_) {
    for (Link& link : ports) link.arbiter = Arbiter(arbitration_);
  }
}

}  // namespace systole::memory
