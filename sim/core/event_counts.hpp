// Integer event counts: what the run produces and what energy is priced from, afterwards.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace systole {

/// Counts by event name. A name is `component.event`, e.g. `array.mac`, `dram.read_bit`,
/// `sram.weight.read_word`; the part before the first dot is the component that the energy
/// breakdown shows. Ordered, so that every walk, sum and file is in one order. Counts only grow.
class EventCounts {
 public:
  void add(std::string_view event, std::uint64_t count) {
    if (count == 0) return;
    auto it = counts_.find(event);
    if (it == counts_.end()) it = counts_.emplace(std::string(event), 0).first;
    it->second += count;
  }
  std::uint64_t get(std::string_view event) const {
    const auto it = counts_.find(event);
    return it == counts_.end() ? 0 : it->second;
  }
  EventCounts& operator+=(const EventCounts& other) {
    for (const auto& [event, count] : other.counts_) add(event, count);
    return *this;
  }
  /// What was counted since `start` (a region is snapshot - snapshot).
  EventCounts since(const EventCounts& start) const {
    EventCounts difference;
    for (const auto& [event, count] : counts_) difference.add(event, count - start.get(event));
    return difference;
  }
  /// The same work `n` times (a layer simulated once and repeated).
  EventCounts times(std::uint64_t n) const {
    EventCounts product;
    for (const auto& [event, count] : counts_) product.add(event, count * n);
    return product;
  }
  auto begin() const { return counts_.begin(); }
  auto end() const { return counts_.end(); }
  friend bool operator==(const EventCounts&, const EventCounts&) = default;

 private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

}  // namespace systole
