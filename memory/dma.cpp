#include "memory/dma.hpp"

#include <algorithm>
#include <bit>

#include "memory/target_side.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

bool continues(const Transfer& one, const Transfer& next) {
  return next.traffic == one.traffic && next.write == one.write &&
         next.address == one.address + one.bytes;
}

bool alike(const Transfer& a, const Transfer& b) {
  return a.traffic == b.traffic && a.write == b.write;
}

/// Fewer equal rows gain nothing by a 2-D descriptor over the elements of a list.
constexpr std::size_t kLeastRows = 3;

/// How many transfers from `first` on are equal rows at one distance.
std::size_t rows_from(std::span<const Transfer> all, std::size_t first) {
  std::size_t end = first + 1;
  for (; end < all.size(); ++end) {
    const Transfer& row = all[end];
    if (!alike(row, all[first]) || row.bytes != all[first].bytes) break;
    if (row.address <= all[end - 1].address) break;
    if (row.address - all[end - 1].address != all[first + 1].address - all[first].address) break;
  }
  return end - first;
}

}  // namespace

std::vector<Transfer> Descriptor::transfers() const {
  if (kind == Kind::gather) return list;
  std::vector<Transfer> result(rows, row);
  for (std::uint64_t i = 0; i < rows; ++i) result[i].address += i * stride;
  return result;
}

std::vector<Descriptor> descriptors_for(std::span<const Transfer> transfers,
                                        std::uint32_t gather_entries) {
  std::vector<Transfer> pieces;
  for (const Transfer& transfer : transfers) {
    if (transfer.bytes == 0) continue;
    if (!pieces.empty() && continues(pieces.back(), transfer)) {
      pieces.back().bytes += transfer.bytes;
    } else {
      pieces.push_back(transfer);
    }
  }
  using Kind = Descriptor::Kind;
  std::vector<Descriptor> result;
  const auto gather = [&](const Transfer& piece) {
    if (gather_entries > 1 && !result.empty() && result.back().kind != Kind::strided &&
        alike(result.back().row, piece) && result.back().list.size() < gather_entries) {
      result.back().kind = Kind::gather;
      result.back().list.push_back(piece);
    } else {
      result.push_back({Kind::linear, piece, 1, 0, {piece}});
    }
  };
  for (std::size_t i = 0; i < pieces.size();) {
    if (const std::size_t rows = rows_from(pieces, i); rows >= kLeastRows) {
      result.push_back(
          {Kind::strided, pieces[i], rows, pieces[i + 1].address - pieces[i].address, {}});
      i += rows;
    } else {
      gather(pieces[i++]);
    }
  }
  return result;
}

DescriptorQueue::DescriptorQueue(const sc_core::sc_module_name& name, ClockDomain clock,
                                 std::uint32_t limit, std::function<void(std::uint64_t)> decoded)
    : sc_core::sc_module(name),
      clock_(clock),
      limit_(limit),
      decoded_(std::move(decoded)),
      done_("done") {
  SC_HAS_PROCESS(DescriptorQueue);
  SC_METHOD(end);
  dont_initialize();
  sensitive << done_;
}

void DescriptorQueue::push(std::uint64_t id, Cycles cycles) {
  waiting_.push_back({id, cycles});
  begin();
}

void DescriptorQueue::completed() {
  SYSTOLE_CHECK(in_progress_ > 0, std::string(name()) + ": more descriptors ended than began");
  --in_progress_;
  begin();
}

void DescriptorQueue::begin() {
  if (decoding_ || waiting_.empty() || (limit_ > 0 && in_progress_ >= limit_)) return;
  decoding_ = true;
  peak_in_progress_ = std::max(peak_in_progress_, ++in_progress_);
  done_.notify(clock_.time(waiting_.front().cycles));
}

void DescriptorQueue::end() {
  const std::uint64_t id = waiting_.front().id;
  waiting_.pop_front();
  decoding_ = false;
  decoded_(id);
  begin();
}

/// The ticket travels with the payload; every payload that comes back is one of these.
struct Dma::Packet : tlm::tlm_generic_payload {
  explicit Packet(tlm::tlm_mm_interface* pool)
      : tlm::tlm_generic_payload(pool), tag(new TrafficExtension) {
    set_extension(tag);  // owned and deleted by the payload
  }
  TrafficExtension* tag;
  std::uint64_t ticket = 0;
};

/// Packets, used again and again.
class Dma::Pool : public tlm::tlm_mm_interface {
 public:
  Packet& take() {
    if (free_.empty()) {
      all_.push_back(std::make_unique<Packet>(this));
      free_.push_back(all_.back().get());
    }
    Packet& packet = *free_.back();
    free_.pop_back();
    packet.acquire();
    return packet;
  }
  void free(tlm::tlm_generic_payload* payload) override {
    free_.push_back(static_cast<Packet*>(payload));
  }

 private:
  std::vector<std::unique_ptr<Packet>> all_;
  std::vector<Packet*> free_;
};

Dma::Dma(const sc_core::sc_module_name& name, bool write, std::uint32_t channel_count,
         std::uint32_t segment_bytes, std::uint32_t outstanding,
         std::function<void(std::uint64_t)> finished)
    : sc_core::sc_module(name),
      channels("channels"),
      write_(write),
      segment_bytes_(segment_bytes),
      outstanding_(outstanding),
      finished_(std::move(finished)),
      state_(channel_count),
      ready_(channel_count / 64 + 1),
      pool_(std::make_unique<Pool>()) {
  channels.init(channel_count);
  for (std::uint32_t c = 0; c < channel_count; ++c) {
    channels[c].register_nb_transport_bw(this, &Dma::nb_transport_bw, static_cast<int>(c));
  }
}

Dma::~Dma() = default;

std::uint64_t Dma::queue(std::uint32_t channel, TrafficClass traffic, std::uint64_t address,
                         std::uint64_t bytes, std::uint64_t ticket) {
  if (bytes == 0) return 0;
  state_[channel].pieces.push_back({traffic, address, address + bytes, ticket});
  update_ready(channel);
  return (address + bytes - 1) / segment_bytes_ - address / segment_bytes_ + 1;
}

void Dma::update_ready(std::uint32_t c) {
  const std::uint64_t bit = std::uint64_t{1} << c % 64;
  const bool ready = !state_[c].pieces.empty() && !state_[c].requesting;
  ready_[c / 64] = ready ? ready_[c / 64] | bit : ready_[c / 64] & ~bit;
}

/// The first channel from `turn_` on, round about, that may send; their number if none may.
std::uint32_t Dma::next_ready() const {
  const auto words = static_cast<std::uint32_t>(ready_.size());
  const std::uint64_t before = (std::uint64_t{1} << turn_ % 64) - 1;  // in the word of `turn_`
  for (std::uint32_t i = 0; i <= words; ++i) {
    const std::uint32_t word = (turn_ / 64 + i) % words;
    const std::uint64_t mask = i == 0 ? ~before : (i == words ? before : ~std::uint64_t{0});
    if (const std::uint64_t some = ready_[word] & mask; some != 0) {
      return word * 64 + static_cast<std::uint32_t>(std::countr_zero(some));
    }
  }
  return static_cast<std::uint32_t>(state_.size());
}

void Dma::pump() {
  if (pumping_) return;  // a target that answers at once calls back into us: the loop below goes on
  pumping_ = true;
  const auto count = static_cast<std::uint32_t>(state_.size());
  while (in_flight_ < outstanding_) {
    const std::uint32_t channel = next_ready();
    if (channel == count) break;
    send(channel);
    turn_ = channel + 1 == count ? 0 : channel + 1;
  }
  pumping_ = false;
}

void Dma::send(std::uint32_t c) {
  Channel& channel = state_[c];
  Piece& piece = channel.pieces.front();
  const std::uint64_t boundary = (piece.address / segment_bytes_ + 1) * segment_bytes_;
  const std::uint64_t end = std::min(piece.end, boundary);

  Packet& payload = pool_->take();
  payload.set_command(write_ ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
  payload.set_address(piece.address);
  payload.set_data_ptr(nullptr);
  payload.set_data_length(static_cast<unsigned>(end - piece.address));
  payload.set_streaming_width(static_cast<unsigned>(end - piece.address));
  payload.set_byte_enable_ptr(nullptr);
  payload.set_dmi_allowed(false);
  payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  payload.tag->traffic = piece.traffic;
  payload.tag->id = piece.ticket;
  payload.ticket = piece.ticket;

  piece.address = end;
  if (piece.address == piece.end) channel.pieces.pop_front();
  channel.requesting = true;
  update_ready(c);
  peak_in_flight_ = std::max(peak_in_flight_, ++in_flight_);

  tlm::tlm_phase phase = tlm::BEGIN_REQ;
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  const tlm::tlm_sync_enum status = channels[c]->nb_transport_fw(payload, phase, delay);
  if ((status == tlm::TLM_UPDATED && phase == tlm::END_REQ) || status == tlm::TLM_COMPLETED) {
    channel.requesting = false;
    update_ready(c);
  }
  if (status == tlm::TLM_COMPLETED) complete(payload);
}

tlm::tlm_sync_enum Dma::nb_transport_bw(int c, tlm::tlm_generic_payload& payload,
                                        tlm::tlm_phase& phase, sc_core::sc_time& /*delay*/) {
  if (phase == tlm::END_REQ) {
    state_[static_cast<std::size_t>(c)].requesting = false;
    update_ready(static_cast<std::uint32_t>(c));
    pump();
    return tlm::TLM_ACCEPTED;
  }
  if (ignorable(phase)) return tlm::TLM_ACCEPTED;
  SYSTOLE_CHECK(phase == tlm::BEGIN_RESP, std::string(name()) + ": a phase of no base protocol");
  complete(payload);
  pump();
  return tlm::TLM_COMPLETED;
}

void Dma::complete(tlm::tlm_generic_payload& payload) {
  SYSTOLE_CHECK(payload.is_response_ok(),
                std::string(name()) + ": memory answered " + payload.get_response_string());
  const std::uint64_t ticket = static_cast<Packet&>(payload).ticket;
  --in_flight_;
  payload.release();
  finished_(ticket);
}

}  // namespace systole::memory
