// The one way quant refuses: a precondition of a public function does not hold. quant includes std
// only, so it cannot use systole::ConfigError; callers that take user input check before they call.
#pragma once

#include <stdexcept>

namespace systole::quant {

/// Throws std::invalid_argument with `message` unless `condition` holds. On in every build.
inline void require(bool condition, const char* message) {
  if (!condition) [[unlikely]]
    throw std::invalid_argument(message);
}

}  // namespace systole::quant
