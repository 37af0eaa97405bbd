#include "memory/cache.hpp"

#include <algorithm>
#include <bit>
#include <string>

#include "memory/traffic_extension.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {

using configs::CacheReplacement;

CacheDirectory::CacheDirectory(std::uint64_t lines, std::uint32_t ways,
                               CacheReplacement replacement)
    : ways_(ways),
      sets_(ways == 0 ? 0 : lines / ways),
      replacement_(replacement),
      lines_(lines),
      used_(lines) {
  SYSTOLE_CHECK(sets_ > 0 && lines % ways == 0, "a cache of no whole sets");
  if (replacement == CacheReplacement::plru) {
    SYSTOLE_CHECK(std::has_single_bit(ways), "a tree of bits over ways that are no power of two");
    points_.resize(sets_ * (ways - 1));
  }
}

const CacheDirectory::Line* CacheDirectory::find(std::uint64_t line) const {
  const Line* const set = &lines_[set_of(line) * ways_];
  const Line* const found =
      std::find_if(set, set + ways_, [&](const Line& l) { return l.valid && l.number == line; });
  return found == set + ways_ ? nullptr : found;
}

/// Marks a way as used last: its time, or every node above it pointing to the other half.
void CacheDirectory::use(std::uint64_t set, std::uint32_t way) {
  if (replacement_ == CacheReplacement::lru) {
    used_[set * ways_ + way] = ++now_;
    return;
  }
  std::uint32_t node = 0;
  for (std::uint32_t half = ways_ / 2; half > 0; half /= 2) {
    const bool right = (way & half) != 0;
    points_[set * (ways_ - 1) + node] = right ? 0 : 1;
    node = 2 * node + (right ? 2 : 1);
  }
}

std::uint32_t CacheDirectory::victim(std::uint64_t set) const {
  for (std::uint32_t way = 0; way < ways_; ++way) {
    if (!lines_[set * ways_ + way].valid) return way;
  }
  if (replacement_ == CacheReplacement::lru) {
    const auto first = used_.begin() + static_cast<std::ptrdiff_t>(set * ways_);
    return static_cast<std::uint32_t>(std::min_element(first, first + ways_) - first);
  }
  std::uint32_t node = 0, way = 0;
  for (std::uint32_t half = ways_ / 2; half > 0; half /= 2) {
    const bool right = points_[set * (ways_ - 1) + node] != 0;
    if (right) way |= half;
    node = 2 * node + (right ? 2 : 1);
  }
  return way;
}

bool CacheDirectory::touch(std::uint64_t line, bool dirty) {
  const Line* const found = find(line);
  if (found == nullptr) return false;
  const auto index = static_cast<std::size_t>(found - lines_.data());
  lines_[index].dirty |= dirty;
  use(index / ways_, static_cast<std::uint32_t>(index % ways_));
  return true;
}

std::optional<CacheDirectory::Line> CacheDirectory::allocate(std::uint64_t line,
                                                             TrafficClass traffic, bool dirty) {
  SYSTOLE_CHECK(!contains(line), "a line brought in twice");
  const std::uint64_t set = set_of(line);
  const std::uint32_t way = victim(set);
  Line& place = lines_[set * ways_ + way];
  const Line before = place;
  place = {line, traffic, true, dirty};
  use(set, way);
  return before.valid ? std::optional(before) : std::nullopt;
}

std::vector<CacheDirectory::Line> CacheDirectory::clear() {
  std::vector<Line> dirty;
  for (Line& line : lines_) {
    if (line.valid && line.dirty) dirty.push_back(line);
    line = {};
  }
  std::ranges::fill(used_, 0);
  std::ranges::fill(points_, std::uint8_t{0});
  now_ = 0;
  return dirty;
}

struct Cache::Own : Payload {
  Own() : tag(new TrafficExtension) {
    set_extension(tag);  // owned and deleted by the payload
  }
  TrafficExtension* tag;
  std::uint64_t line = 0;
};

Cache::Cache(const sc_core::sc_module_name& name, const configs::CacheConfig& config,
             std::uint64_t capacity_bytes, ClockDomain clock, std::uint32_t ports)
    : sc_core::sc_module(name),
      in("in"),
      out("out"),
      config_(config),
      clock_(clock),
      fills_(ports),
      write_backs_(ports + 1),
      directory_(capacity_bytes / config.line_bytes, config.ways, config.replacement),
      ports_(ports + 2),
      arrived_("arrived"),
      mshr_freed_("mshr_freed"),
      due_("due"),
      emptied_("emptied") {
  in.init(ports);
  out.init(ports + 2);
  for (std::uint32_t p = 0; p < ports; ++p) {
    in[p].register_nb_transport_fw(this, &Cache::forward, static_cast<int>(p));
  }
  for (std::uint32_t p = 0; p < ports + 2; ++p) {
    out[p].register_nb_transport_bw(this, &Cache::backward, static_cast<int>(p));
  }
  SC_HAS_PROCESS(Cache);
  SC_THREAD(serve);
  SC_METHOD(respond);
  dont_initialize();
  sensitive << due_;
}

Cache::~Cache() = default;

bool Cache::cached(const Payload& payload) const {
  const auto* tag = payload.get_extension<TrafficExtension>();
  switch (tag != nullptr ? tag->traffic : TrafficClass::weights) {
    case TrafficClass::weights:
      return config_.weights;
    case TrafficClass::activations:
      return config_.activations;
    case TrafficClass::kv_cache:
      return config_.kv_cache;
  }
  return false;
}

tlm::tlm_sync_enum Cache::forward(int index, Payload& payload, tlm::tlm_phase& phase,
                                  sc_core::sc_time& delay) {
  const auto p = static_cast<std::uint32_t>(index);
  Port& port = ports_[p];
  SYSTOLE_CHECK(delay == sc_core::SC_ZERO_TIME,
                std::string(name()) + ": a call annotated with a delay");
  if (phase == tlm::BEGIN_REQ) {
    // Engines bound how much is in flight, so every request is taken at once.
    ++open_;
    if (cached(payload)) {
      waiting_.push_back(std::make_shared<Request>(Request{&payload, p, 1}));
      arrived_.notify(sc_core::SC_ZERO_TIME);
    } else {
      send_onward(p, payload);
    }
    phase = tlm::END_REQ;
    return tlm::TLM_UPDATED;
  }
  if (ignorable(phase)) return tlm::TLM_ACCEPTED;
  SYSTOLE_CHECK(phase == tlm::END_RESP && port.responses.end(payload),
                std::string(name()) + ": a phase the base protocol does not allow here");
  --open_;
  offer(p);
  return tlm::TLM_COMPLETED;
}

/// Looks requests up in order, a line a cycle.
void Cache::serve() {
  for (;;) {
    while (waiting_.empty()) sc_core::wait(arrived_);
    const std::shared_ptr<Request> request = waiting_.front();
    waiting_.pop_front();
    const std::uint64_t line_bytes = config_.line_bytes;
    const std::uint64_t first = request->payload->get_address();
    const std::uint64_t end = first + request->payload->get_data_length();
    for (std::uint64_t line = first / line_bytes; line * line_bytes < end; ++line) {
      sc_core::wait(clock_.period());
      look_up(request, line, first <= line * line_bytes && (line + 1) * line_bytes <= end);
    }
    line_arrived(request);  // all looked up
  }
}

void Cache::look_up(const std::shared_ptr<Request>& request, std::uint64_t line, bool whole) {
  const Payload& payload = *request->payload;
  const bool through = payload.is_write() && config_.write == configs::CacheWrite::through;
  ++counts_.lookups;
  // Until the lines that came before are there, a miss may find nowhere to go.
  while (!through && !mshrs_.contains(line) && !directory_.contains(line) &&
         mshrs_.size() >= config_.mshrs) {
    sc_core::wait(mshr_freed_);
  }
  (payload.is_write() ? counts_.line_writes : counts_.line_reads) += 1;
  const auto* tag = payload.get_extension<TrafficExtension>();
  const TrafficClass traffic = tag != nullptr ? tag->traffic : TrafficClass::weights;
  const auto allocate = [&] {
    const auto replaced = directory_.allocate(line, traffic, payload.is_write());
    if (!replaced || !replaced->dirty) return;
    ++counts_.line_reads;
    move_line(true, *replaced);
  };
  if (const auto coming = mshrs_.find(line); coming != mshrs_.end() && !through) {
    // It may have lost its place again before it came.
    if (!directory_.touch(line, payload.is_write())) allocate();
    ++counts_.merged;
    ++request->missing;
    coming->second.push_back(request);
    return;
  }
  if (directory_.touch(line, payload.is_write() && !through)) {
    ++counts_.hits;
    return;
  }
  if (through) {
    ++counts_.bypassed;
    --counts_.line_writes;
    return;
  }
  ++counts_.misses;
  allocate();
  if (payload.is_write() && whole) return;
  ++request->missing;
  mshrs_[line].push_back(request);
  move_line(false, {line, traffic, true, false});
}

/// One line fewer that the request waits for.
void Cache::line_arrived(const std::shared_ptr<Request>& request) {
  if (--request->missing > 0) return;
  Payload& payload = *request->payload;
  if (payload.is_write() && config_.write == configs::CacheWrite::through) {
    send_onward(request->port, payload);
    return;
  }
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
  const sc_core::sc_time after = clock_.time(Cycles(config_.hit_cycles));
  ready_.push_back({(sc_core::sc_time_stamp() + after).value(), request->port, &payload});
  if (ready_.size() == 1) due_.notify(after);
}

void Cache::respond() {
  const std::uint64_t now = sc_core::sc_time_stamp().value();
  while (!ready_.empty() && ready_.front().time <= now) {
    const Ready next = ready_.front();
    ready_.pop_front();
    answer(next.port, *next.payload);
  }
  if (!ready_.empty()) due_.notify(sc_core::sc_time::from_value(ready_.front().time - now));
}

void Cache::answer(std::uint32_t p, Payload& payload) {
  ports_[p].responses.push(payload);
  offer(p);
}

void Cache::offer(std::uint32_t p) {
  ports_[p].responses.send(in[p], [this](Payload&) { --open_; });
}

/// A fill or a write-back of a whole line.
void Cache::move_line(bool write, const CacheDirectory::Line& line) {
  if (free_.empty()) {
    own_.push_back(std::make_unique<Own>());
    free_.push_back(own_.back().get());
  }
  Own& payload = *free_.back();
  free_.pop_back();
  payload.set_command(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
  payload.set_address(line.number * config_.line_bytes);
  payload.set_data_ptr(nullptr);
  payload.set_data_length(config_.line_bytes);
  payload.set_streaming_width(config_.line_bytes);
  payload.set_byte_enable_ptr(nullptr);
  payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  payload.tag->traffic = line.traffic;
  payload.line = line.number;
  ++open_;
  ++(write ? counts_.write_backs : counts_.fills);
  send_onward(write ? write_backs_ : fills_, payload);
}

void Cache::send_onward(std::uint32_t p, Payload& payload) {
  ports_[p].onward.push_back(&payload);
  push_onward(p);
}

/// Sends the port's next request to the channel unless one waits for its END_REQ.
void Cache::push_onward(std::uint32_t p) {
  Port& port = ports_[p];
  while (!port.requesting && !port.onward.empty()) {
    Payload& payload = *port.onward.front();
    port.requesting = true;
    tlm::tlm_phase phase = tlm::BEGIN_REQ;
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    const tlm::tlm_sync_enum status = out[p]->nb_transport_fw(payload, phase, delay);
    if (status == tlm::TLM_ACCEPTED) return;
    port.requesting = false;
    port.onward.pop_front();
    if (status == tlm::TLM_COMPLETED) channel_done(p, payload);
  }
}

tlm::tlm_sync_enum Cache::backward(int index, Payload& payload, tlm::tlm_phase& phase,
                                   sc_core::sc_time& /*delay*/) {
  const auto p = static_cast<std::uint32_t>(index);
  Port& port = ports_[p];
  if (ignorable(phase)) return tlm::TLM_ACCEPTED;
  if (port.requesting && port.onward.front() == &payload) {
    port.requesting = false;
    port.onward.pop_front();
    push_onward(p);
  }
  if (phase == tlm::END_REQ) return tlm::TLM_ACCEPTED;
  channel_done(p, payload);
  return tlm::TLM_COMPLETED;
}

void Cache::channel_done(std::uint32_t p, Payload& payload) {
  if (p < fills_) return answer(p, payload);
  SYSTOLE_CHECK(payload.is_response_ok(),
                std::string(name()) + ": memory answered " + payload.get_response_string());
  Own& own = static_cast<Own&>(payload);
  free_.push_back(&own);
  --open_;
  if (p == write_backs_) {
    if (open_ == 0) emptied_.notify(sc_core::SC_ZERO_TIME);
    return;
  }
  ++counts_.line_writes;
  const auto found = mshrs_.find(own.line);
  const std::vector<std::shared_ptr<Request>> requests = std::move(found->second);
  mshrs_.erase(found);
  for (const auto& request : requests) line_arrived(request);
  mshr_freed_.notify(sc_core::SC_ZERO_TIME);
}

void Cache::restart() {
  SYSTOLE_CHECK(
      idle() && directory_.clear().empty(),
      std::string(name()) + ": restart with requests in flight or lines not written back");
}

void Cache::flush() {
  SYSTOLE_CHECK(idle(), std::string(name()) + ": flush with requests in flight");
  for (const CacheDirectory::Line& line : directory_.clear()) {
    ++counts_.line_reads;
    move_line(true, line);
  }
}

}  // namespace systole::memory
