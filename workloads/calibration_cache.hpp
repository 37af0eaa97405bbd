// The cache file of a calibration: what belongs to which model and text, read as hostile input.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "workloads/calibration.hpp"

namespace systole::workloads {

/// What a calibration is a function of. A digest against staleness, not against malice.
struct CacheKey {
  std::array<std::uint64_t, 2> digest{};
  std::uint64_t layers = 0;
  std::array<std::uint64_t, 5> cols{};  ///< of the four sites and the head
  std::uint64_t q_dim = 0, kv_dim = 0, tokens = 0, sample_rows = 0, kv_tokens = 0;
  friend bool operator==(const CacheKey&, const CacheKey&) = default;
};
CacheKey cache_key(const LlamaModel& model, std::span<const std::vector<std::uint32_t>> sequences,
                   const CalibrationOptions& options);

/// Nothing when the file is missing, is not a calibration of this key, or is damaged: sizes are
/// checked against the key before anything is allocated, the content against its digest, and
/// numbers must be finite.
std::optional<Calibration> read_calibration(const std::string& path, const CacheKey& key);
/// Writes beside `path` and renames. False when that fails; nothing is left behind then.
bool write_calibration(const std::string& path, const CacheKey& key,
                       const Calibration& calibration);

}  // namespace systole::workloads
