#include "sim/kernel/channel.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "sim/kernel/clock.hpp"
#include "sim/kernel/simulation.hpp"

namespace systole::kernel {
namespace {

using sc_core::SC_NS;
using sc_core::sc_time;

/// Pushes 0..count-1, waiting `gap` before each.
struct Producer : sc_core::sc_module {
  SC_HAS_PROCESS(Producer);
  Producer(sc_core::sc_module_name name, Channel<int>& out, int count, sc_time gap)
      : sc_module(name), out_(out), count_(count), gap_(gap) {
    SC_THREAD(produce);
  }
  void produce() {
    for (int i = 0; i < count_; ++i) {
      if (gap_ > sc_core::SC_ZERO_TIME) wait(gap_);
      out_.push(i);
      last_push = sc_core::sc_time_stamp();
    }
  }
  sc_time last_push;

 private:
  Channel<int>& out_;
  int count_;
  sc_time gap_;
};

struct Consumer : sc_core::sc_module {
  SC_HAS_PROCESS(Consumer);
  Consumer(sc_core::sc_module_name name, Channel<int>& in, std::size_t count, sc_time gap)
      : sc_module(name), in_(in), count_(count), gap_(gap) {
    SC_THREAD(consume);
  }
  void consume() {
    while (taken.size() < count_) {
      taken.push_back(in_.pop());
      if (gap_ > sc_core::SC_ZERO_TIME) wait(gap_);
    }
  }
  std::vector<int> taken;

 private:
  Channel<int>& in_;
  std::size_t count_;
  sc_time gap_;
};

TEST(Channel, DeliversEveryItemInOrderUnderBackPressure) {
  Channel<int> channel("channel", 2);
  Producer producer("producer", channel, 100, sc_core::SC_ZERO_TIME);
  Consumer consumer("consumer", channel, 100, sc_time(3, SC_NS));
  run_until([&] { return consumer.taken.size() == 100; }, sc_time(1, sc_core::SC_US));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(consumer.taken[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(channel.transfers(), 200u);
  // The 100th push had to wait until the 98th item was taken: 97 gaps of 3 ns.
  EXPECT_EQ(producer.last_push, sc_time(97 * 3, SC_NS));
}

TEST(Channel, AddsNoTimeOfItsOwn) {
  Channel<int> channel("channel", 1);
  Producer producer("producer", channel, 10, sc_time(5, SC_NS));
  Consumer consumer("consumer", channel, 10, sc_core::SC_ZERO_TIME);
  run_until([&] { return consumer.taken.size() == 10; }, sc_time(1, sc_core::SC_US));
  EXPECT_EQ(sc_core::sc_time_stamp(), sc_time(50, SC_NS));
}

TEST(Channel, RefusesMoreThanItsCapacityWithoutBlocking) {
  Channel<int> channel("channel", 2);
  EXPECT_FALSE(channel.try_pop().has_value());
  EXPECT_TRUE(channel.try_push(1));
  EXPECT_TRUE(channel.try_push(2));
  EXPECT_FALSE(channel.try_push(3));
  EXPECT_EQ(channel.occupancy(), 2u);
  EXPECT_EQ(channel.front(), 1);
  EXPECT_EQ(channel.try_pop(), 1);
  EXPECT_TRUE(channel.try_push(3));
  EXPECT_EQ(channel.try_pop(), 2);
  EXPECT_EQ(channel.try_pop(), 3);
  EXPECT_TRUE(channel.empty());
}

TEST(Channel, ACapacityOfNothingIsRefused) {
  EXPECT_THROW(Channel<int>("channel", 0), InternalError);
}

TEST(Channel, AreFoundInTheObjectTreeByTheirFullName) {
  struct Owner : sc_core::sc_module {
    explicit Owner(sc_core::sc_module_name name) : sc_module(name), requests("requests", 4) {}
    Channel<int> requests;
  } owner("dma");
  owner.requests.try_push(1);
  EXPECT_EQ(all_channels().size(), 1u);
  EXPECT_EQ(describe_channels(), "dma.requests: 1 of 4, 1 transfers\n");
}

}  // namespace
}  // namespace systole::kernel
