#include "memory/dma.hpp"

#include <algorithm>

#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

/// The ticket travels with the payload, on the way back as well.
struct TicketExtension : tlm::tlm_extension<TicketExtension> {
  std::uint64_t ticket = 0;
  tlm::tlm_extension_base* clone() const override { return new TicketExtension(*this); }
  void copy_from(const tlm::tlm_extension_base& other) override {
    ticket = static_cast<const TicketExtension&>(other).ticket;
  }
};

}  // namespace

/// Payloads with their extensions, used again and again.
class Dma::Pool : public tlm::tlm_mm_interface {
 public:
  tlm::tlm_generic_payload& take() {
    if (free_.empty()) {
      auto payload = std::make_unique<tlm::tlm_generic_payload>(this);
      payload->set_extension(new TrafficExtension);  // owned and deleted by the payload
      payload->set_extension(new TicketExtension);
      free_.push_back(payload.get());
      all_.push_back(std::move(payload));
    }
    tlm::tlm_generic_payload& payload = *free_.back();
    free_.pop_back();
    payload.acquire();
    return payload;
  }
  void free(tlm::tlm_generic_payload* payload) override { free_.push_back(payload); }

 private:
  std::vector<std::unique_ptr<tlm::tlm_generic_payload>> all_;
  std::vector<tlm::tlm_generic_payload*> free_;
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
  return (address + bytes - 1) / segment_bytes_ - address / segment_bytes_ + 1;
}

void Dma::pump() {
  if (pumping_) return;  // a target that answers at once calls back into us: the loop below goes on
  pumping_ = true;
  const auto count = static_cast<std::uint32_t>(state_.size());
  for (std::uint32_t refused = 0; refused < count && in_flight_ < outstanding_;) {
    const Channel& channel = state_[turn_];
    if (channel.pieces.empty() || channel.requesting) {
      ++refused;
    } else {
      send(turn_);
      refused = 0;
    }
    turn_ = turn_ + 1 == count ? 0 : turn_ + 1;
  }
  pumping_ = false;
}

void Dma::send(std::uint32_t c) {
  Channel& channel = state_[c];
  Piece& piece = channel.pieces.front();
  const std::uint64_t boundary = (piece.address / segment_bytes_ + 1) * segment_bytes_;
  const std::uint64_t end = std::min(piece.end, boundary);

  tlm::tlm_generic_payload& payload = pool_->take();
  payload.set_command(write_ ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
  payload.set_address(piece.address);
  payload.set_data_ptr(nullptr);
  payload.set_data_length(static_cast<unsigned>(end - piece.address));
  payload.set_streaming_width(static_cast<unsigned>(end - piece.address));
  payload.set_byte_enable_ptr(nullptr);
  payload.set_dmi_allowed(false);
  payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  payload.get_extension<TrafficExtension>()->traffic = piece.traffic;
  payload.get_extension<TrafficExtension>()->id = piece.ticket;
  payload.get_extension<TicketExtension>()->ticket = piece.ticket;

  piece.address = end;
  if (piece.address == piece.end) channel.pieces.pop_front();
  channel.requesting = true;
  peak_in_flight_ = std::max(peak_in_flight_, ++in_flight_);

  tlm::tlm_phase phase = tlm::BEGIN_REQ;
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  const tlm::tlm_sync_enum status = channels[c]->nb_transport_fw(payload, phase, delay);
  if (status == tlm::TLM_UPDATED && phase == tlm::END_REQ) channel.requesting = false;
  if (status == tlm::TLM_COMPLETED) {
    channel.requesting = false;
    complete(payload);
  }
}

tlm::tlm_sync_enum Dma::nb_transport_bw(int c, tlm::tlm_generic_payload& payload,
                                        tlm::tlm_phase& phase, sc_core::sc_time& /*delay*/) {
  Channel& channel = state_[static_cast<std::size_t>(c)];
  if (phase == tlm::END_REQ) {
    channel.requesting = false;
    pump();
    return tlm::TLM_ACCEPTED;
  }
  SYSTOLE_CHECK(phase == tlm::BEGIN_RESP, std::string(name()) + ": a phase of no base protocol");
  complete(payload);
  pump();
  return tlm::TLM_COMPLETED;
}

void Dma::complete(tlm::tlm_generic_payload& payload) {
  SYSTOLE_CHECK(payload.is_response_ok(),
                std::string(name()) + ": memory answered " + payload.get_response_string());
  const std::uint64_t ticket = payload.get_extension<TicketExtension>()->ticket;
  --in_flight_;
  payload.release();
  finished_(ticket);
}

}  // namespace systole::memory
