// The DRAM module as a TLM-2.0 target: phases, back-pressure, exact times, blocking transport.
#include "memory/dram.hpp"

#include <gmock/gmock.h>
#include <tlm_utils/simple_initiator_socket.h>

#include <cmath>
#include <memory>
#include <vector>

#include "devices.hpp"
#include "memory/traffic_extension.hpp"

namespace systole::memory {
namespace {

using sc_core::sc_time;

/// A simple AT initiator: one socket, requests in order, records every phase with its time.
class Initiator : public sc_core::sc_module {
 public:
  tlm_utils::simple_initiator_socket<Initiator> socket;

  struct Sent {
    tlm::tlm_generic_payload payload;
    sc_time begin_req, end_req, begin_resp;
    bool accepted = false, done = false;
  };

  explicit Initiator(const sc_core::sc_module_name& name, bool explicit_end_resp = false)
      : sc_core::sc_module(name), socket("socket"), explicit_end_resp_(explicit_end_resp) {
    socket.register_nb_transport_bw(this, &Initiator::nb_transport_bw);
    SC_HAS_PROCESS(Initiator);
    SC_THREAD(run);
    SC_METHOD(end_responses);
    dont_initialize();
    sensitive << end_resp_;
  }
  ~Initiator() override {
    for (auto& sent : sent_) sent->payload.clear_extension(&extension_);
  }

  void add(bool write, std::uint64_t address, unsigned bytes, sc_time annotated = {}) {
    auto sent = std::make_unique<Sent>();
    sent->payload.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
    sent->payload.set_address(address);
    sent->payload.set_data_length(bytes);
    sent->payload.set_streaming_width(bytes);
    sent->payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    sent->payload.set_extension(&extension_);
    sent_.push_back(std::move(sent));
    annotated_ = annotated;
  }
  const Sent& sent(std::size_t i) const { return *sent_[i]; }
  std::size_t held_back() const { return held_back_; }

 private:
  void run() {
    for (auto& sent : sent_) {
      sent->begin_req = sc_core::sc_time_stamp();
      tlm::tlm_phase phase = tlm::BEGIN_REQ;
      sc_time delay = annotated_;
      const auto status = socket->nb_transport_fw(sent->payload, phase, delay);
      if (status == tlm::TLM_COMPLETED) {
        sent->accepted = sent->done = true;
      } else if (status == tlm::TLM_UPDATED) {
        EXPECT_EQ(phase, tlm::END_REQ);
        accept(*sent);
      } else {
        ++held_back_;
        while (!sent->accepted) wait(accepted_);
      }
    }
  }
  void accept(Sent& sent) {
    sent.accepted = true;
    sent.end_req = sc_core::sc_time_stamp();
    accepted_.notify(sc_core::SC_ZERO_TIME);
  }
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                     sc_time& /*delay*/) {
    for (auto& sent : sent_) {
      if (&sent->payload != &payload) continue;
      if (phase == tlm::END_REQ) {
        EXPECT_FALSE(sent->accepted);
        accept(*sent);
        return tlm::TLM_ACCEPTED;
      }
      EXPECT_EQ(phase, tlm::BEGIN_RESP);
      EXPECT_FALSE(responding_) << "a second response before END_RESP";
      if (!sent->accepted) accept(*sent);
      sent->done = true;
      sent->begin_resp = sc_core::sc_time_stamp();
      if (!explicit_end_resp_) return tlm::TLM_COMPLETED;
      responding_ = &payload;
      end_resp_.notify(100, sc_core::SC_NS);
      return tlm::TLM_ACCEPTED;
    }
    ADD_FAILURE() << "a payload we never sent";
    return tlm::TLM_ACCEPTED;
  }
  void end_responses() {
    tlm::tlm_phase phase = tlm::END_RESP;
    sc_time delay;
    tlm::tlm_generic_payload* payload = responding_;
    responding_ = nullptr;
    EXPECT_EQ(socket->nb_transport_fw(*payload, phase, delay), tlm::TLM_COMPLETED);
  }

  TrafficExtension extension_;
  std::vector<std::unique_ptr<Sent>> sent_;
  sc_time annotated_;
  sc_core::sc_event accepted_, end_resp_;
  tlm::tlm_generic_payload* responding_ = nullptr;
  bool explicit_end_resp_;
  std::size_t held_back_ = 0;
};

sc_time clocks(const configs::DramConfig& c, double n) {
  return sc_time(n * 1e3 / c.clock_mhz, sc_core::SC_NS);
}

TEST(Dram, AnIdleReadRespondsAfterItsClosedFormLatency) {
  const auto c = ddr4_3200();
  Dram dram("dram", c);
  Initiator initiator("initiator");
  initiator.socket.bind(dram.ports[0]);
  initiator.add(false, 0, 64);
  sc_core::sc_start();
  EXPECT_EQ(initiator.sent(0).end_req, sc_core::SC_ZERO_TIME);
  EXPECT_EQ(initiator.sent(0).begin_resp, clocks(c, 22 + 22 + 4));
  EXPECT_TRUE(initiator.sent(0).payload.is_response_ok());
  EXPECT_TRUE(dram.idle());
}

TEST(Dram, AcceptanceIsWithheldWhileTheQueueIsFull) {
  auto c = ddr4_3200();
  c.controller.release = configs::WindowRelease::column;
  Dram dram("dram", c);
  Initiator initiator("initiator");
  initiator.socket.bind(dram.ports[0]);
  for (unsigned i = 0; i < 16; ++i) initiator.add(false, i * 2048, 2048);  // 32 bursts: the queue
  sc_core::sc_start();
  EXPECT_EQ(initiator.held_back(), 15u);
  EXPECT_EQ(initiator.sent(0).end_req, sc_core::SC_ZERO_TIME);
  // The second request's last burst enters when the first request's 32 have all left: 31 spacings
  // of tCCD_S after the first column command at tRCD, visible the clock after.
  EXPECT_EQ(initiator.sent(1).end_req, clocks(c, 22 + 31 * 4 + 1));
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_TRUE(initiator.sent(i).done);
    EXPECT_LE(initiator.sent(i).end_req, initiator.sent(i).begin_resp);
    if (i > 0) {
      EXPECT_GE(initiator.sent(i).begin_req, initiator.sent(i - 1).end_req);
    }
  }
}

TEST(Dram, ASecondResponseWaitsForEndRespOfTheFirst) {
  const auto c = ddr4_3200();
  Dram dram("dram", c);
  Initiator initiator("initiator", /*explicit_end_resp=*/true);
  initiator.socket.bind(dram.ports[0]);
  for (unsigned i = 0; i < 4; ++i) initiator.add(false, i * 64, 64);
  sc_core::sc_start();
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(initiator.sent(i).begin_resp - initiator.sent(i - 1).begin_resp,
              sc_time(100, sc_core::SC_NS));
  }
}

TEST(Dram, AnAnnotatedDelayIsServedAtItsTime) {
  const auto c = ddr4_3200();
  Dram dram("dram", c);
  Initiator initiator("initiator");
  initiator.socket.bind(dram.ports[0]);
  initiator.add(false, 0, 64, clocks(c, 16));
  sc_core::sc_start();
  EXPECT_EQ(initiator.sent(0).end_req, clocks(c, 16));
  EXPECT_EQ(initiator.sent(0).begin_resp, clocks(c, 16 + 48));
}

TEST(Dram, RequestsItCannotServeGetTheProtocolsErrors) {
  const auto c = ddr4_3200();
  Dram dram("dram", c);
  Initiator initiator("initiator");
  initiator.socket.bind(dram.ports[0]);
  initiator.add(false, 0, 0);
  initiator.add(false, ~0ull, 64);
  sc_core::sc_start();
  EXPECT_EQ(initiator.sent(0).payload.get_response_status(), tlm::TLM_BURST_ERROR_RESPONSE);
  EXPECT_EQ(initiator.sent(1).payload.get_response_status(), tlm::TLM_BURST_ERROR_RESPONSE);
}

struct Blocking : sc_core::sc_module {
  tlm_utils::simple_initiator_socket<Blocking> socket;
  std::vector<sc_time> done;
  explicit Blocking(const sc_core::sc_module_name& name)
      : sc_core::sc_module(name), socket("socket") {
    SC_HAS_PROCESS(Blocking);
    SC_THREAD(run);
  }
  void run() {
    tlm::tlm_generic_payload payload;
    for (unsigned i = 0; i < 3; ++i) {
      payload.set_command(tlm::TLM_READ_COMMAND);
      payload.set_address(i * 64);
      payload.set_data_length(64);
      payload.set_streaming_width(64);
      payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
      sc_time delay;
      socket->b_transport(payload, delay);
      EXPECT_TRUE(payload.is_response_ok());
      EXPECT_EQ(delay, sc_core::SC_ZERO_TIME);
      done.push_back(sc_core::sc_time_stamp());
    }
  }
};

TEST(Dram, BlockingTransportTakesTheSameTimeAsTheFourPhases) {
  const auto c = ddr4_3200();
  Dram dram("dram", c);
  Blocking initiator("initiator");
  initiator.socket.bind(dram.ports[0]);
  sc_core::sc_start();
  EXPECT_EQ(initiator.done[0], clocks(c, 48));
  EXPECT_EQ(initiator.done[1], clocks(c, 48 + 26));  // row hits
  EXPECT_EQ(initiator.done[2], clocks(c, 48 + 26 + 26));
}

TEST(MemoryClock, EdgesAreExactMonotoneAndInvertible) {
  for (const double mhz : {1600.0, 1e3 / 0.416, 1e3 / 0.57, 800.0, 1000.0, 933.33}) {
    MemoryClock clock(mhz);
    const double ticks = 1e-6 / mhz / sc_core::sc_get_time_resolution().to_seconds();
    std::uint64_t previous = 0;
    for (Clock n :
         {0ull, 1ull, 2ull, 3ull, 7ull, 1000ull, 999'983ull, 123'456'789ull, 10'000'000'019ull}) {
      const sc_time time = clock.time(n);
      EXPECT_NEAR(static_cast<double>(time.value()), static_cast<double>(n) * ticks, 0.5001) << mhz;
      EXPECT_GE(time.value(), previous);
      previous = time.value();
      EXPECT_EQ(clock.at_or_before(time), n);
      EXPECT_EQ(clock.at_or_after(time), n);
      EXPECT_EQ(clock.at_or_after(sc_time::from_value(time.value() + 1)), n + 1);
      if (n > 0) {
        EXPECT_EQ(clock.at_or_before(sc_time::from_value(time.value() - 1)), n - 1);
      }
    }
    clock.restart(sc_time::from_value(12345));
    EXPECT_EQ(clock.at_or_after(sc_time::from_value(12345)), 0u);
    EXPECT_EQ(clock.time(0).value(), 12345u);
  }
}

}  // namespace
}  // namespace systole::memory
