// The KV cache as a region of DRAM: where the keys and values of a token lie, and what appending
// and reading move.
#pragma once

#include <array>
#include <cstdint>

#include "memory/dma.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

/// Shape of a KV cache. Bytes of a token are those of all KV heads of one layer, scales and zero
/// points included.
struct KvShape {
  std::uint32_t layers = 0;
  std::uint64_t max_tokens = 0;
  Bytes key_bytes_per_token;
  Bytes value_bytes_per_token;
};

/// Layout, outermost first: layer | keys, values | token. A token's vector starts on a burst, so
/// that appending it needs no read of its neighbour; the padding this costs is stored, moved and
/// counted.
class KvRegion {
 public:
  /// `base` is a burst-aligned global address. Errors: ConfigError when the region exceeds the
  /// address space; SYSTOLE_CHECK for a shape of zero layers or tokens, or a base off a burst.
  KvRegion(std::uint64_t base, const KvShape& shape, std::uint32_t burst_bytes);

  /// The whole region, padding included.
  Bytes bytes() const { return Bytes(layer_stride_ * shape_.layers); }
  Bytes key_stride() const { return Bytes(key_stride_); }
  Bytes value_stride() const { return Bytes(value_stride_); }
  std::uint64_t key_address(std::uint32_t layer, std::uint64_t token) const;
  std::uint64_t value_address(std::uint32_t layer, std::uint64_t token) const;

  /// Writes of keys and of values of tokens [first, first + count). Errors: SYSTOLE_CHECK beyond
  /// the shape.
  std::array<Transfer, 2> append(std::uint32_t layer, std::uint64_t first,
                                 std::uint64_t count = 1) const;
  /// Reads of keys and of values of tokens [0, tokens).
  std::array<Transfer, 2> read(std::uint32_t layer, std::uint64_t tokens) const;

 private:
  std::array<Transfer, 2> span(std::uint32_t layer, std::uint64_t first, std::uint64_t count,
                               bool write) const;

  std::uint64_t base_;
  KvShape shape_;
  std::uint64_t key_stride_ = 0, value_stride_ = 0, layer_stride_ = 0;
};

}  // namespace systole::memory
