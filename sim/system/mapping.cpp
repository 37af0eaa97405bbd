#include "sim/system/mapping.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "memory/bank_conflicts.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::sim {
namespace {

std::string format_pair(quant::Format stationary, quant::Format moving) {
  return std::string(quant::name_of(stationary)) + " x " + std::string(quant::name_of(moving));
}

}  // namespace

TileWork::TileWork(const configs::MachineConfig& machine, const pe::ArrayWork& array,
                   const TilePlan& plan)
    : work(array),
      weight_bytes(ceil_div(array.weight_bits, 8)),
      activation_bytes(ceil_div(array.activation_bits, 8)),
      sum_read_bytes(array.partial_sum_reads * kAccumulatorBytes),
      sum_write_bytes(array.partial_sum_writes * kAccumulatorBytes) {
  using configs::BankPorts;
  using configs::Dataflow;
  // Both operands lie in rows along K. What is held in the array, or multiplied into held sums,
  // comes an element from each of many rows; what streams past held operands, along a row.
  const configs::ArrayConfig& shape = machine.array;
  const configs::MemoryConfig& memory = machine.memory;
  struct Words {
    std::uint64_t bits, count, bytes;
  };
  const auto delivery_of = [&](const configs::ScratchpadConfig& pad, const Words& words,
                               bool along_row, std::uint64_t edge, std::uint64_t rows,
                               std::uint64_t fill) {
    // The usual case, of which a search asks for very many tiles.
    if (pad.layout == configs::ScratchpadLayout::streamed && pad.ports == BankPorts::r1w1) {
      return ceil_div(words.bytes, pad.bytes_per_cycle());
    }
    memory::OperandTile tile;
    tile.bits = words.bits;
    tile.element_bits =
        words.count == 0 ? 1 : std::max<std::uint64_t>(1, ceil_div(words.bits, words.count));
    tile.row_elements = plan.k;
    tile.lanes_along_row = along_row;
    const std::uint64_t lanes = along_row ? std::min<std::uint64_t>(shape.rows, plan.k)
                                          : std::min(edge * shape.count, rows * plan.products);
    tile.lanes = std::max<std::uint64_t>(1, lanes);
    tile.fill_bytes = fill;
    return memory::delivery_cycles(pad, tile);
  };
  const Dataflow flow = shape.dataflow;
  const std::uint64_t weights =
      delivery_of(memory.weight, {array.weight_bits, array.weight_words, weight_bytes},
                  flow == Dataflow::input_stationary, shape.cols, plan.n, plan.weight_fill_bytes);
  const std::uint64_t activations = delivery_of(
      memory.activation, {array.activation_bits, array.activation_words, activation_bytes},
      flow == Dataflow::weight_stationary,
      flow == Dataflow::output_stationary ? shape.rows : shape.cols, plan.m,
      plan.activation_fill_bytes);
  const std::uint64_t row = memory.output.bytes_per_cycle();
  std::uint64_t sums = ceil_div(std::max(sum_read_bytes, sum_write_bytes), row);
  if (memory.output.ports != BankPorts::r1w1) {  // reads and writes share ports
    const std::uint64_t ports = memory.output.ports == BankPorts::rw2 ? 2 : 1;
    sums = ceil_div(sum_read_bytes + sum_write_bytes, ports * row);
  }
  const std::uint64_t delivery = std::max({weights, activations, sums});
  scratchpad_cycles = delivery > work.repeat_cycles ? delivery - work.repeat_cycles : 0;
}

bool stays_on_chip(const configs::MachineConfig& machine, std::uint64_t bytes) {
  return bytes <= machine.memory.activation.half_bytes();
}

Slice slice(std::uint64_t bytes, std::uint64_t first, std::uint64_t last, std::uint64_t total) {
  SYSTOLE_CHECK(first <= last && last <= total && total > 0, "slice outside its region");
  SYSTOLE_CHECK(total < std::uint64_t{1} << 32, "too many rows");  // so that no product below wraps
  const auto at = [&](std::uint64_t row) {
    return bytes / total * row + bytes % total * row / total;
  };
  const std::uint64_t begin = first == 0 ? 0 : at(first);
  return {begin, (last == total ? bytes : at(last)) - begin};
}

ArrayOperands array_operands(const std::string& operation, const pe::PeDesign& design,
                             const quant::QuantSpec& stationary, const quant::QuantSpec& moving,
                             configs::Dequantise dequantise, std::uint64_t k) {
  ArrayOperands operands;
  operands.stationary = stationary.format;
  operands.moving = moving.format;
  // A sign is -1 or +1, which two bits hold.
  if (stationary.format == quant::Format::int1 &&
      design.mode(stationary.format, moving.format) == nullptr) {
    operands.stationary = quant::Format::int2;
  }
  // A PE that takes the codes beside float activations needs no dequantiser in front, whatever the
  // functional contract says; integers on both sides follow the contract.
  const bool both_coded = !quant::is_ieee(stationary.format) && !quant::is_ieee(moving.format);
  const bool takes_codes = design.mode(operands.stationary, moving.format) != nullptr;
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

GemmParts whole_product(const workloads::Operation& op, const ArrayOperands& operands) {
  return {{operands, op.stationary.affine, 0, op.k, 0, op.stationary_region.bytes}};
}

GemmParts gemm_parts(const pe::PeDesign& design, const workloads::Operation& op) {
  if (op.weight_parts.empty()) {
    return whole_product(
        op, array_operands(op.name, design, op.stationary, op.moving, op.dequantise, op.k));
  }
  SYSTOLE_CHECK(op.weight_parts.size() <= kMaxWeightParts, "too many parts of a weight");
  GemmParts parts;
  std::uint64_t k0 = 0, offset = 0;
  for (const workloads::WeightPart& part : op.weight_parts) {
    SYSTOLE_CHECK(part.k > 0, "an empty part of a weight");
    parts.push_back({array_operands(op.name, design, part.spec, op.moving, op.dequantise, part.k),
                     part.spec.affine, k0, part.k, offset, part.bytes});
    k0 += part.k;
    offset += part.bytes;
  }
  SYSTOLE_CHECK(k0 == op.k && offset == op.stationary_region.bytes,
                "the parts of a weight do not add up");
  return parts;
}

bool passes_in_tiles(const configs::MachineConfig& machine, const workloads::Operation& operation) {
  return machine.mapping.attention == configs::AttentionSchedule::tiled ||
         operation.stationary_cache.has_value() || operation.window > 0;
}

namespace {

/// Most bytes that a chunk of tokens of one head takes as stored: some of them may be kept whole.
std::uint64_t chunk_bytes(const workloads::Region& region,
                          const std::optional<workloads::CacheRegion>& coded, std::uint64_t heads,
                          std::uint64_t tokens, std::uint64_t chunk) {
  if (!coded) return chunk * ceil_div(region.bytes, heads * tokens);
  const KvGeometry& geometry = *coded->geometry;
  const KvLayout& layout = geometry.layout;
  std::uint64_t bits = 0;
  for (const KvForm& form : layout.forms) {
    bits = std::max(bits, ceil_div(form.box_bits(layout.heads), form.box_tokens()));
  }
  return chunk * ceil_div(bits, 8 * layout.heads) +
         std::min(chunk, geometry.full_slots) * geometry.full_head_bytes;
}

}  // namespace

AttentionTiling tile_attention(const configs::MachineConfig& machine,
                               const workloads::Operation& op) {
  constexpr std::uint64_t kPage = 64;  // tokens; chunks end with pages and boxes
  const auto& memory = machine.memory;
  AttentionTiling tiling;
  const auto together = [](const std::optional<workloads::CacheRegion>& coded) {
    return coded && coded->geometry->layout.heads_together();
  };
  if (together(op.stationary_cache) || together(op.context_cache)) tiling.heads = op.batch;
  // A single token's product is too narrow to be cut for several arrays.
  if (op.m == 1) {
    tiling.parallel = std::min<std::uint64_t>(machine.array.count, op.batch);
    tiling.heads = std::max(tiling.heads, tiling.parallel);
  }
  const std::uint64_t rows = op.m * op.share, heads = tiling.heads;
  const auto stored = [&](std::uint64_t chunk) {
    return heads *
           std::max(chunk_bytes(op.stationary_region, op.stationary_cache, op.batch, op.n, chunk),
                    chunk_bytes(op.context_region, op.context_cache, op.batch, op.n, chunk));
  };
  const std::uint64_t probability_bits = quant::bits_of(op.moving_context.format);
  const std::uint64_t query_bytes = ceil_div(op.k * quant::bits_of(op.moving.format), 8);
  const auto fits = [&](std::uint64_t block, std::uint64_t chunk) {
    return stored(chunk) <= memory.weight.half_bytes() &&
           heads * block * (chunk + op.k) * kAccumulatorBytes <= memory.output.half_bytes() &&
           heads * block * (ceil_div(chunk * probability_bits, 8) + query_bytes) <=
               memory.activation.half_bytes();
  };
  const std::uint64_t chunk =
      std::max<std::uint64_t>(kPage, 4 * machine.array.cols / kPage * kPage);
  tiling.row_block = std::min<std::uint64_t>(rows, std::max<std::uint64_t>(op.share, 1));
  tiling.n_chunk = kPage;
  if (!fits(tiling.row_block, tiling.n_chunk)) {
    throw ConfigError("operation '" + op.name + "': " + std::to_string(heads) + " heads with " +
                      std::to_string(kPage) +
                      " cached tokens do not fit half of memory.weight, memory.activation and "
                      "memory.output; enlarge them");
  }
  while (tiling.n_chunk < chunk && fits(tiling.row_block, 2 * tiling.n_chunk)) tiling.n_chunk *= 2;
  const std::uint64_t unit = std::max<std::uint64_t>(machine.array.rows, tiling.row_block);
  std::uint64_t block = tiling.row_block;
  for (std::uint64_t b = unit; fits(std::min(rows, b), tiling.n_chunk); b *= 2) {
    block = std::min(rows, b);
    if (b >= rows) break;
  }
  tiling.row_block = block;
  if (block == rows) {
    while (tiling.n_chunk < op.n && fits(block, 2 * tiling.n_chunk)) tiling.n_chunk *= 2;
  }
  return tiling;
}

}  // namespace systole::sim
