#include "memory/placement.hpp"

#include <algorithm>
#include <numeric>

#include "memory/tier.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

void Extents::fill(const Extent& range) {
  std::uint64_t at = range.begin;
  const auto piece = [&](std::uint64_t begin, std::uint64_t end) {
    Extent part = range;
    part.begin = begin;
    part.end = end;
    if (range.target) part.target = *range.target + (begin - range.begin);
    return part;
  };
  auto next = std::ranges::upper_bound(list_, at, {}, &Extent::end);
  while (at < range.end) {
    const std::uint64_t gap = next == list_.end() ? range.end : std::min(range.end, next->begin);
    if (at < gap) {
      const Extent part = piece(at, gap);
      const auto before = next == list_.begin() ? list_.end() : std::prev(next);
      if (before != list_.end() && before->end == part.begin && before->tier == part.tier &&
          before->aged == part.aged && !before->target && !part.target) {
        before->end = part.end;
      } else {
        next = std::next(list_.insert(next, part));
      }
    }
    if (next == list_.end()) break;
    at = std::max(gap, next->end);
    ++next;
  }
}

void Extents::translate(const Transfer& transfer, std::uint64_t shift,
                        std::vector<Transfer>& parts) const {
  std::uint64_t at = transfer.address - shift;
  const std::uint64_t end = at + transfer.bytes;
  auto next = std::ranges::upper_bound(list_, at, {}, &Extent::end);
  const auto put = [&](std::uint64_t stop, std::uint32_t tier, std::uint64_t address) {
    const std::uint64_t global = in_tier(tier, address);
    if (!parts.empty() && parts.back().traffic == transfer.traffic &&
        parts.back().write == transfer.write && at != transfer.address - shift &&
        parts.back().address + parts.back().bytes == global) {
      parts.back().bytes += stop - at;
    } else {
      parts.push_back({transfer.traffic, transfer.write, global, stop - at});
    }
    at = stop;
  };
  while (at < end) {
    if (next == list_.end() || end <= next->begin) {
      put(end, 0, at + shift);
    } else if (at < next->begin) {
      put(next->begin, 0, at + shift);
    } else {
      const std::uint64_t address = next->target ? *next->target + (at - next->begin) : at + shift;
      put(std::min(end, next->end), next->tier, address);
      ++next;
    }
  }
}

std::uint64_t Extents::bytes(std::uint32_t tier, std::uint64_t begin, std::uint64_t end) const {
  std::uint64_t sum = 0, known = 0;
  for (const Extent& extent : list_) {
    const std::uint64_t first = std::max(begin, extent.begin), last = std::min(end, extent.end);
    if (first >= last) continue;
    known += last - first;
    if (extent.tier == tier) sum += last - first;
  }
  return tier == 0 ? sum + (end - begin - known) : sum;
}

Ranges without(const Ranges& a, Ranges b) {
  std::ranges::sort(b);
  Ranges rest;
  for (auto [begin, end] : a) {
    for (const auto& [from, to] : b) {
      if (to <= begin) continue;
      if (from >= end || begin >= end) break;
      if (begin < from) rest.emplace_back(begin, from);
      begin = std::max(begin, to);
    }
    if (begin < end) rest.emplace_back(begin, end);
  }
  return rest;
}

TierSpace::TierSpace(std::vector<std::uint64_t> capacities)
    : capacities_(std::move(capacities)), used_(capacities_.size()), spilled_(capacities_.size()) {}

std::vector<TierSpace::Part> TierSpace::take(std::uint32_t tier, std::uint64_t bytes) {
  std::vector<Part> parts;
  std::uint64_t left = bytes;
  for (std::uint32_t i = 0; i < count() && left > 0; ++i) {
    const std::uint32_t t = (tier + i) % count();
    std::uint64_t room = capacities_[t] - used_[t];
    if (room < left) room = room / kPageBytes * kPageBytes;
    const std::uint64_t here = std::min(room, left);
    if (here == 0) continue;
    parts.push_back({t, here});
    left -= here;
  }
  if (left > 0) return {};
  for (const Part& part : parts) {
    used_[part.tier] += part.bytes;
    if (part.tier != tier) spilled_[tier] += part.bytes;
  }
  return parts;
}

std::optional<std::uint32_t> TierSpace::take_whole(std::uint32_t tier, std::uint64_t bytes) {
  for (std::uint32_t i = 0; i < count(); ++i) {
    const std::uint32_t t = (tier + i) % count();
    if (capacities_[t] - used_[t] < bytes) continue;
    used_[t] += bytes;
    if (t != tier) spilled_[tier] += bytes;
    return t;
  }
  return std::nullopt;
}

void WearLedger::write(std::uint64_t address, std::uint64_t bytes) {
  if (bytes == 0) return;
  std::uint64_t line = address / line_;
  const std::uint64_t last = (address + bytes - 1) / line_;
  const std::uint64_t per_region = lines_per_region();
  total_ += last - line + 1;
  while (line <= last) {
    const std::uint64_t region = line / per_region;
    const std::uint64_t stop = std::min(last + 1, (region + 1) * per_region);
    regions_[region] += stop - line;
    line = stop;
  }
}

std::uint64_t WearLedger::most() const {
  std::uint64_t most = 0;
  for (const auto& [region, writes] : regions_) most = std::max(most, writes);
  return most;
}

std::optional<double> WearLedger::lifetime_seconds(double seconds) const {
  if (total_ == 0 || !(seconds > 0)) return std::nullopt;
  const double per_line = static_cast<double>(most()) / static_cast<double>(lines_per_region());
  return endurance_ / (per_line / seconds);
}

}  // namespace systole::memory
