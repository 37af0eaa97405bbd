#include "sim/system/scratchpad_use.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace systole::sim {
namespace {

using workloads::Operation;
using workloads::OpKind;

/// Scores of a block of rows against the tokens it meets at a time, and the block's context sums.
std::uint64_t attention_sums(Mapper& mapper, const Operation& op) {
  const configs::MachineConfig& machine = mapper.machine();
  if (attends_at_memory(machine, op)) return 0;
  std::uint64_t heads = 1, rows = 0, tokens = op.n;
  if (passes_in_tiles(machine, op)) {
    const AttentionTiling tiling = tile_attention(machine, op);
    heads = std::min(tiling.heads, op.batch);
    rows = tiling.row_block;
    tokens = std::min(tiling.n_chunk, op.n);
  } else {
    rows = mapper.map_attention(op).mapping.row_block;
  }
  return heads * std::min(rows, op.m * op.share) * (tokens + op.k) * kAccumulatorBytes;
}

}  // namespace

BytesByScratchpad kept_bytes(Mapper& mapper, const Operation& op) {
  BytesByScratchpad kept{};
  const bool embedding =
      op.kind == OpKind::vector && op.vector_op == workloads::VectorOp::embedding;
  const auto stays = [&](std::uint64_t bytes) {
    return stays_on_chip(mapper.machine(), bytes) ? bytes : 0;
  };
  kept[static_cast<std::size_t>(ScratchpadOf::activations)] =
      (embedding ? 0 : stays(op.input_bytes)) + stays(op.output_bytes);
  std::uint64_t& sums = kept[static_cast<std::size_t>(ScratchpadOf::sums)];
  if (op.kind == OpKind::gemm) {
    const GemmParts parts = gemm_parts(mapper.design(), op);
    const GemmMapping& map = mapper.map(op, parts).mapping;
    sums = open_sum_bytes(op, map, tile_grid(op, parts, map).k > 1);
  } else if (op.kind == OpKind::attention) {
    sums = attention_sums(mapper, op);
  }
  return kept;
}

void add_kept(Mapper& mapper, const workloads::Program& program,
              std::vector<std::vector<SegmentOutcome>>& outcomes) {
  for (std::size_t s = 0; s < program.steps.size(); ++s) {
    const workloads::Step& step = program.steps[s];
    for (std::size_t g = 0; g < step.segments.size(); ++g) {
      for (std::size_t o = 0; o < step.segments[g].operations.size(); ++o) {
        const BytesByScratchpad kept = kept_bytes(mapper, step.segments[g].operations[o]);
        OperationOutcome& done = outcomes.at(s).at(g).operations.at(o);
        const std::uint64_t cycles = done.cycles();
        for (std::size_t p = 0; p < kScratchpadCount; ++p) {
          done.held_byte_cycles[p] += kept[p] * cycles;
        }
      }
    }
  }
}

std::vector<ScratchpadUse> scratchpads_of(const configs::MachineConfig& machine) {
  const configs::MemoryConfig& memory = machine.memory;
  const std::array<const configs::ScratchpadConfig*, kScratchpadCount> configs = {
      &memory.weight, &memory.activation, &memory.output};
  std::vector<ScratchpadUse> all;
  for (std::size_t s = 0; s < kScratchpadCount; ++s) {
    all.push_back({std::string(kScratchpadNames[s]), configs[s]->capacity_bytes, 0});
  }
  return all;
}

}  // namespace systole::sim
