// The DRAM module under initiators that know nothing of Systole: base-protocol AT and LT masters as
// a third party writes them, with a checker of the protocol's rules between them and the target
// (IEEE 1666-2011, clauses 14.7 to 14.20 for the payload, 15.2 for the phases).
#include <gtest/gtest.h>
#include <tlm_utils/peq_with_cb_and_phase.h>
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <tlm_utils/tlm_quantumkeeper.h>

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "devices.hpp"
#include "memory/dram.hpp"
#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

using sc_core::sc_time;
using tlm::tlm_generic_payload;
using tlm::tlm_phase;
using tlm::tlm_sync_enum;

DECLARE_EXTENDED_PHASE(BENCH_MARK);

/// An extension that only the bench knows.
struct Colour : tlm::tlm_extension<Colour> {
  int value = 7;
  tlm::tlm_extension_base* clone() const override { return new Colour(*this); }
  void copy_from(const tlm::tlm_extension_base& other) override {
    value = static_cast<const Colour&>(other).value;
  }
};

/// Passes everything on and complains of what the base protocol forbids.
class Checker : public sc_core::sc_module {
 public:
  tlm_utils::simple_target_socket<Checker> target;
  tlm_utils::simple_initiator_socket<Checker> initiator;

  explicit Checker(const sc_core::sc_module_name& name)
      : sc_core::sc_module(name), target("target"), initiator("initiator") {
    target.register_nb_transport_fw(this, &Checker::forward);
    initiator.register_nb_transport_bw(this, &Checker::backward);
  }
  std::size_t open() const { return open_.size(); }
  std::size_t transactions() const { return transactions_; }

 private:
  /// What a target may not change.
  struct Attributes {
    tlm::tlm_command command;
    std::uint64_t address;
    unsigned length, streaming;
    unsigned char *data, *enables;
    explicit Attributes(const tlm_generic_payload& p)
        : command(p.get_command()),
          address(p.get_address()),
          length(p.get_data_length()),
          streaming(p.get_streaming_width()),
          data(p.get_data_ptr()),
          enables(p.get_byte_enable_ptr()) {}
    bool operator==(const Attributes&) const = default;
  };

  tlm_sync_enum forward(tlm_generic_payload& p, tlm_phase& phase, sc_time& delay) {
    const tlm_phase asked = phase;
    const sc_time annotated = delay;
    if (asked == tlm::BEGIN_REQ) {
      EXPECT_EQ(request_, nullptr) << "the bench broke the request rule";
      EXPECT_TRUE(open_.emplace(&p, Attributes(p)).second) << "a payload used twice at a time";
      request_ = &p;
      ++transactions_;
    }
    if (asked == tlm::END_RESP) {
      EXPECT_EQ(response_, &p) << "END_RESP of no response";
      end(p);
    }
    const tlm_sync_enum status = initiator->nb_transport_fw(p, phase, delay);
    if (status == tlm::TLM_ACCEPTED) {
      EXPECT_EQ(phase, asked) << "TLM_ACCEPTED with another phase";
      EXPECT_EQ(delay, annotated) << "TLM_ACCEPTED with another delay";
    } else if (asked == tlm::BEGIN_REQ) {
      EXPECT_GE(delay, annotated);
      request_ = nullptr;
      if (status == tlm::TLM_COMPLETED) {
        EXPECT_NE(p.get_response_status(), tlm::TLM_INCOMPLETE_RESPONSE);
        close(p);
      } else {
        EXPECT_EQ(phase, tlm::END_REQ);  // BEGIN_RESP would be legal; this target never does it
      }
    } else if (asked == tlm::END_RESP) {
      EXPECT_EQ(status, tlm::TLM_COMPLETED);
    } else {
      ADD_FAILURE() << "an ignorable phase was answered with " << status;
    }
    return status;
  }

  tlm_sync_enum backward(tlm_generic_payload& p, tlm_phase& phase, sc_time& delay) {
    const auto at = open_.find(&p);
    EXPECT_NE(at, open_.end()) << "a payload that is not under way";
    if (phase == tlm::END_REQ) {
      EXPECT_EQ(request_, &p) << "END_REQ of no request";
      request_ = nullptr;
      return target->nb_transport_bw(p, phase, delay);
    }
    EXPECT_EQ(phase, tlm::BEGIN_RESP) << "a phase no target may send";
    EXPECT_EQ(response_, nullptr) << "the target broke the response rule";
    EXPECT_NE(p.get_response_status(), tlm::TLM_INCOMPLETE_RESPONSE);
    if (request_ == &p) request_ = nullptr;  // END_REQ is implied
    response_ = &p;
    const tlm_sync_enum status = target->nb_transport_bw(p, phase, delay);
    if (status != tlm::TLM_ACCEPTED) end(p);
    return status;
  }

  void end(tlm_generic_payload& p) {
    response_ = nullptr;
    close(p);
  }
  void close(tlm_generic_payload& p) {
    const auto at = open_.find(&p);
    if (at == open_.end()) return;
    EXPECT_TRUE(at->second == Attributes(p)) << "the target changed an attribute";
    open_.erase(at);
  }

  std::map<tlm_generic_payload*, Attributes> open_;
  tlm_generic_payload *request_ = nullptr, *response_ = nullptr;
  std::size_t transactions_ = 0;
};

/// Counts what is out.
class Memory : public tlm::tlm_mm_interface {
 public:
  tlm_generic_payload& take() {
    ++out_;
    all_.push_back(std::make_unique<tlm_generic_payload>(this));
    all_.back()->acquire();
    return *all_.back();
  }
  void free(tlm_generic_payload* p) override {
    p->reset();  // deletes extensions set to go with the payload
    --out_;
  }
  int out() const { return out_; }

 private:
  std::vector<std::unique_ptr<tlm_generic_payload>> all_;
  int out_ = 0;
};

struct Habits {
  std::uint64_t seed = 1;
  unsigned transactions = 200;
  bool delays = true;    ///< annotates calls
  bool extended = true;  ///< its own extension and its own phase
};

/// Four phases, in order, as many outstanding as the target takes; ends responses in each of the
/// three ways the protocol has.
class Pipelined : public sc_core::sc_module {
 public:
  tlm_utils::simple_initiator_socket<Pipelined> socket;
  std::vector<sc_time> responses;

  Pipelined(const sc_core::sc_module_name& name, const Habits& habits)
      : sc_core::sc_module(name),
        socket("socket"),
        habits_(habits),
        random_(habits.seed),
        endings_(habits.seed + 1),
        later_(this, &Pipelined::send_later) {
    socket.register_nb_transport_bw(this, &Pipelined::backward);
    SC_HAS_PROCESS(Pipelined);
    SC_THREAD(run);
  }
  int out() const { return memory_.out(); }

 private:
  void run() {
    for (unsigned i = 0; i < habits_.transactions; ++i) {
      tlm_generic_payload& p = memory_.take();
      const auto length = static_cast<unsigned>(random_.uniform(1, 8192));
      p.set_command(random_.uniform(0, 2) == 0 ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
      p.set_address(static_cast<std::uint64_t>(random_.uniform(0, 1 << 28)));
      p.set_data_ptr(data_.data());
      p.set_data_length(length);
      p.set_streaming_width(length);
      p.set_byte_enable_ptr(nullptr);
      p.set_dmi_allowed(false);
      p.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
      if (habits_.extended) p.set_auto_extension(new Colour);
      const auto gap =
          static_cast<double>(random_.uniform(0, 3) == 0 ? random_.uniform(0, 500) : 0);
      const auto ahead = static_cast<double>(random_.uniform(0, 40));
      if (gap > 0) wait(gap, sc_core::SC_NS);
      if (habits_.extended) {
        tlm_phase mark = BENCH_MARK;
        sc_time none;
        EXPECT_EQ(socket->nb_transport_fw(p, mark, none), tlm::TLM_ACCEPTED);
      }
      tlm_phase phase = tlm::BEGIN_REQ;
      sc_time delay(habits_.delays ? ahead : 0.0, sc_core::SC_NS);
      accepted_ = false;
      current_ = &p;
      const tlm_sync_enum status = socket->nb_transport_fw(p, phase, delay);
      if (status == tlm::TLM_COMPLETED) {
        p.release();
        continue;
      }
      if (status == tlm::TLM_UPDATED) {
        wait(delay);
        continue;
      }
      while (!accepted_) wait(request_ended_);
    }
  }

  tlm_sync_enum backward(tlm_generic_payload& p, tlm_phase& phase, sc_time& delay) {
    if (phase == tlm::END_REQ) {
      accept();
      return tlm::TLM_ACCEPTED;
    }
    if (&p == current_) accept();  // where it is implied
    EXPECT_TRUE(p.is_response_ok());
    responses.push_back(sc_core::sc_time_stamp() + delay);
    switch (habits_.delays ? endings_.uniform(0, 2) : 0) {
      case 0:
        p.release();
        return tlm::TLM_COMPLETED;
      case 1:
        phase = tlm::END_RESP;
        delay += sc_time(3, sc_core::SC_NS);
        p.release();
        return tlm::TLM_UPDATED;
      default: {
        tlm_phase end = tlm::END_RESP;
        later_.notify(p, end, sc_time(7, sc_core::SC_NS));
        return tlm::TLM_ACCEPTED;
      }
    }
  }
  void accept() {
    accepted_ = true;
    request_ended_.notify(sc_core::SC_ZERO_TIME);
  }
  void send_later(tlm_generic_payload& p, const tlm_phase& phase) {
    tlm_phase end = phase;
    sc_time none;
    socket->nb_transport_fw(p, end, none);
    p.release();
  }

  Habits habits_;
  Random random_, endings_;
  Memory memory_;
  std::array<unsigned char, 8192> data_{};
  tlm_utils::peq_with_cb_and_phase<Pipelined> later_;
  tlm_generic_payload* current_ = nullptr;  ///< the last one sent
  bool accepted_ = false;
  sc_core::sc_event request_ended_;
};

/// Loosely timed: blocking calls from a thread that runs ahead by a quantum.
class Decoupled : public sc_core::sc_module {
 public:
  tlm_utils::simple_initiator_socket<Decoupled> socket;
  unsigned done = 0;
  sc_time busy;

  explicit Decoupled(const sc_core::sc_module_name& name)
      : sc_core::sc_module(name), socket("socket") {
    SC_HAS_PROCESS(Decoupled);
    SC_THREAD(run);
  }

 private:
  void run() {
    tlm_utils::tlm_quantumkeeper keeper;
    tlm_utils::tlm_quantumkeeper::set_global_quantum(sc_time(1, sc_core::SC_US));
    keeper.reset();
    Random random(3);
    std::array<unsigned char, 4096> data{};
    tlm_generic_payload p;  // one for all, on the stack, without a memory manager
    for (unsigned i = 0; i < 100; ++i) {
      const auto length = static_cast<unsigned>(random.uniform(1, 4096));
      p.set_command(i % 3 == 0 ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
      p.set_address(static_cast<std::uint64_t>(random.uniform(0, 1 << 26)));
      p.set_data_ptr(data.data());
      p.set_data_length(length);
      p.set_streaming_width(length);
      p.set_byte_enable_ptr(nullptr);
      p.set_dmi_allowed(false);
      p.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
      sc_time local = keeper.get_local_time();
      const sc_time before = sc_core::sc_time_stamp() + local;
      socket->b_transport(p, local);
      const sc_time after = sc_core::sc_time_stamp() + local;
      EXPECT_TRUE(p.is_response_ok());
      EXPECT_FALSE(p.is_dmi_allowed());
      EXPECT_GT(after, before);
      busy += after - before;
      keeper.set(local + sc_time(20, sc_core::SC_NS));  // its own work
      if (keeper.need_sync()) keeper.sync();
      EXPECT_EQ(socket->transport_dbg(p), 0u);  // there is no data to look at
      tlm::tlm_dmi dmi;
      EXPECT_FALSE(socket->get_direct_mem_ptr(p, dmi));
      ++done;
    }
  }
};

TEST(TlmConformance, PipelinedInitiatorsKeepToTheProtocolAndGetEverythingBack) {
  Dram dram("dram", ddr4_3200(), 3);
  std::vector<std::unique_ptr<Pipelined>> initiators;
  std::vector<std::unique_ptr<Checker>> checkers;
  for (unsigned i = 0; i < 3; ++i) {
    const Habits habits{.seed = 10 + i};
    initiators.push_back(
        std::make_unique<Pipelined>(("initiator" + std::to_string(i)).c_str(), habits));
    checkers.push_back(std::make_unique<Checker>(("checker" + std::to_string(i)).c_str()));
    initiators[i]->socket.bind(checkers[i]->target);
    checkers[i]->initiator.bind(dram.ports[i]);
  }
  sc_core::sc_start();
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_EQ(checkers[i]->transactions(), 200u);
    EXPECT_EQ(checkers[i]->open(), 0u);
    EXPECT_EQ(initiators[i]->responses.size(), 200u);
    EXPECT_EQ(initiators[i]->out(), 0) << "a payload that was not released";
  }
  EXPECT_TRUE(dram.idle());
}

TEST(TlmConformance, WhatItDoesNotKnowChangesNothing) {
  Dram plain_dram("plain_dram", ddr4_3200()), extended_dram("extended_dram", ddr4_3200());
  Pipelined plain("plain", {.delays = false, .extended = false});
  Pipelined extended("extended", {.delays = false, .extended = true});
  plain.socket.bind(plain_dram.ports[0]);
  extended.socket.bind(extended_dram.ports[0]);
  sc_core::sc_start();
  EXPECT_EQ(plain.responses, extended.responses);
}

TEST(TlmConformance, ALooselyTimedInitiatorMayRunAhead) {
  Dram dram("dram", ddr4_3200(), 2);
  Decoupled decoupled("decoupled");
  Pipelined pipelined("pipelined", {.seed = 5});
  Checker checker("checker");
  decoupled.socket.bind(dram.ports[0]);
  pipelined.socket.bind(checker.target);
  checker.initiator.bind(dram.ports[1]);
  sc_core::sc_start();
  EXPECT_EQ(decoupled.done, 100u);
  EXPECT_GT(decoupled.busy, sc_core::SC_ZERO_TIME);
  EXPECT_EQ(pipelined.out(), 0);
}

/// Requests that no memory without data can serve: refused in both styles, and what follows goes
/// on.
class Demanding : public sc_core::sc_module {
 public:
  tlm_utils::simple_initiator_socket<Demanding> socket;
  std::vector<tlm::tlm_response_status> blocking, delayed;

  explicit Demanding(const sc_core::sc_module_name& name)
      : sc_core::sc_module(name), socket("socket") {
    socket.register_nb_transport_bw(this, &Demanding::backward);
    SC_HAS_PROCESS(Demanding);
    SC_THREAD(run);
  }

 private:
  void run() {
    unsigned char enable = 0xff;
    const auto each = [&](const auto& send) {
      tlm_generic_payload p;
      const auto ask = [&](tlm::tlm_command command, unsigned length, unsigned streaming,
                           unsigned char* enables) {
        p.set_command(command);
        p.set_address(64);
        p.set_data_length(length);
        p.set_streaming_width(streaming);
        p.set_byte_enable_ptr(enables);
        p.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
        send(p);
      };
      ask(tlm::TLM_IGNORE_COMMAND, 64, 64, nullptr);
      ask(tlm::TLM_READ_COMMAND, 0, 64, nullptr);
      ask(tlm::TLM_READ_COMMAND, 64, 16, nullptr);
      ask(tlm::TLM_READ_COMMAND, 64, 64, &enable);
      ask(tlm::TLM_READ_COMMAND, 64, 64, nullptr);
    };
    each([&](tlm_generic_payload& p) {
      sc_time none;
      socket->b_transport(p, none);
      blocking.push_back(p.get_response_status());
    });
    each([&](tlm_generic_payload& p) {
      tlm_phase phase = tlm::BEGIN_REQ;
      sc_time delay(5, sc_core::SC_NS);
      answered_ = false;
      const auto status = socket->nb_transport_fw(p, phase, delay);
      EXPECT_EQ(status, tlm::TLM_ACCEPTED);
      while (!answered_) wait(answer_);
      delayed.push_back(p.get_response_status());
      tlm_phase end = tlm::END_RESP;
      sc_time none;
      EXPECT_EQ(socket->nb_transport_fw(p, end, none), tlm::TLM_COMPLETED);
    });
  }
  tlm_sync_enum backward(tlm_generic_payload&, tlm_phase& phase, sc_time&) {
    if (phase == tlm::BEGIN_RESP) {
      answered_ = true;
      answer_.notify(sc_core::SC_ZERO_TIME);
    }
    return tlm::TLM_ACCEPTED;
  }
  bool answered_ = false;
  sc_core::sc_event answer_;
};

TEST(TlmConformance, RefusalsAreTheProtocolsOwnInBothStyles) {
  Dram dram("dram", ddr4_3200());
  Demanding demanding("demanding");
  demanding.socket.bind(dram.ports[0]);
  sc_core::sc_start();
  const std::vector<tlm::tlm_response_status> expected = {
      tlm::TLM_COMMAND_ERROR_RESPONSE, tlm::TLM_BURST_ERROR_RESPONSE, tlm::TLM_BURST_ERROR_RESPONSE,
      tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE, tlm::TLM_OK_RESPONSE};
  EXPECT_EQ(demanding.blocking, expected);
  EXPECT_EQ(demanding.delayed, expected);
  EXPECT_TRUE(dram.idle());
}

}  // namespace
}  // namespace systole::memory
