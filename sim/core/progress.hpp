// How long work reports that it moves, without knowing who watches.
#pragma once

#include <cstdint>
#include <string_view>

namespace systole {

/// Thrown by long work when `Progress::cancelled()` says that the user asked to stop. Nothing has
/// been written.
class Interrupted {};

/// Receives progress. Implementations must be cheap: callers may report often. The default ignores
/// it.
class Progress {
 public:
  virtual ~Progress() = default;
  /// `done` of `total` units of `what` ("prefill", "evaluating text"); total 0 = unknown.
  virtual void report(std::string_view /*what*/, std::uint64_t /*done*/, std::uint64_t /*total*/) {}
  /// True when the user asked to stop (Ctrl-C); long loops poll it and throw Interrupted.
  virtual bool cancelled() const { return false; }
};

}  // namespace systole
