// The grid of a sweep: a point is a number, its digits the indices of the axes' values.
#pragma once

#include <cstdint>
#include <vector>

#include "configs/sweep.hpp"

namespace systole::sweep {

using PointId = std::uint64_t;

class PointSpace {
 public:
  /// `config` must outlive the space.
  explicit PointSpace(const configs::SweepConfig& config);

  /// Of the whole grid, conditions not looked at.
  std::uint64_t size() const { return size_; }
  std::size_t axes() const { return config_.axes.size(); }
  std::uint32_t values_of(std::size_t axis) const {
    return static_cast<std::uint32_t>(config_.axes[axis].values.size());
  }

  /// The last axis counts fastest.
  std::vector<std::uint32_t> indices(PointId id) const;
  PointId id(const std::vector<std::uint32_t>& indices) const;

  /// Of the axes, then of the derived values; a derived value that is no number is empty.
  std::vector<configs::SweepValue> values(PointId id) const;

  /// Indices of the values of the axes that are no choice.
  std::vector<std::uint32_t> scenario(PointId id) const;

  /// Whether the conditions hold.
  bool admits(PointId id) const;

  const configs::SweepConfig& config() const { return config_; }

 private:
  const configs::SweepConfig& config_;
  std::uint64_t size_ = 1;
};

}  // namespace systole::sweep
