#include "memory/address_map.hpp"

#include <algorithm>
#include <bit>
#include <string>

#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

std::uint32_t bits_of(const configs::DramConfig& config, const char* field, std::uint32_t value) {
  if (!std::has_single_bit(value)) {
    throw ConfigError("dram '" + config.name + "': " + field + ": expected a power of two, found " +
                      std::to_string(value));
  }
  return static_cast<std::uint32_t>(std::countr_zero(value));
}

}  // namespace

AddressMap::AddressMap(const configs::DramConfig& config, std::uint32_t lump_bytes)
    : burst_bits_(bits_of(config, "burst_bytes", config.burst_bytes)),
      group_bits_(bits_of(config, "bank_groups", config.bank_groups)),
      bank_bits_(bits_of(config, "banks_per_group", config.banks_per_group)) {
  const std::uint32_t row_bits = bits_of(config, "row_bytes", config.row_bytes);
  if (row_bits < burst_bits_) {
    throw ConfigError("dram '" + config.name + "': row_bytes: expected at least burst_bytes (" +
                      std::to_string(config.burst_bytes) + "), found " +
                      std::to_string(config.row_bytes));
  }
  SYSTOLE_CHECK(std::has_single_bit(lump_bytes), "a lump is a power of two of bytes");
  const auto lump_bits = static_cast<std::uint32_t>(std::countr_zero(lump_bytes));
  low_bits_ = std::clamp(lump_bits, burst_bits_, row_bits) - burst_bits_;
  high_bits_ = row_bits - burst_bits_ - low_bits_;
}

std::uint64_t AddressMap::burst_of(const DramLocation& place) const {
  const std::uint32_t group = (place.bank >> bank_bits_) ^ (place.row & mask(group_bits_));
  const std::uint32_t bank =
      (place.bank & mask(bank_bits_)) ^ ((place.row >> group_bits_) & mask(bank_bits_));
  std::uint64_t burst = place.row;
  burst = (burst << high_bits_) | (place.column >> low_bits_);
  burst = (burst << bank_bits_) | bank;
  burst = (burst << group_bits_) | group;
  return (burst << low_bits_) | (place.column & mask(low_bits_));
}

}  // namespace systole::memory
