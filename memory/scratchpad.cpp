#include "memory/scratchpad.hpp"

#include <string>

#include "sim/core/error.hpp"

namespace systole::memory {

void check(const configs::ScratchpadConfig& config, std::string_view where) {
  const auto refuse = [&](const std::string& what) {
    throw ConfigError(std::string(where) + ": " + what);
  };
  if (config.banks == 0) refuse("banks: expected a positive number, found 0");
  if (config.word_bytes == 0) refuse("word_bytes: expected a positive number, found 0");
  const std::uint64_t row = std::uint64_t{config.banks} * config.word_bytes;
  if (config.buffers == 0) refuse("buffers: expected a positive number, found 0");
  if (config.capacity_bytes % (config.buffers * row) != 0 || config.capacity_bytes == 0) {
    refuse("capacity_bytes: expected a multiple of " + std::to_string(config.buffers) +
           (config.buffers == 2 ? " halves x " : " buffers x ") + std::to_string(config.banks) +
           " banks x " + std::to_string(config.word_bytes) + " B (" +
           std::to_string(config.buffers * row) + "), found " +
           std::to_string(config.capacity_bytes));
  }
}

Scratchpad::Scratchpad(const configs::ScratchpadConfig& config, std::string_view where)
    : config_(config) {
  check(config, where);
}

BufferPool::BufferPool(const char* name, std::uint32_t buffers)
    : sc_core::sc_object(name), size_(buffers), free_(buffers) {
  SYSTOLE_CHECK(buffers > 0, std::string("buffer pool ") + name + " without buffers");
}

void BufferPool::acquire_free() {
  while (free_ == 0) sc_core::wait(freed_);
  --free_;
  ++filling_;
}

void BufferPool::publish() {
  SYSTOLE_CHECK(filling_ > 0, std::string(name()) + ": published without acquire_free");
  --filling_;
  ++full_;
  filled_.notify(sc_core::SC_ZERO_TIME);
}

void BufferPool::acquire_full() {
  while (full_ == 0) sc_core::wait(filled_);
  --full_;
  ++emptying_;
}

void BufferPool::release() {
  SYSTOLE_CHECK(emptying_ > 0, std::string(name()) + ": released without acquire_full");
  --emptying_;
  ++free_;
  freed_.notify(sc_core::SC_ZERO_TIME);
}

}  // namespace systole::memory
