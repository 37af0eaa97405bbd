// How an operation is cut so that its pieces fit the scratchpads: tile sizes and loop order.
#pragma once

#include <cstdint>

#include "configs/machine.hpp"
#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

/// The operands as the array sees them.
struct ArrayOperands {
  quant::Format stationary = quant::Format::int8;
  quant::Format moving = quant::Format::int8;
  std::uint64_t group = 0;           ///< elements along K that share a scale; 0 = all of K
  bool dequantise_elements = false;  ///< every stationary element is scaled on its way to the array
};

/// What the array has to multiply when a tensor `stationary` meets `moving` along `k` elements.
/// Throws ConfigError, naming `operation`, when the PE has no such mode.
ArrayOperands array_operands(const std::string& operation, const pe::PeDesign& design,
                             const quant::QuantSpec& stationary, const quant::QuantSpec& moving,
                             configs::Dequantise dequantise, std::uint64_t k);

/// Tiles of a GEMM: m_tile x n_tile outputs over k_tile of the reduction at a time.
struct GemmMapping {
  std::uint64_t m_tile = 0, n_tile = 0, k_tile = 0;
  bool stationary_outer =
      true;  ///< weights are read once and all rows stream past; else rows stay, weights pass
};

/// Chooses the mapping with the smallest max(array cycles, DRAM cycles), then the least DRAM
/// traffic, then the largest tiles, over power-of-two tiles and both loop orders. `operation.kind`
/// is gemm. Throws ConfigError when not even one array-wide tile fits.
GemmMapping map_gemm(const configs::MachineConfig& machine, const pe::PeDesign& design,
                     const workloads::Operation& operation, const ArrayOperands& operands);

/// Attention of one KV head: `row_block` query rows at a time against `n_chunk` cached tokens.
struct AttentionMapping {
  std::uint64_t row_block = 0;
  std::uint64_t n_chunk = 0;
  bool cache_resident = false;  ///< K and V of a head stay on chip for all row blocks
};

AttentionMapping map_attention(const configs::MachineConfig& machine,
                               const workloads::Operation& operation);

/// True when a tensor of `bytes` passes from one operation to the next on chip: it fits half of the
/// activation scratchpad. Otherwise its producer writes it to DRAM and its consumer reads it back.
bool stays_on_chip(const configs::MachineConfig& machine, std::uint64_t bytes);

/// Bytes of rows [first, last) out of `total` equal rows of a region of `bytes`: cuts conserve the
/// whole.
struct Slice {
  std::uint64_t offset = 0, bytes = 0;
};
Slice slice(std::uint64_t bytes, std::uint64_t first, std::uint64_t last, std::uint64_t total);

}  // namespace systole::sim
