// Private to the packed products: a static partition over threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <thread>
#include <vector>

namespace systole::quant::detail {

/// Calls work(begin, end) on contiguous parts of [0, count), one part a thread, the last on the
/// calling thread. `work` must not throw. Which thread computes what never changes a bit: parts are
/// independent outputs.
template <class Work>
void parallel_for(std::size_t threads, std::size_t count, const Work& work) {
  threads = std::max<std::size_t>(1, std::min(threads, count));
  std::vector<std::jthread> helpers;
  helpers.reserve(threads - 1);
  for (std::size_t t = 0; t + 1 < threads; ++t) {
    helpers.emplace_back(
        [&work, t, threads, count] { work(t * count / threads, (t + 1) * count / threads); });
  }
  work((threads - 1) * count / threads, count);
}

}  // namespace systole::quant::detail
