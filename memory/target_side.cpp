#include "memory/target_side.hpp"

#include <limits>

namespace systole::memory {

bool servable(tlm::tlm_generic_payload& payload) {
  if (payload.get_command() == tlm::TLM_IGNORE_COMMAND) {
    payload.set_response_status(tlm::TLM_COMMAND_ERROR_RESPONSE);
    return false;
  }
  if (payload.get_data_length() == 0 || payload.get_streaming_width() < payload.get_data_length() ||
      payload.get_address() >
          std::numeric_limits<std::uint64_t>::max() - payload.get_data_length()) {
    payload.set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
    return false;
  }
  if (payload.get_byte_enable_ptr() != nullptr) {
    payload.set_response_status(tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE);
    return false;
  }
  return true;
}

}  // namespace systole::memory
