// Bounded channels with back-pressure: how data moves between modules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/core/error.hpp"
#include "sim/kernel/systemc.hpp"

namespace systole::kernel {

/// What the watchdog sees of every channel. Channels are found by walking SystemC's object tree, so
/// there is no second registry to keep.
class ChannelBase : public sc_core::sc_object {
 public:
  ChannelBase(const char* name, std::size_t capacity);

  std::size_t capacity() const { return capacity_; }
  virtual std::size_t occupancy() const = 0;
  /// Pushes and pops so far: grows exactly when something moved.
  std::uint64_t transfers() const { return transfers_; }
  const char* kind() const override { return "systole::kernel::Channel"; }

 protected:
  void pushed() {
    ++transfers_;
    filled_.notify(sc_core::SC_ZERO_TIME);
  }
  void popped() {
    ++transfers_;
    drained_.notify(sc_core::SC_ZERO_TIME);
  }

  std::size_t capacity_;
  std::uint64_t transfers_ = 0;
  sc_core::sc_event filled_;
  sc_core::sc_event drained_;
};

/// A queue of at most `capacity` items between one producer and one consumer. It adds no latency of
/// its own: an item can be taken in the delta cycle after it was put. Latency belongs to the module
/// that models it. push/pop block and may be called from SC_THREADs only; try_push/try_pop never
/// block.
template <class T>
class Channel : public ChannelBase {
 public:
  /// capacity > 0 (SYSTOLE_CHECK).
  Channel(const char* name, std::size_t capacity) : ChannelBase(name, capacity) {}

  std::size_t occupancy() const override { return items_.size(); }
  bool empty() const { return items_.empty(); }
  bool full() const { return items_.size() >= capacity_; }

  /// Puts the item unless the channel is full; says whether it did.
  bool try_push(T item) {
    if (full()) return false;
    items_.push_back(std::move(item));
    pushed();
    return true;
  }
  std::optional<T> try_pop() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    popped();
    return item;
  }
  void push(T item) {
    while (full()) sc_core::wait(drained_);
    items_.push_back(std::move(item));
    pushed();
  }
  T pop() {
    while (items_.empty()) sc_core::wait(filled_);
    T item(std::move(items_.front()));
    items_.pop_front();
    popped();
    return item;
  }
  /// The oldest item, not removed; the channel must not be empty.
  const T& front() const {
    SYSTOLE_CHECK(!items_.empty(), std::string(name()) + ": front of an empty channel");
    return items_.front();
  }

  /// For SC_METHODs and for waiting on several channels at once.
  const sc_core::sc_event& filled() const { return filled_; }
  const sc_core::sc_event& drained() const { return drained_; }

 private:
  std::deque<T> items_;
};

/// Every channel of the simulation, in the order of construction of its hierarchy.
std::vector<const ChannelBase*> all_channels();

/// One line a channel: `dma.requests: 2 of 4, 118 transfers`.
std::string describe_channels();

/// Sum of the transfers of all channels.
std::uint64_t total_transfers();

}  // namespace systole::kernel
