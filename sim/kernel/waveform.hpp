// A value change dump (VCD) by SystemC's tracing, which appears whole or not at all and has the
// same bytes for the same simulation: SystemC's own opens with the time of day.
#pragma once

#include <cstdint>
#include <string>

#include "sim/kernel/systemc.hpp"

namespace systole::kernel {

/// Under a temporary name until finish(); removed where that is never called.
class Waveform {
 public:
  /// While modules are built: SystemC takes signals to trace only then. The file's unit is
  /// 1 ns. `comment` says in it what it shows. ConfigError where the file cannot be made.
  Waveform(const std::string& path, std::string comment);
  ~Waveform();
  Waveform(const Waveform&) = delete;
  Waveform& operator=(const Waveform&) = delete;

  sc_core::sc_trace_file* file() { return file_; }
  /// From here on something changes: the present time is the file's 0, and whatever
  /// changes does so whole nanoseconds later.
  void begin();
  /// Once the simulation has gone beyond the last change, in it or after it. Nothing is sampled any
  /// more. ConfigError where the file cannot be written.
  void finish();

 private:
  std::string path_, comment_, unfinished_;
  std::uint64_t origin_ps_ = 0;
  sc_core::sc_trace_file* file_;
};

}  // namespace systole::kernel
