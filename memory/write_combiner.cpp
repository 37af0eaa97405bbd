// The contract is in the header.
#include "memory/write_combiner.hpp"

#include <algorithm>
#include <iterator>

#include "sim/core/error.hpp"

namespace systole::memory {

WriteCombiner::WriteCombiner(std::uint64_t burst_bytes, std::uint64_t bursts)
    : burst_(burst_bytes), most_(bursts) {
  SYSTOLE_CHECK(burst_bytes > 0, "a burst of no bytes");
}

std::uint64_t WriteCombiner::bytes_of(const Pieces& pieces) {
  std::uint64_t bytes = 0;
  for (const auto& [begin, end] : pieces) bytes += end - begin;
  return bytes;
}

void WriteCombiner::forget(Entries::iterator entry) {
  ages_.erase(entry->second.age);
  entries_.erase(entry);
}

void WriteCombiner::write(const Transfer& write, std::vector<Transfer>& out) {
  const std::uint64_t end = write.address + write.bytes;
  for (std::uint64_t at = write.address; at < end;) {
    // Whole bursts as one stretch, a part of one alone.
    std::uint64_t next = std::min(end, (at / burst_ + 1) * burst_);
    if (at % burst_ == 0 && next - at == burst_) {
      next = at + (end - at) / burst_ * burst_;
      for (auto it = entries_.lower_bound(at / burst_);
           it != entries_.end() && it->first < next / burst_;) {
        const auto stale = it++;
        absorbed_ += bytes_of(stale->second.pieces);
        forget(stale);
      }
      append_run(out, {write.traffic, true, at, next - at});
    } else {
      take(write, at, next, out);
    }
    at = next;
  }
}

/// A part of one burst.
void WriteCombiner::take(const Transfer& like, std::uint64_t begin, std::uint64_t end,
                         std::vector<Transfer>& out) {
  traffic_ = like.traffic;
  if (most_ == 0) {
    append_run(out, {traffic_, true, begin, end - begin});
    return;
  }
  const std::uint64_t burst = begin / burst_;
  auto [it, fresh] = entries_.try_emplace(burst);
  Entry& entry = it->second;
  if (!fresh) ages_.erase(entry.age);
  entry.age = writes_++;
  ages_.emplace(entry.age, burst);
  const std::uint64_t before = bytes_of(entry.pieces);
  Pieces merged;
  std::pair<std::uint64_t, std::uint64_t> piece(begin, end);
  for (const auto& old : entry.pieces) {
    if (old.second < piece.first || old.first > piece.second) {
      merged.push_back(old);
    } else {
      piece = {std::min(piece.first, old.first), std::max(piece.second, old.second)};
    }
  }
  merged.insert(std::ranges::upper_bound(merged, piece), piece);
  entry.pieces = std::move(merged);
  absorbed_ += before + (end - begin) - bytes_of(entry.pieces);
  if (bytes_of(entry.pieces) == burst_) {
    append_run(out, {traffic_, true, burst * burst_, burst_});
    forget(it);
  } else if (entries_.size() > most_) {
    const auto oldest = entries_.find(ages_.begin()->second);
    for (const auto& [from, to] : oldest->second.pieces) {
      append_run(out, {traffic_, true, from, to - from});
    }
    forget(oldest);
  }
}

std::uint64_t WriteCombiner::read(const Transfer& read, std::vector<Transfer>& out) const {
  const std::uint64_t end = read.address + read.bytes;
  std::uint64_t at = read.address, served = 0;
  for (auto it = entries_.lower_bound(at / burst_);
       it != entries_.end() && it->first * burst_ < end; ++it) {
    for (const auto& [from, to] : it->second.pieces) {
      const std::uint64_t first = std::max(at, from), last = std::min(end, to);
      if (first >= last) continue;
      append_run(out, {read.traffic, read.write, at, first - at});
      served += last - first;
      at = last;
    }
  }
  append_run(out, {read.traffic, read.write, at, end - at});
  return served;
}

void WriteCombiner::drop(std::uint64_t begin, std::uint64_t end) {
  for (auto it = entries_.lower_bound(begin / burst_);
       it != entries_.end() && it->first * burst_ < end;) {
    const auto entry = it++;
    Pieces rest;
    for (const auto& [from, to] : entry->second.pieces) {
      if (from < std::min(to, begin)) rest.emplace_back(from, std::min(to, begin));
      if (std::max(from, end) < to) rest.emplace_back(std::max(from, end), to);
    }
    dropped_ += bytes_of(entry->second.pieces) - bytes_of(rest);
    entry->second.pieces = std::move(rest);
    if (entry->second.pieces.empty()) forget(entry);
  }
}

std::uint64_t WriteCombiner::held_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [burst, entry] : entries_) bytes += bytes_of(entry.pieces);
  return bytes;
}

}  // namespace systole::memory
