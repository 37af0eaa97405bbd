// The pool: workers that sleep on a condition variable, started when first needed. Starting a
// thread for each call would cost tens of microseconds, and so does waking one (48 us measured in a
// virtual machine, 4 us when it is still looking): before it sleeps a worker looks for the next
// call a while.
#include "quant/kernels/parallel.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace systole::quant::detail {
namespace {

using Run = void (*)(const void* work, std::size_t part);

constexpr std::chrono::microseconds kLook{50};  ///< about what waking costs

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Looks until `seen()` or kLook has passed.
template <class Seen>
void look_for(const Seen& seen) {
  const auto end = std::chrono::steady_clock::now() + kLook;
  while (!seen() && std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 16 && !seen(); ++i) relax();
  }
}

/// Keeps workers off the processor of the thread that calls. After a pause Linux may wake a worker
/// there although another processor is idle, and leave both there for milliseconds (measured on two
/// processors: in 3 of 4 calls after 5 ms asleep, which then took twice as long).
class Placement {
 public:
  void add(std::thread& worker) {
    workers_.push_back(worker.native_handle());
    caller_ = -1;
  }
  void make_way() {
#if defined(__linux__)
    const int here = sched_getcpu();
    if (here == caller_) return;
    caller_ = here;
    cpu_set_t allowed;
    if (here < 0 || here >= CPU_SETSIZE || sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
      return;
    }
    if (CPU_COUNT(&allowed) > 1) CPU_CLR(static_cast<std::size_t>(here), &allowed);
    for (const auto worker : workers_) pthread_setaffinity_np(worker, sizeof allowed, &allowed);
#endif
  }

 private:
  std::vector<std::thread::native_handle_type> workers_;
  int caller_ = -1;  ///< the processor they keep off
};

class Pool {
 public:
  /// False, and nothing done, when the pool is busy.
  bool run(std::size_t parts, Run function, const void* work) {
    if (busy_.test_and_set(std::memory_order_acquire)) return false;
    {
      const std::lock_guard lock(mutex_);
      while (workers_ + 1 < parts) {
        std::thread worker(
            [this, part = ++workers_, seen = generation_.load()] { serve(part, seen); });
        placement_.add(worker);
        worker.detach();
      }
      placement_.make_way();
      run_ = function;
      work_ = work;
      parts_ = parts;
      left_ = parts - 1;
      errors_.assign(parts, nullptr);
      ++generation_;
    }
    work_arrived_.notify_all();
    attempt(function, work, 0);
    const auto done = [this] { return left_.load(std::memory_order_acquire) == 0; };
    look_for(done);
    std::unique_lock lock(mutex_);
    all_done_.wait(lock, done);
    const std::vector<std::exception_ptr> errors = std::move(errors_);
    lock.unlock();
    busy_.clear(std::memory_order_release);
    for (const std::exception_ptr& error : errors) {
      if (error) std::rethrow_exception(error);
    }
    return true;
  }

 private:
  void attempt(Run function, const void* work, std::size_t part) {
    try {
      function(work, part);
    } catch (...) {
      errors_[part] = std::current_exception();  // each part has its own
    }
  }

  void serve(std::size_t part, std::size_t seen) {
    const auto called = [&] { return generation_.load(std::memory_order_acquire) != seen; };
    std::unique_lock lock(mutex_);
    while (true) {
      if (!called()) {
        lock.unlock();
        look_for(called);
        lock.lock();
      }
      work_arrived_.wait(lock, called);
      seen = generation_;
      if (part >= parts_) continue;
      const Run function = run_;
      const void* work = work_;
      lock.unlock();
      attempt(function, work, part);
      lock.lock();
      if (--left_ == 0) all_done_.notify_one();
    }
  }

  std::atomic_flag busy_;
  std::mutex mutex_;  ///< of what follows
  std::condition_variable work_arrived_, all_done_;
  Run run_ = nullptr;
  const void* work_ = nullptr;
  std::size_t parts_ = 0;
  std::atomic<std::size_t> left_ = 0;  ///< parts of other threads that have not ended
  std::atomic<std::size_t> generation_ = 0;
  std::size_t workers_ = 0;
  Placement placement_;
  std::vector<std::exception_ptr> errors_;
};

/// Never destroyed: its workers wait on it until the process ends.
std::atomic<Pool*> current_pool = nullptr;

Pool& pool() {
  Pool* existing = current_pool.load();
  if (existing != nullptr) return *existing;
  auto* made = new Pool;
  if (!current_pool.compare_exchange_strong(existing, made)) {
    delete made;  // another thread was first; nobody has used this one
    return *existing;
  }
#if defined(__unix__)
  // A forked child has no workers: it leaves its parent's pool alone and makes its own.
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, [] { current_pool = nullptr; }); });
#endif
  return *made;
}

}  // namespace

void run_parts(std::size_t parts, Run function, const void* work) {
  if (pool().run(parts, function, work)) return;
  for (std::size_t part = 0; part < parts; ++part) function(work, part);
}

}  // namespace systole::quant::detail
