#include "sim/system/mapping.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::sim {
namespace {

constexpr std::uint64_t kAccumulatorBytes = 4;  // int32 or fp32

std::uint64_t half(const configs::ScratchpadConfig& scratchpad) {
  return scratchpad.capacity_bytes / 2;
}

/// Powers of two times `unit` below `limit`, then `limit` itself.
std::vector<std::uint64_t> tile_sizes(std::uint64_t unit, std::uint64_t limit) {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t size = unit; size < limit; size *= 2) sizes.push_back(size);
  sizes.push_back(limit);
  return sizes;
}

std::string format_pair(quant::Format stationary, quant::Format moving) {
  return std::string(quant::name_of(stationary)) + " x " + std::string(quant::name_of(moving));
}

}  // namespace

bool stays_on_chip(const configs::MachineConfig& machine, std::uint64_t bytes) {
  return bytes <= half(machine.memory.activation);
}

Slice slice(std::uint64_t bytes, std::uint64_t first, std::uint64_t last, std::uint64_t total) {
  SYSTOLE_CHECK(first <= last && last <= total && total > 0, "slice outside its region");
  SYSTOLE_CHECK(total < std::uint64_t{1} << 32, "too many rows");  // so that no product below wraps
  const auto at = [&](std::uint64_t row) {
    return bytes / total * row + bytes % total * row / total;
  };
  return {at(first), at(last) - at(first)};
}

ArrayOperands array_operands(const std::string& operation, const pe::PeDesign& design,
                             const quant::QuantSpec& stationary, const quant::QuantSpec& moving,
                             configs::Dequantise dequantise, std::uint64_t k) {
  ArrayOperands operands;
  operands.stationary = stationary.format;
  operands.moving = moving.format;
  // A PE that takes the codes beside float activations needs no dequantiser in front, whatever the
  // functional contract says; integers on both sides follow the contract.
  const bool both_coded = !quant::is_ieee(stationary.format) && !quant::is_ieee(moving.format);
  const bool takes_codes = design.mode(stationary.format, moving.format) != nullptr;
  const bool scaled_elements =
      !quant::is_ieee(stationary.format) &&
      (both_coded ? dequantise == configs::Dequantise::before : !takes_codes);
  const std::uint64_t group =
      quant::block_length(stationary.format) != 0           ? quant::block_length(stationary.format)
      : stationary.granularity == quant::Granularity::group ? stationary.group
                                                            : 0;
  if (scaled_elements && !(both_coded && quant::block_length(stationary.format) != 0)) {
    operands.dequantise_elements = true;
    operands.stationary = moving.format;
  } else if (group > 0 && k % group == 0 && group < k) {
    operands.group = group;
  }
  if (design.mode(operands.stationary, operands.moving) == nullptr) {
    const std::string message = "operation '" + operation + "' needs " +
                                format_pair(operands.stationary, operands.moving) +
                                " products; PE '" + design.name + "' computes " + design.pairs();
    throw ConfigError(message + "; choose another recipe or machine");
  }
  return operands;
}

GemmMapping map_gemm(const configs::MachineConfig& machine, const pe::PeDesign& design,
                     const workloads::Operation& operation, const ArrayOperands& operands) {
  const auto& memory = machine.memory;
  const std::uint64_t m = operation.m, n = operation.n, k = operation.k;
  const bool input_on_chip = stays_on_chip(machine, operation.input_bytes);
  const auto moving_bytes = [&](std::uint64_t rows) {
    return ceil_div(operation.input_bytes * rows, m);
  };
  const auto stationary_bytes = [&](std::uint64_t columns, std::uint64_t depth) {
    return slice(slice(operation.stationary_region.bytes, 0, columns, n).bytes, 0, depth, k).bytes +
           1;
  };

  // The reduction is cut only when one array width of full columns does not fit; cuts fall on group
  // boundaries.
  const std::uint64_t narrow = std::min<std::uint64_t>(machine.array.cols, n);
  const std::uint64_t unit = operands.group != 0 ? operands.group : machine.array.rows;
  std::uint64_t k_tile = k;
  while (k_tile > unit && stationary_bytes(narrow, k_tile) > half(memory.weight)) {
    k_tile = ceil_div(ceil_div(k_tile, 2), unit) * unit;
  }
  if (stationary_bytes(narrow, k_tile) > half(memory.weight)) {
    throw ConfigError("operation '" + operation.name + "': half of memory.weight (" +
                      std::to_string(half(memory.weight)) +
                      " bytes) cannot hold one array width of " + std::to_string(k_tile) +
                      " rows; enlarge memory.weight.capacity_bytes");
  }

  using Cost = std::tuple<double, std::uint64_t, std::uint64_t>;
  Cost best_cost{};
  GemmMapping best;
  for (const std::uint64_t m_tile : tile_sizes(1, m)) {
    if (!input_on_chip && moving_bytes(m_tile) > half(memory.activation)) continue;
    for (const std::uint64_t n_tile : tile_sizes(narrow, n)) {
      if (stationary_bytes(n_tile, k_tile) > half(memory.weight)) continue;
      if (m_tile * n_tile * kAccumulatorBytes > half(memory.output)) continue;
      const std::uint64_t m_tiles = ceil_div(m, m_tile), n_tiles = ceil_div(n, n_tile);
      const std::uint64_t k_tiles = ceil_div(k, k_tile);
      // Full tiles only: an estimate to rank by, the schedule prices every edge exactly.
      const auto work = pe::array_work(
          machine.array, design,
          {m_tile, n_tile, k_tile, operands.group, operands.stationary, operands.moving});
      const double array_cycles =
          static_cast<double>(work.cycles) * static_cast<double>(m_tiles * n_tiles * k_tiles);
      for (const bool stationary_outer : {true, false}) {
        if (stationary_outer && k_tiles > 1 && m_tiles > 1) continue;
        const std::uint64_t stationary_traffic =
            operation.stationary_region.bytes * (stationary_outer ? 1 : m_tiles);
        const std::uint64_t moving_traffic =
            input_on_chip ? 0 : operation.input_bytes * (stationary_outer ? n_tiles : 1);
        const std::uint64_t traffic = stationary_traffic + moving_traffic;
        const double dram_cycles =
            static_cast<double>(traffic) / machine.peak_dram_bytes_per_cycle();
        const Cost cost{std::max(array_cycles, dram_cycles), traffic, m_tiles * n_tiles};
        if (best.m_tile == 0 || cost < best_cost) {
          best_cost = cost;
          best = {m_tile, n_tile, k_tile, stationary_outer};
        }
      }
    }
  }
  if (best.m_tile == 0) {
    throw ConfigError("operation '" + operation.name + "': no tile of " + std::to_string(m) +
                      " x " + std::to_string(n) + " x " + std::to_string(k) +
                      " fits half of memory.activation and memory.output; enlarge them");
  }
  return best;
}

AttentionMapping map_attention(const configs::MachineConfig& machine,
                               const workloads::Operation& operation) {
  const auto& memory = machine.memory;
  const std::uint64_t rows = operation.m * operation.share;
  const std::uint64_t probability_bits = quant::bits_of(operation.moving_context.format);
  const std::uint64_t score_row = operation.n * kAccumulatorBytes;
  const std::uint64_t probability_row = ceil_div(operation.n * probability_bits, 8);
  const std::uint64_t fit =
      std::min(half(memory.output) / score_row, half(memory.activation) / probability_row);
  if (fit == 0) {
    throw ConfigError("operation '" + operation.name + "': one row of " +
                      std::to_string(operation.n) +
                      " scores does not fit half of memory.output and memory.activation; enlarge "
                      "them or shorten the context");
  }
  AttentionMapping mapping;
  mapping.row_block = std::min(rows, fit);
  if (mapping.row_block < rows && mapping.row_block > machine.array.rows) {
    mapping.row_block -= mapping.row_block % machine.array.rows;
  }
  const std::uint64_t key_head = ceil_div(operation.stationary_region.bytes, operation.batch);
  const std::uint64_t value_head = ceil_div(operation.context_region.bytes, operation.batch);
  mapping.cache_resident = key_head + value_head <= half(memory.weight);
  mapping.n_chunk = operation.n;
  while (!mapping.cache_resident && mapping.n_chunk > 1 &&
         slice(std::max(key_head, value_head), 0, mapping.n_chunk, operation.n).bytes + 1 >
             half(memory.weight)) {
    mapping.n_chunk = ceil_div(mapping.n_chunk, 2);
  }
  return mapping;
}

}  // namespace systole::sim
