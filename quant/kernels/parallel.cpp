// The pool: workers that sleep on a condition variable, started when first needed. Waking one costs
// microseconds; starting a thread for each call cost tens.
#include "quant/kernels/parallel.hpp"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__)
#include <pthread.h>
#endif

namespace systole::quant::detail {
namespace {

using Run = void (*)(const void* work, std::size_t part);

class Pool {
 public:
  /// False, and nothing done, when the pool is busy.
  bool run(std::size_t parts, Run function, const void* work) {
    if (busy_.test_and_set(std::memory_order_acquire)) return false;
    {
      const std::lock_guard lock(mutex_);
      while (workers_ + 1 < parts) {
        std::thread([this, part = ++workers_, seen = generation_] { serve(part, seen); }).detach();
      }
      run_ = function;
      work_ = work;
      parts_ = parts;
      left_ = parts - 1;
      errors_.assign(parts, nullptr);
      ++generation_;
    }
    work_arrived_.notify_all();
    attempt(function, work, 0);
    std::unique_lock lock(mutex_);
    all_done_.wait(lock, [this] { return left_ == 0; });
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
    std::unique_lock lock(mutex_);
    while (true) {
      work_arrived_.wait(lock, [&] { return generation_ != seen; });
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
  std::size_t left_ = 0;  ///< parts of other threads that have not ended
  std::size_t generation_ = 0;
  std::size_t workers_ = 0;
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
