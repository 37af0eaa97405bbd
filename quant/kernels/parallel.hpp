// Independent pieces of work on the threads of one pool, which lives as long as the process.
#pragma once

#include <algorithm>
#include <cstddef>

namespace systole::quant {

namespace detail {
/// Calls run(work, part) for every part in [0, parts), at most one part a thread at a time, part 0
/// on the calling thread. When the pool is busy (a call from inside a part, or from another thread)
/// all parts run on the calling thread. The exception of the lowest part that threw is thrown here
/// when no part runs any more.
void run_parts(std::size_t parts, void (*run)(const void* work, std::size_t part),
               const void* work);
}  // namespace detail

/// Calls work(part) for every part in [0, parts), on up to `parts` threads; see run_parts.
template <class Work>
void parallel_parts(std::size_t parts, const Work& work) {
  if (parts <= 1) {
    if (parts == 1) work(std::size_t{0});
    return;
  }
  detail::run_parts(
      parts, [](const void* body, std::size_t part) { (*static_cast<const Work*>(body))(part); },
      &work);
}

/// Calls work(begin, end) on contiguous parts of [0, count), one part a thread (threads 0 counts as
/// 1). Which thread computes what never changes a bit: parts are independent outputs.
template <class Work>
void parallel_ranges(std::size_t threads, std::size_t count, const Work& work) {
  threads = std::max<std::size_t>(1, std::min(threads, count));
  parallel_parts(threads, [&work, threads, count](std::size_t part) {
    work(part * count / threads, (part + 1) * count / threads);
  });
}

/// Calls work(i) for every i in [0, count), thread t taking t, t + threads, ...: even where the
/// cost grows with i.
template <class Work>
void parallel_strided(std::size_t threads, std::size_t count, const Work& work) {
  threads = std::max<std::size_t>(1, std::min(threads, count));
  parallel_parts(threads, [&work, threads, count](std::size_t part) {
    for (std::size_t i = part; i < count; i += threads) work(i);
  });
}

}  // namespace systole::quant
