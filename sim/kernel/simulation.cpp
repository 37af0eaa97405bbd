// sc_main, the report handler and the watchdog loop.
#include "sim/kernel/simulation.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#include <cstdlib>
#include <exception>
#include <string>

#include "sim/core/error.hpp"
#include "sim/kernel/channel.hpp"
#include "sim/kernel/clock.hpp"

namespace systole::kernel {
namespace {

// SystemC calls sc_main through C; what it shall run and how that ended pass through here.
struct Session {
  const std::function<int()>* body = nullptr;
  bool used = false;
  std::exception_ptr failure;
};

Session& session() {
  static Session instance;
  return instance;
}

// Throwing the report itself, not another type, is what sc_handle_exception expects within a
// process.
void throw_report(const sc_core::sc_report& report, const sc_core::sc_actions&) {
  if (report.get_severity() >= sc_core::SC_WARNING) throw report;
}

// AddressSanitizer keeps the bounds of the current stack. SystemC 2.3.4 tells it of every switch
// between coroutines, but calls the main stack [0, 0); an exception thrown there later leaves
// poison behind, which is then reported as an error of whoever uses that stack next. So, back on
// the main stack, we state the bounds and clear what processes that ended by exception left below
// us.
void restore_sanitizer_stack() {
#if defined(__SANITIZE_ADDRESS__)
  pthread_attr_t attributes;
  void* bottom = nullptr;
  std::size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  pthread_attr_getstack(&attributes, &bottom, &size);
  pthread_attr_destroy(&attributes);
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, bottom, size);
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
  constexpr std::size_t kBelow = 64 * 1024;
  const char* here = static_cast<const char*>(__builtin_frame_address(0));
  __asan_unpoison_memory_region(here - kBelow, kBelow);
#endif
}

std::string at_time() { return " at " + sc_core::sc_time_stamp().to_string(); }

}  // namespace

Clock::Clock(ClockDomain domain) : period_(domain.period().count(), sc_core::SC_NS) {
  SYSTOLE_CHECK(period_ > sc_core::SC_ZERO_TIME, "clock period below the time resolution");
}

int run_simulation(const std::function<int()>& body) {
  Session& current = session();
  SYSTOLE_CHECK(!current.used, "SystemC elaborates once a process");
  current.used = true;
  current.body = &body;
  setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", /*overwrite=*/0);
  char name[] = "systole";
  char* argv[] = {name, nullptr};
  const int status = sc_core::sc_elab_and_sim(1, argv);
  restore_sanitizer_stack();
  if (current.failure) std::rethrow_exception(current.failure);
  return status;
}

void run_until(const std::function<bool()>& done, const sc_core::sc_time& patience,
               const ProgressCounter& progress) {
  const auto moved = [&] { return total_transfers() + (progress ? progress() : 0); };
  std::uint64_t before = moved();
  bool started = sc_core::sc_get_status() != sc_core::SC_ELABORATION;
  while (!done()) {
    if (started && !sc_core::sc_pending_activity()) {
      throw InternalError("deadlock" + at_time() + ": no event is left and work remains\n" +
                          describe_channels());
    }
    try {
      sc_core::sc_start(patience, sc_core::SC_EXIT_ON_STARVATION);
      restore_sanitizer_stack();
    } catch (const sc_core::sc_report& report) {
      restore_sanitizer_stack();
      throw InternalError(std::string(report.get_msg()) + " (process " +
                          (report.get_process_name() ? report.get_process_name() : "none") + ")" +
                          at_time());
    }
    started = true;
    const std::uint64_t after = moved();
    if (after == before && !done() && sc_core::sc_pending_activity()) {
      throw InternalError("livelock" + at_time() + ": nothing moved for " + patience.to_string() +
                          "\n" + describe_channels());
    }
    before = after;
  }
}

Task::Task(const sc_core::sc_module_name& name, std::function<void()> body)
    : sc_module(name), body_(std::move(body)) {
  SC_HAS_PROCESS(Task);
  SC_THREAD(thread);
}

void Task::thread() {
  try {
    body_();
  } catch (...) {
    failure_ = std::current_exception();  // must not unwind through the SystemC scheduler
  }
  done_ = true;
}

void Task::run(const sc_core::sc_time& patience, const ProgressCounter& progress) {
  run_until([this] { return done_; }, patience, progress);
  rethrow();
}

void Task::rethrow() const {
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace systole::kernel

// SystemC's entry point, called by sc_elab_and_sim.
int sc_main(int, char*[]) {
  auto& current = systole::kernel::session();
  try {
    sc_core::sc_set_time_resolution(1, sc_core::SC_FS);
    sc_core::sc_report_handler::set_handler(systole::kernel::throw_report);
    return (*current.body)();
  } catch (...) {
    current.failure = std::current_exception();
    return 1;
  }
}
