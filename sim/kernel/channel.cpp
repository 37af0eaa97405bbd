// Walks SystemC's object tree for channels; the queue itself is in the header.
#include "sim/kernel/channel.hpp"

namespace systole::kernel {

ChannelBase::ChannelBase(const char* name, std::size_t capacity)
    : sc_core::sc_object(name), capacity_(capacity) {
  SYSTOLE_CHECK(capacity > 0, std::string(this->name()) + ": a channel needs room for one item");
}

namespace {

void collect(const std::vector<sc_core::sc_object*>& objects,
             std::vector<const ChannelBase*>& channels) {
  for (const sc_core::sc_object* object : objects) {
    if (const auto* channel = dynamic_cast<const ChannelBase*>(object)) channels.push_back(channel);
    collect(object->get_child_objects(), channels);
  }
}

}  // namespace

std::vector<const ChannelBase*> all_channels() {
  std::vector<const ChannelBase*> channels;
  collect(sc_core::sc_get_top_level_objects(), channels);
  return channels;
}

std::string describe_channels() {
  std::string text;
  for (const ChannelBase* channel : all_channels()) {
    text += std::string(channel->name()) + ": " + std::to_string(channel->occupancy()) + " of " +
            std::to_string(channel->capacity()) + ", " + std::to_string(channel->transfers()) +
            " transfers\n";
  }
  return text;
}

std::uint64_t total_transfers() {
  std::uint64_t sum = 0;
  for (const ChannelBase* channel : all_channels()) sum += channel->transfers();
  return sum;
}

}  // namespace systole::kernel
