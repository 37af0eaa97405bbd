// Independent pieces of work on a few threads.
#pragma once

#include <cstddef>
#include <functional>

namespace systole::workloads {

/// Calls work(i) for i in [0, count) on up to `threads` threads, each taking every `threads`-th
/// piece. The pieces must not share what they write. The first exception is thrown here after all
/// threads have ended.
void parallel_for(std::size_t count, unsigned threads,
                  const std::function<void(std::size_t)>& work);

}  // namespace systole::workloads
