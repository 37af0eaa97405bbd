#include "memory/crossbar.hpp"

#include <algorithm>
#include <string>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

namespace {

Topology topology_of(const configs::NocConfig& config, std::uint32_t endpoints) {
  SYSTOLE_CHECK(config.kind != configs::NocKind::none, "a network of no kind");
  return config.kind == configs::NocKind::mesh ? Topology::mesh(endpoints, config.columns)
                                               : Topology::crossbar(endpoints);
}

}  // namespace

Crossbar::Crossbar(const sc_core::sc_module_name& name, const configs::NocConfig& config,
                   ClockDomain clock, std::uint32_t initiators, std::uint32_t targets)
    : sc_core::sc_module(name),
      in("in"),
      out("out"),
      config_(config),
      clock_(clock),
      initiators_(initiators),
      targets_(targets),
      requests_(topology_of(config, initiators + targets), config.hop_cycles, config.queue,
                config.queue, initiators, config.arbitration),
      responses_(topology_of(config, initiators + targets), config.hop_cycles, config.queue,
                 config.queue, targets, config.arbitration),
      pairs_(std::size_t{initiators} * targets),
      delay_queue_(this, &Crossbar::delayed),
      wake_("wake") {
  in.init(pairs_.size());
  out.init(pairs_.size());
  for (std::size_t p = 0; p < pairs_.size(); ++p) {
    in[p].register_nb_transport_fw(this, &Crossbar::forward, static_cast<int>(p));
    out[p].register_nb_transport_bw(this, &Crossbar::backward, static_cast<int>(p));
  }
  SC_HAS_PROCESS(Crossbar);
  SC_METHOD(work);
  dont_initialize();
  sensitive << wake_;
}

/// The cycle whose edge is at or after the present: what comes between two edges is seen at the
/// next.
std::uint64_t Crossbar::now() const { return clock_.cycles_ceil(sc_core::sc_time_stamp()).count(); }

std::uint64_t Crossbar::flits(const Payload& payload, bool carries_data) const {
  return carries_data ? ceil_div(payload.get_data_length(), config_.link_bytes) : 1;
}

void Crossbar::send_request(std::uint32_t pair, Payload& payload) {
  const std::uint32_t i = initiator_of(pair), t = target_of(pair);
  travelling_[next_tag_] = &payload;
  requests_.send({i, endpoint_of_target(t), i, flits(payload, payload.is_write()), next_tag_++},
                 now());
}

void Crossbar::send_response(std::uint32_t pair, Payload& payload) {
  const std::uint32_t i = initiator_of(pair), t = target_of(pair);
  travelling_[next_tag_] = &payload;
  responses_.send({endpoint_of_target(t), i, t, flits(payload, payload.is_read()), next_tag_++},
                  now());
}

tlm::tlm_sync_enum Crossbar::forward(int index, Payload& payload, tlm::tlm_phase& phase,
                                     sc_core::sc_time& delay) {
  const auto p = static_cast<std::uint32_t>(index);
  if (delay != sc_core::SC_ZERO_TIME) {
    delayed_pairs_[&payload] = p;
    delay_queue_.notify(payload, phase, delay);
    return tlm::TLM_ACCEPTED;
  }
  if (ignorable(phase)) return tlm::TLM_ACCEPTED;
  Pair& pair = pairs_[p];
  if (phase == tlm::BEGIN_REQ) {
    SYSTOLE_CHECK(pair.asking == nullptr,
                  std::string(name()) + ": BEGIN_REQ before END_REQ of the last one");
    if (!requests_.has_room(initiator_of(p))) {
      pair.asking = &payload;
      ++held_;
      return tlm::TLM_ACCEPTED;
    }
    send_request(p, payload);
    schedule();
    phase = tlm::END_REQ;
    return tlm::TLM_UPDATED;
  }
  SYSTOLE_CHECK(phase == tlm::END_RESP && pair.responses.end(payload),
                std::string(name()) + ": a phase the base protocol does not allow here");
  response_taken(p);
  offer_responses(p);
  schedule();
  return tlm::TLM_COMPLETED;
}

/// A call annotated with a delay, at its time: the answer goes back on the other path.
void Crossbar::delayed(Payload& payload, const tlm::tlm_phase& phase) {
  const std::uint32_t p = delayed_pairs_.at(&payload);
  delayed_pairs_.erase(&payload);
  tlm::tlm_phase answer = phase;
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  if (forward(static_cast<int>(p), payload, answer, delay) == tlm::TLM_UPDATED) {
    in[p]->nb_transport_bw(payload, answer, delay);
  }
}

tlm::tlm_sync_enum Crossbar::backward(int index, Payload& payload, tlm::tlm_phase& phase,
                                      sc_core::sc_time& /*delay*/) {
  const auto p = static_cast<std::uint32_t>(index);
  if (ignorable(phase)) return tlm::TLM_ACCEPTED;
  Pair& pair = pairs_[p];
  // A response while its request is not yet ended ends it too.
  if (pair.requesting && pair.requests.front() == &payload) {
    pair.requesting = false;
    pair.requests.pop_front();
    --held_;
    requests_.taken(endpoint_of_target(target_of(p)), initiator_of(p), now());
    offer_requests(p);
  }
  if (phase == tlm::BEGIN_RESP) {
    const bool entered = answer(p, payload, true);
    schedule();
    return entered ? tlm::TLM_COMPLETED : tlm::TLM_ACCEPTED;
  }
  schedule();
  return tlm::TLM_ACCEPTED;
}

bool Crossbar::answer(std::uint32_t p, Payload& payload, bool open) {
  if (pairs_[p].answers.empty() && responses_.has_room(endpoint_of_target(target_of(p)))) {
    send_response(p, payload);
    return true;
  }
  pairs_[p].answers.push_back({&payload, open});
  ++held_;
  return false;
}

/// Hands arrived requests of a pair to its target, one at a time.
void Crossbar::offer_requests(std::uint32_t p) {
  Pair& pair = pairs_[p];
  while (!pair.requesting && !pair.requests.empty()) {
    Payload& payload = *pair.requests.front();
    pair.requesting = true;
    tlm::tlm_phase phase = tlm::BEGIN_REQ;
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    const tlm::tlm_sync_enum status = out[p]->nb_transport_fw(payload, phase, delay);
    if (status == tlm::TLM_ACCEPTED) return;  // END_REQ will come on the backward path
    pair.requesting = false;
    pair.requests.pop_front();
    --held_;
    requests_.taken(endpoint_of_target(target_of(p)), initiator_of(p), now());
    if (status == tlm::TLM_COMPLETED) {  // answered at once: an error response
      answer(p, payload, false);
    }
  }
}

/// Hands arrived responses of a pair to its initiator, one at a time.
void Crossbar::offer_responses(std::uint32_t p) {
  pairs_[p].responses.send(in[p], [this, p](Payload&) { response_taken(p); });
}

void Crossbar::response_taken(std::uint32_t p) {
  --held_;
  responses_.taken(initiator_of(p), target_of(p), now());
}

/// Payloads that found no room enter as soon as there is, sockets of an end point in turn.
void Crossbar::admit() {
  const std::uint32_t first_target = next_target_, first_initiator = next_initiator_;
  for (std::uint32_t i = 0; i < initiators_; ++i) {
    for (std::uint32_t n = 0; n < targets_ && requests_.has_room(i); ++n) {
      const std::uint32_t p = i * targets_ + (first_target + n) % targets_;
      if (pairs_[p].asking == nullptr) continue;
      Payload& payload = *pairs_[p].asking;
      pairs_[p].asking = nullptr;
      --held_;
      next_target_ = (target_of(p) + 1) % targets_;
      send_request(p, payload);
      tlm::tlm_phase phase = tlm::END_REQ;
      sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
      in[p]->nb_transport_bw(payload, phase, delay);
    }
  }
  for (std::uint32_t t = 0; t < targets_; ++t) {
    for (std::uint32_t n = 0; n < initiators_ && responses_.has_room(endpoint_of_target(t)); ++n) {
      const std::uint32_t p = (first_initiator + n) % initiators_ * targets_ + t;
      if (pairs_[p].answers.empty()) continue;
      const Answer waiting = pairs_[p].answers.front();
      Payload& payload = *waiting.payload;
      pairs_[p].answers.pop_front();
      --held_;
      next_initiator_ = (initiator_of(p) + 1) % initiators_;
      send_response(p, payload);
      if (!waiting.open) continue;
      tlm::tlm_phase phase = tlm::END_RESP;
      sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
      out[p]->nb_transport_fw(payload, phase, delay);
    }
  }
}

void Crossbar::work() {
  working_ = true;
  const std::uint64_t cycle = now();
  requests_.advance(cycle);
  responses_.advance(cycle);
  while (const auto packet = requests_.next_delivery()) {
    const std::uint32_t p = packet->source * targets_ + (packet->target - initiators_);
    pairs_[p].requests.push_back(travelling_.at(packet->tag));
    travelling_.erase(packet->tag);
    ++held_;
    offer_requests(p);
  }
  while (const auto packet = responses_.next_delivery()) {
    const std::uint32_t p = packet->target * targets_ + (packet->source - initiators_);
    pairs_[p].responses.push(*travelling_.at(packet->tag));
    travelling_.erase(packet->tag);
    ++held_;
    offer_responses(p);
  }
  admit();
  working_ = false;
  schedule();
}

/// Wakes at the switches' next event.
void Crossbar::schedule() {
  if (working_) return;
  const std::uint64_t next = std::min(requests_.next(), responses_.next());
  if (next == PacketSwitch::kIdle) return;
  notify_at(wake_, clock_.time(Cycles(next)).value());
}

void Crossbar::restart() {
  SYSTOLE_CHECK(idle(), std::string(name()) + ": restart with packets in it");
  requests_.restart();
  responses_.restart();
  next_initiator_ = next_target_ = 0;
}

}  // namespace systole::memory
