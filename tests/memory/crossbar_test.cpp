// The network between engines and channels: conservation, latency to the cycle, throughput against
// closed forms, fairness, back-pressure.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn
#include "memory/crossbar.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices.hpp"
#include "memory/memory_system.hpp"
#include "sim/core/random.hpp"
#include "threads.hpp"

namespace systole::memory {
namespace {

using configs::NocArbitration;
using configs::NocKind;
using sc_core::sc_time;

constexpr std::uint32_t kRoom = 4;

PacketSwitch crossbar(std::uint32_t endpoints, std::uint32_t hop = 3,
                      NocArbitration arbitration = NocArbitration::round_robin) {
  return PacketSwitch(Topology::crossbar(endpoints), hop, kRoom, kRoom, endpoints, arbitration);
}

/// Runs until nothing can happen; end points take what arrives at once. Arrival by tag.
std::map<std::uint64_t, std::uint64_t> drain(PacketSwitch& network) {
  std::map<std::uint64_t, std::uint64_t> arrivals;
  for (std::uint64_t now; (now = network.next()) != PacketSwitch::kIdle;) {
    network.advance(now);
    while (const auto packet = network.next_delivery()) {
      EXPECT_FALSE(arrivals.contains(packet->tag)) << "delivered twice";
      arrivals[packet->tag] = now;
      network.taken(packet->target, packet->lane, now);
    }
  }
  EXPECT_TRUE(network.empty());
  return arrivals;
}

TEST(PacketSwitch, APacketAloneTakesItsHopsAndItsFlits) {
  for (const std::uint32_t hop : {1u, 2u, 7u}) {
    for (const std::uint64_t flits : {1u, 2u, 33u}) {
      PacketSwitch one = crossbar(4, hop);
      one.send({0, 3, 0, flits, 1}, 10);
      EXPECT_EQ(drain(one)[1], 10 + hop + flits);
      // A mesh of three columns: (0, 0) to (1, 2) is three links, and one to the end point.
      PacketSwitch grid(Topology::mesh(8, 3), hop, kRoom, kRoom, 8, NocArbitration::age);
      grid.send({0, 7, 0, flits, 1}, 10);
      EXPECT_EQ(drain(grid)[1], 10 + 4 * hop + flits);
      EXPECT_EQ(grid.counts().flit_hops, 4 * flits);
      EXPECT_EQ(grid.counts().waits, 0u);
    }
  }
}

TEST(Topology, AMeshPacketTakesTheFewestLinks) {
  for (const std::uint32_t columns : {1u, 3u, 4u, 20u}) {
    const Topology mesh = Topology::mesh(14, columns);
    for (std::uint32_t a = 0; a < 14; ++a) {
      for (std::uint32_t b = 0; b < 14; ++b) {
        const auto apart = [&](std::uint32_t x, std::uint32_t y) { return x > y ? x - y : y - x; };
        EXPECT_EQ(mesh.hops(a, b),
                  1 + apart(a % columns, b % columns) + apart(a / columns, b / columns));
      }
    }
  }
}

/// Sources that always have a packet, for `cycles`. Packets delivered, by source.
std::vector<std::uint64_t> saturate(PacketSwitch& network, std::uint32_t sources,
                                    std::uint64_t flits, std::uint64_t cycles,
                                    const std::function<std::uint32_t(std::uint32_t)>& target) {
  std::vector<std::uint64_t> delivered(sources);
  std::uint64_t tag = 0;
  for (std::uint64_t now = 0; now < cycles; ++now) {
    network.advance(now);
    while (const auto packet = network.next_delivery()) {
      ++delivered[packet->source];
      network.taken(packet->target, packet->lane, now);
    }
    for (std::uint32_t s = 0; s < sources; ++s) {
      while (network.has_room(s)) network.send({s, target(s), 0, flits, tag++}, now);
    }
  }
  return delivered;
}

TEST(PacketSwitch, OneLinkSaturatesAtAFlitACycleAndIsSharedEqually) {
  for (const auto arbitration : {NocArbitration::round_robin, NocArbitration::age}) {
    PacketSwitch network = crossbar(5, 2, arbitration);
    const auto delivered = saturate(network, 4, 8, 8'000, [](auto) { return 4u; });
    // By age, what a queue held at the start goes before all that came later.
    for (const std::uint64_t each : delivered) EXPECT_NEAR(static_cast<double>(each), 250, kRoom);
  }
  PacketSwitch fixed = crossbar(5, 2, NocArbitration::fixed);
  const auto delivered = saturate(fixed, 4, 8, 8'000, [](auto) { return 4u; });
  EXPECT_GT(delivered[0], 990u);
  EXPECT_EQ(delivered[1] + delivered[2] + delivered[3], 0u) << "the lowest input goes first";
}

TEST(PacketSwitch, DisjointPairsDoNotShareAnything) {
  PacketSwitch network = crossbar(8);
  for (const std::uint64_t each : saturate(network, 4, 8, 8'000, [](auto s) { return 4 + s; })) {
    EXPECT_NEAR(static_cast<double>(each), 1000, 2);
  }
}

/// Karol, Hluchyj, Morgan, "Input versus output queueing on a space-division packet switch" (IEEE
/// Trans. Comm. 35, 1987), table I: queues that are served in order carry 3/4 of two inputs' load
/// to two random outputs, 0.6553 of four.
TEST(PacketSwitch, RandomTargetsLoseToTheHeadOfTheLine) {
  for (const auto& [ports, share] : {std::pair(2u, 0.75), std::pair(4u, 0.6553)}) {
    PacketSwitch network = crossbar(2 * ports, 1);
    Random random(5);
    std::uint64_t packets = 0;
    constexpr std::uint64_t kCycles = 400'000;
    for (const std::uint64_t each : saturate(network, ports, 8, kCycles, [&](auto) {
           return ports + static_cast<std::uint32_t>(random.uniform(0, ports - 1));
         })) {
      packets += each;
    }
    EXPECT_NEAR(static_cast<double>(packets) * 8 / (kCycles * ports), share, 0.01) << ports;
  }
}

TEST(PacketSwitch, NobodyWaitsLongerThanOneTurnOfAllOthers) {
  PacketSwitch network = crossbar(9);
  constexpr std::uint64_t kFlits = 16;
  std::uint64_t tag = 0, sent_at = 0, worst = 0;
  bool waiting = false;
  Random random(3);
  for (std::uint64_t now = 0; now < 50'000; ++now) {
    network.advance(now);
    while (const auto packet = network.next_delivery()) {
      network.taken(packet->target, packet->lane, now);
      if (packet->source != 0) continue;
      worst = std::max(worst, now - sent_at);
      waiting = false;
    }
    for (std::uint32_t s = 1; s < 8; ++s) {  // adversaries
      while (network.has_room(s)) network.send({s, 8, 0, kFlits, tag++}, now);
    }
    if (!waiting && random.uniform(0, 50) == 0) {
      network.send({0, 8, 0, 1, tag++}, now);
      sent_at = now;
      waiting = true;
    }
  }
  EXPECT_GT(worst, kFlits);
  // The one under way and one of each of the other six, then itself.
  EXPECT_LE(worst, 7 * kFlits + 3 + 1);
}

TEST(PacketSwitch, AFullEndPointHoldsItsSendersUpAndLosesNothing) {
  PacketSwitch network = crossbar(2);
  std::uint64_t sent = 0;
  const auto push = [&](std::uint64_t now) {
    while (network.has_room(0)) network.send({0, 1, 0, 2, sent++}, now);
  };
  std::vector<std::uint64_t> held;
  for (std::uint64_t now = 0; now < 1000; ++now) {
    push(now);
    network.advance(now);
    while (const auto packet = network.next_delivery()) held.push_back(packet->tag);
  }
  EXPECT_EQ(held.size(), kRoom) << "the end point's room";
  EXPECT_EQ(sent, 2 * kRoom) << "and the queue's";
  for (std::uint64_t now = 1000; now < 2000; ++now) {
    network.advance(now);
    while (const auto packet = network.next_delivery()) {
      held.push_back(packet->tag);
      network.taken(1, 0, now);
    }
    if (now == 1000) {
      for (std::uint32_t i = 0; i < kRoom; ++i) network.taken(1, 0, now);
    }
  }
  ASSERT_EQ(held.size(), sent);
  EXPECT_TRUE(std::is_sorted(held.begin(), held.end())) << "in order";
}

TEST(PacketSwitch, RandomTrafficArrivesOnceAndInOrderInEveryTopology) {
  for (const std::uint32_t columns : {0u, 1u, 2u, 3u, 5u}) {
    for (const auto arbitration :
         {NocArbitration::round_robin, NocArbitration::fixed, NocArbitration::age}) {
      PacketSwitch network(columns == 0 ? Topology::crossbar(10) : Topology::mesh(10, columns), 2,
                           2, 1, 10, arbitration);
      Random random(columns + 1);
      std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<std::uint64_t>> sent, got;
      std::uint64_t tag = 0, flits = 0;
      for (std::uint64_t now = 0; now < 4000 || !network.empty(); ++now) {
        ASSERT_LT(now, 100'000u) << "stuck";
        network.advance(now);
        while (const auto packet = network.next_delivery()) {
          got[{packet->source, packet->target}].push_back(packet->tag);
          network.taken(packet->target, packet->lane, now);
        }
        if (now >= 3000) continue;
        const auto s = static_cast<std::uint32_t>(random.uniform(0, 9));
        if (!network.has_room(s)) continue;
        const auto t = static_cast<std::uint32_t>(random.uniform(0, 9));
        const auto size = static_cast<std::uint64_t>(random.uniform(1, 9));
        network.send({s, t, s, size, tag}, now);
        sent[{s, t}].push_back(tag++);
        flits += size;
      }
      EXPECT_EQ(sent, got);
      EXPECT_EQ(network.counts().packets, tag);
      EXPECT_EQ(network.counts().flits, flits);
    }
  }
}

// --- behind sockets, in front of DRAM ---------------------------------------------------------

constexpr double kMhz = 500;

configs::MemoryConfig memory_config(NocKind kind, std::uint32_t channels = 4) {
  configs::MemoryConfig c;
  c.dram = hbm2();
  c.channels = channels;
  c.noc.kind = kind;
  return c;
}

TEST(Crossbar, AReadAloneTakesItsWayThereAndBackLonger) {
  MemorySystem direct("direct", memory_config(NocKind::none), kMhz);
  MemorySystem noc("noc", memory_config(NocKind::crossbar), kMhz);
  run([&] {
    const Transfer t{TrafficClass::weights, false, 0, 64};
    const sc_time without = timed([&] { direct.transfer({&t, 1}); });
    sc_core::wait(sc_time(2, sc_core::SC_NS) * 500 - sc_core::sc_time_stamp());  // an edge
    noc.quiesce();
    const sc_time with = timed([&] { noc.transfer({&t, 1}); });
    // Hop of 2 cycles and a flit, both ways; the response waits for an edge of the network's clock.
    const double cycles = (with - without) / sc_time(2, sc_core::SC_NS);
    EXPECT_GE(cycles, 2 * (2 + 1));
    EXPECT_LT(cycles, 2 * (2 + 1) + 1);
    EXPECT_EQ(noc.events().get("noc.packet"), 2u);
    EXPECT_EQ(noc.events().get("noc.flit_hop"), 2u);
    EXPECT_EQ(noc.events().get("noc.wait_cycle"), 0u);
  });
}

TEST(Crossbar, ANarrowLinkBoundsAStream) {
  std::vector<std::unique_ptr<MemorySystem>> systems;
  for (const NocKind kind : {NocKind::crossbar, NocKind::mesh}) {
    auto config = memory_config(kind, 8);
    config.noc.link_bytes = 16;
    config.dma.outstanding = 64;
    systems.push_back(
        std::make_unique<MemorySystem>(sc_core::sc_gen_unique_name("memory"), config, kMhz));
  }
  run([&] {
    for (const auto& memory : systems) {
      for (const bool write : {false, true}) {
        const Transfer t{TrafficClass::weights, write, 0, 1 << 20};
        const double cycles = timed([&] {
                                memory->transfer({&t, 1});
                              }) /
                              sc_time(2, sc_core::SC_NS);
        EXPECT_NEAR(cycles, (1 << 20) / 16, 0.01 * (1 << 20) / 16);
      }
    }
  });
}

/// Random transfers over every kind, with tight queues, several engines and all arbitrations.
TEST(Crossbar, LosesNoByteAndNeverLocks) {
  std::vector<std::unique_ptr<MemorySystem>> systems;
  for (const NocKind kind : {NocKind::crossbar, NocKind::mesh}) {
    for (const auto arbitration :
         {NocArbitration::round_robin, NocArbitration::fixed, NocArbitration::age}) {
      for (const std::uint32_t queue : {1u, 3u}) {
        auto config = memory_config(kind, 3);
        config.noc.arbitration = arbitration;
        config.noc.queue = queue;
        config.noc.link_bytes = 32;
        config.noc.columns = 2;
        config.dma.engines = queue;
        config.dma.outstanding = 16;
        systems.push_back(
            std::make_unique<MemorySystem>(sc_core::sc_gen_unique_name("memory"), config, kMhz));
      }
    }
  }
  run([&] {
    for (const auto& memory : systems) {
      Random random(17);
      TrafficBytes asked;
      std::vector<MemorySystem::Ticket> tickets;
      for (int i = 0; i < 60; ++i) {
        Transfer t;
        t.traffic = static_cast<TrafficClass>(random.uniform(0, 2));
        t.write = random.uniform(0, 1) == 0;
        t.address = static_cast<std::uint64_t>(random.uniform(0, 1 << 22));
        t.bytes = static_cast<std::uint64_t>(random.uniform(0, 1 << random.uniform(0, 16)));
        (t.write ? asked.written : asked.read)[index_of(t.traffic)] += t.bytes;
        tickets.push_back(memory->issue(std::span<const Transfer>(&t, 1)));
      }
      for (const auto ticket : tickets) memory->wait(ticket);
      EXPECT_TRUE(memory->idle());
      EXPECT_EQ(memory->useful_bytes(), asked);
      const auto& there = memory->noc()->request_counts();
      EXPECT_EQ(there.packets, memory->noc()->response_counts().packets);
      EXPECT_GE(32 * (there.flits + memory->noc()->response_counts().flits), asked.total());
    }
  });
}

TEST(Crossbar, QuiesceMakesRepeatsEqual) {
  auto config = memory_config(NocKind::mesh, 3);
  config.dma.engines = 2;
  MemorySystem memory("memory", config, kMhz);
  run([&] {
    const std::vector<Transfer> work = {{TrafficClass::weights, false, 4096, 300'000},
                                        {TrafficClass::activations, true, 1 << 22, 50'000},
                                        {TrafficClass::kv_cache, false, 1 << 23, 77'777}};
    sc_time first;
    for (int repeat = 0; repeat < 5; ++repeat) {
      const sc_time cycle(2, sc_core::SC_NS);
      const auto passed = sc_core::sc_time_stamp().value() % cycle.value();
      if (passed > 0) sc_core::wait(cycle - sc_time::from_value(passed));
      memory.quiesce();
      const sc_time time = timed([&] { memory.transfer(work); });
      if (repeat == 0) first = time;
      EXPECT_EQ(time, first) << repeat;
      sc_core::wait(12.345 * repeat, sc_core::SC_NS);
    }
  });
}

/// An initiator of nobody's making: four phases, END_RESP of its own, then a blocking call.
struct Initiator : sc_core::sc_module {
  tlm_utils::simple_initiator_socket<Initiator> socket;
  explicit Initiator(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {
    socket.register_nb_transport_bw(this, &Initiator::nb_transport_bw);
  }
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                     sc_core::sc_time&) {
    if (phase == tlm::BEGIN_RESP) {
      answered = &payload;
      answer.notify(sc_core::SC_ZERO_TIME);
    }
    return tlm::TLM_ACCEPTED;
  }
  tlm::tlm_generic_payload* answered = nullptr;
  sc_core::sc_event answer;
};

TEST(Crossbar, ServesAnInitiatorThatKnowsOnlyTheBaseProtocol) {
  configs::NocConfig config;
  config.kind = NocKind::crossbar;
  Crossbar noc("noc", config, ClockDomain(kMhz), 1, 1);
  Dram dram("dram", hbm2(), 1);
  Initiator initiator("initiator");
  initiator.socket.bind(noc.in[0]);
  noc.out[0].bind(dram.ports[0]);
  run([&] {
    for (int i = 0; i < 3; ++i) {
      tlm::tlm_generic_payload payload;
      payload.set_command(i == 1 ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
      payload.set_address(static_cast<std::uint64_t>(i) * 4096);
      payload.set_data_length(128);
      payload.set_streaming_width(128);
      tlm::tlm_phase phase = tlm::BEGIN_REQ;
      sc_time delay(i * 3, sc_core::SC_NS);
      initiator.socket->nb_transport_fw(payload, phase, delay);
      sc_core::wait(initiator.answer);
      EXPECT_EQ(initiator.answered, &payload);
      EXPECT_TRUE(payload.is_response_ok());
      phase = tlm::END_RESP;
      delay = sc_core::SC_ZERO_TIME;
      EXPECT_EQ(initiator.socket->nb_transport_fw(payload, phase, delay), tlm::TLM_COMPLETED);
    }
    tlm::tlm_generic_payload refused;
    refused.set_command(tlm::TLM_IGNORE_COMMAND);
    refused.set_data_length(64);
    tlm::tlm_phase phase = tlm::BEGIN_REQ;
    sc_time delay = sc_core::SC_ZERO_TIME;
    initiator.socket->nb_transport_fw(refused, phase, delay);
    sc_core::wait(initiator.answer);
    EXPECT_EQ(refused.get_response_status(), tlm::TLM_COMMAND_ERROR_RESPONSE);
    phase = tlm::END_RESP;
    initiator.socket->nb_transport_fw(refused, phase, delay);
    sc_core::wait(1, sc_core::SC_US);
    EXPECT_TRUE(noc.idle());
  });
}

}  // namespace
}  // namespace systole::memory
