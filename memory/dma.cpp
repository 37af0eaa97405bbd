#include "memory/dma.hpp"

#include <algorithm>
#include <bit>

#include "sim/core/error.hpp"

namespace systole::memory {

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
  if (phase != tlm::BEGIN_RESP) return tlm::TLM_ACCEPTED;  // of an extended protocol: ignorable
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
