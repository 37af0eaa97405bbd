#include "sim/system/mapping.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::sim {
namespace {

std::string format_pair(quant::Format stationary, quant::Format moving) {
  return std::string(quant::name_of(stationary)) + " x " + std::string(quant::name_of(moving));
}

}  // namespace

TileWork::TileWork(const configs::MemoryConfig& memory, const pe::ArrayWork& array)
    : work(array),
      weight_bytes(ceil_div(array.weight_bits, 8)),
      activation_bytes(ceil_div(array.activation_bits, 8)),
      sum_read_bytes(array.partial_sum_reads * kAccumulatorBytes),
      sum_write_bytes(array.partial_sum_writes * kAccumulatorBytes) {
  const std::uint64_t delivery =
      std::max({ceil_div(weight_bytes, memory.weight.bytes_per_cycle()),
                ceil_div(activation_bytes, memory.activation.bytes_per_cycle()),
                ceil_div(sum_read_bytes, memory.output.bytes_per_cycle()),
                ceil_div(sum_write_bytes, memory.output.bytes_per_cycle())});
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
  return {at(first), at(last) - at(first)};
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

}  // namespace systole::sim
