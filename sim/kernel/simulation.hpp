// Starting SystemC, its reports as exceptions, and the watchdog that ends a run in which nothing
// moves.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>

#include "sim/kernel/systemc.hpp"

namespace systole::kernel {

/// Runs `body` inside SystemC: banner off, time resolution 1 fs, every report of severity warning
/// or worse thrown. Returns what `body` returns; an exception of `body` reaches the caller
/// unchanged. Build modules and call run_until inside `body`. SystemC keeps one global context, so
/// a process can do this once (SYSTOLE_CHECK); a second simulation is a second process.
int run_simulation(const std::function<int()>& body);

/// What counts as progress beyond the transfers of the channels: any number that grows while work
/// is done.
using ProgressCounter = std::function<std::uint64_t()>;

/// Advances the simulation until `done()` holds, which is looked at every `patience` of simulated
/// time and when no event is left. Errors: InternalError with the time and every channel's
/// occupancy when no event is left and `done()` does not hold (deadlock), or when for `patience`
/// neither a channel nor `progress` moved (livelock). A SystemC report raised in the model is
/// rethrown as InternalError with its process and time.
void run_until(const std::function<bool()>& done, const sc_core::sc_time& patience,
               const ProgressCounter& progress = nullptr);

/// An SC_THREAD that runs a function once: for what may only be called from one, such as a blocking
/// transfer.
class Task : public sc_core::sc_module {
 public:
  Task(const sc_core::sc_module_name& name, std::function<void()> body);

  bool done() const { return done_; }
  /// run_until done; an exception of the body reaches the caller.
  void run(const sc_core::sc_time& patience, const ProgressCounter& progress = nullptr);
  /// Throws what the body threw.
  void rethrow() const;

 private:
  void thread();

  std::function<void()> body_;
  std::exception_ptr failure_;
  bool done_ = false;
};

}  // namespace systole::kernel
