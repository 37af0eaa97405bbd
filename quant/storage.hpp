// How many bits a tensor really occupies, part by part: codes, parameters, outliers, indices and
// padding. Never nominal bits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/policy.hpp"

namespace systole::quant {

/// Bits by part. Every part is exact; `padding` is what rows, planes and pages are filled up with.
struct StoredBits {
  std::uint64_t codes = 0;
  std::uint64_t scales = 0;          ///< of every level, and of the tensor
  std::uint64_t zeros = 0;           ///< zero points, minima, offsets, means
  std::uint64_t tags = 0;            ///< chosen types, special values, class masks
  std::uint64_t codebook = 0;        ///< tables and codewords, once for all that share them
  std::uint64_t sparse_values = 0;   ///< outliers kept apart
  std::uint64_t sparse_indices = 0;  ///< and where they belong
  std::uint64_t index = 0;           ///< retrieval index beside the stored values
  std::uint64_t padding = 0;

  /// Errors: std::overflow_error when the sum does not fit 64 bits.
  std::uint64_t total() const;
  StoredBits& operator+=(const StoredBits& other);
  friend bool operator==(const StoredBits&, const StoredBits&) = default;
};

/// Products and sums of sizes. Errors: std::overflow_error beyond 64 bits.
std::uint64_t checked_product(std::uint64_t a, std::uint64_t b);
std::uint64_t checked_sum(std::uint64_t a, std::uint64_t b);

}  // namespace systole::quant
