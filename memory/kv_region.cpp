#include "memory/kv_region.hpp"

#include <string>

#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

/// a * b, or an error the user can act on: shapes come from model files.
std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) {
    throw ConfigError("kv cache: " + std::to_string(a) + " x " + std::to_string(b) +
                      " bytes exceed a 64-bit address space");
  }
  return result;
}

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) {
    throw ConfigError("kv cache: " + std::to_string(a) + " + " + std::to_string(b) +
                      " bytes exceed a 64-bit address space");
  }
  return result;
}

}  // namespace

KvRegion::KvRegion(std::uint64_t base, const KvShape& shape, std::uint32_t burst_bytes)
    : base_(base), shape_(shape) {
  SYSTOLE_CHECK(shape.layers > 0 && shape.max_tokens > 0, "a KV region without layers or tokens");
  SYSTOLE_CHECK(burst_bytes > 0 && base % burst_bytes == 0, "a KV region starts on a burst");
  key_stride_ = product(ceil_div(shape.key_bytes_per_token.count(), burst_bytes), burst_bytes);
  value_stride_ = product(ceil_div(shape.value_bytes_per_token.count(), burst_bytes), burst_bytes);
  layer_stride_ = product(sum(key_stride_, value_stride_), shape.max_tokens);
  (void)sum(base, product(layer_stride_, shape.layers));
}

std::uint64_t KvRegion::key_address(std::uint32_t layer, std::uint64_t token) const {
  SYSTOLE_CHECK(layer < shape_.layers && token <= shape_.max_tokens,
                "a KV address outside its region");
  return base_ + layer * layer_stride_ + token * key_stride_;
}

std::uint64_t KvRegion::value_address(std::uint32_t layer, std::uint64_t token) const {
  SYSTOLE_CHECK(layer < shape_.layers && token <= shape_.max_tokens,
                "a KV address outside its region");
  return base_ + layer * layer_stride_ + shape_.max_tokens * key_stride_ + token * value_stride_;
}

std::array<Transfer, 2> KvRegion::span(std::uint32_t layer, std::uint64_t first,
                                       std::uint64_t count, bool write) const {
  SYSTOLE_CHECK(first <= shape_.max_tokens && count <= shape_.max_tokens - first,
                "tokens " + std::to_string(first) + " + " + std::to_string(count) +
                    " exceed the KV region's " + std::to_string(shape_.max_tokens));
  return {
      Transfer{TrafficClass::kv_cache, write, key_address(layer, first), count * key_stride_},
      Transfer{TrafficClass::kv_cache, write, value_address(layer, first), count * value_stride_}};
}

std::array<Transfer, 2> KvRegion::append(std::uint32_t layer, std::uint64_t first,
                                         std::uint64_t count) const {
  return span(layer, first, count, true);
}

std::array<Transfer, 2> KvRegion::read(std::uint32_t layer, std::uint64_t tokens) const {
  return span(layer, 0, tokens, false);
}

}  // namespace systole::memory
