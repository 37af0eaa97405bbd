// A body as an SC_THREAD, and how long in simulated time a part of it takes.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include "sim/kernel/systemc.hpp"

namespace systole::memory {

/// Runs `body` in an SC_THREAD until it ends.
inline void run(const std::function<void()>& body) {
  bool ended = false;
  sc_core::sc_spawn([&] {
    body();
    ended = true;
  });
  sc_core::sc_start();
  EXPECT_TRUE(ended) << "the thread hangs";
}

inline sc_core::sc_time timed(const std::function<void()>& body) {
  const sc_core::sc_time start = sc_core::sc_time_stamp();
  body();
  return sc_core::sc_time_stamp() - start;
}

}  // namespace systole::memory
