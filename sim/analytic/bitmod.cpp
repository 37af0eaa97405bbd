#include "sim/analytic/bitmod.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/error.hpp"

namespace systole::analytic {
namespace {

using configs::BitmodAttention;

/// Buffers are written 64 bits at a time.
constexpr double kWriteBits = 64;
/// Attention operands in the published version, whatever the machine.
constexpr double kJointAttentionBits = 16;

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

/// ceil(count x bits / unit); widths have a few fractional bits, so the product is exact.
std::uint64_t ceil_bits(std::uint64_t count, double bits, double unit) {
  return static_cast<std::uint64_t>(std::ceil(static_cast<double>(count) * bits / unit));
}

double weight_bits_of(const configs::BitmodPhase& phase, std::size_t model) {
  return phase.weight_bits.size() == 1 ? phase.weight_bits[0] : phase.weight_bits[model];
}

/// How often each operand is read from DRAM. When both exceed their buffer one of them is read
/// again for each buffer full of the other: the one that moves less.
struct Fetches {
  std::uint64_t weights = 1, inputs = 1;
};
Fetches fetches_of(std::uint64_t weight_bytes, std::uint64_t input_bytes, std::uint64_t buffer) {
  if (weight_bytes <= buffer || input_bytes <= buffer) return {};
  const Fetches again{ceil_div(input_bytes, buffer), ceil_div(weight_bytes, buffer)};
  const bool weights_again =
      again.weights * weight_bytes + input_bytes < again.inputs * input_bytes + weight_bytes;
  return weights_again ? Fetches{again.weights, 1} : Fetches{1, again.inputs};
}

const configs::BitmodBuffer& buffer_of(const configs::BitmodPaper& paper,
                                       const configs::BitmodMachine& machine, double bits) {
  const auto it =
      std::ranges::find_if(paper.buffers, [&](const auto& buffer) { return buffer.bits == bits; });
  if (it == paper.buffers.end()) {
    throw ConfigError("bitmod.buffers: no prices for a port of " +
                      std::to_string(static_cast<std::uint64_t>(bits)) + " bits, which machine '" +
                      machine.name + "' has");
  }
  return *it;
}

}  // namespace

std::vector<BitmodProduct> bitmod_products(const configs::BitmodPaper& paper,
                                           const configs::BitmodMachine& machine,
                                           const configs::BitmodModel& model, BitmodStage stage,
                                           double weight_bits) {
  const std::uint64_t tokens = stage == BitmodStage::prefill ? paper.context : 1;
  const std::uint64_t hidden = model.hidden, ffn = model.ffn, context = paper.context;
  const std::uint64_t head = hidden / model.heads, kv = head * model.kv_heads;
  std::vector<BitmodProduct> products;
  const auto linear = [&](std::uint64_t times, std::uint64_t outputs, std::uint64_t inputs) {
    products.push_back(
        {times, 1, outputs, inputs, inputs, tokens, weight_bits, weight_bits, weight_bits});
  };
  const std::uint64_t layers = model.layers;
  linear(2 * layers, hidden, hidden);  // query, output
  linear(2 * layers, kv, hidden);      // key, value
  linear((model.gated ? 2 : 1) * layers, ffn, hidden);
  linear(layers, hidden, ffn);
  linear(1, model.vocab, hidden);
  if (machine.attention == BitmodAttention::joint) {
    // Queries times keys, then scores times values: the first operand is what stays in the array.
    products.push_back({layers, 1, tokens, hidden, kv, model.heads * tokens, kJointAttentionBits,
                        weight_bits, weight_bits});
    products.push_back({layers, 1, model.heads * tokens, context, kv, tokens, kJointAttentionBits,
                        weight_bits, weight_bits});
  } else {
    const std::uint64_t queries = model.heads / model.kv_heads * tokens;
    const auto width = static_cast<double>(machine.kv_bits);
    products.push_back({layers, model.kv_heads, context, head, head, queries, width, width, width});
    products.push_back(
        {layers, model.kv_heads, head, context, context, queries, width, width, width});
  }
  return products;
}

BitmodTotal bitmod_total(const configs::BitmodPaper& paper, const configs::BitmodMachine& machine,
                         std::size_t model, BitmodStage stage) {
  const configs::BitmodPhase& phase =
      stage == BitmodStage::prefill ? machine.prefill : machine.generation;
  const double weight_bits = weight_bits_of(phase, model);
  const double activation_bits = paper.activation_bits;
  // Ports: a word a row and a word a column, weights in steps of 4 bits. A bit-serial PE needs one
  // every second cycle.
  const double share = machine.bit_serial ? 0.5 : 1.0;
  const double weight_port = machine.lanes * std::ceil(weight_bits / 4) * 4 * phase.rows * share;
  const double input_port = machine.lanes * activation_bits * phase.cols * share;
  const configs::BitmodBuffer& weights = buffer_of(paper, machine, weight_port);
  const configs::BitmodBuffer& inputs = buffer_of(paper, machine, input_port);
  const double weight_write_pj = weights.write_pj * kWriteBits / weight_port;
  const double input_write_pj = inputs.write_pj * kWriteBits / input_port;

  BitmodTotal total;
  total.products = bitmod_products(paper, machine, paper.models[model], stage, weight_bits);
  double dram_pj = 0, buffer_pj = 0;
  for (const BitmodProduct& p : total.products) {
    const std::uint64_t steps = ceil_div(p.weight_depth, machine.lanes) *
                                ceil_div(p.outputs, phase.rows) * ceil_div(p.tokens, phase.cols) *
                                p.batch;
    const std::uint64_t cycles_a_step =
        machine.bit_serial ? ceil_div(static_cast<std::uint64_t>(p.serial_bits), 2) : 1;
    const std::uint64_t weight_bytes =
        ceil_bits(p.weight_depth, p.stored_bits, 8) * p.outputs * p.batch;
    const std::uint64_t input_bytes =
        ceil_bits(p.input_depth, activation_bits, 8) * p.tokens * p.batch;
    const std::uint64_t output_bytes =
        ceil_bits(p.outputs, activation_bits, 8) * p.tokens * p.batch;
    const Fetches fetches = fetches_of(weight_bytes, input_bytes, paper.buffer_bytes);
    const std::uint64_t dram_bits =
        8 * (weight_bytes * fetches.weights + input_bytes * fetches.inputs + output_bytes);

    const std::uint64_t compute = steps * cycles_a_step;
    total.compute_cycles += p.times * compute;
    total.cycles += p.times * std::max(compute, dram_bits / paper.dram_bits_per_cycle);
    dram_pj += static_cast<double>(p.times * dram_bits) * paper.dram_pj_per_bit;

    const std::uint64_t weight_writes =
        ceil_bits(p.weight_depth, p.written_bits, kWriteBits) * p.outputs * p.batch;
    const std::uint64_t input_writes =
        ceil_bits(p.input_depth, activation_bits, kWriteBits) * p.tokens * p.batch;
    const std::uint64_t output_writes =
        ceil_bits(p.outputs, activation_bits, kWriteBits) * p.tokens * p.batch;
    const auto times = static_cast<double>(p.times);
    buffer_pj += times * (static_cast<double>(steps) * (weights.read_pj + inputs.read_pj) +
                          static_cast<double>(weight_writes * fetches.weights) * weight_write_pj +
                          static_cast<double>(input_writes * fetches.inputs + output_writes) *
                              input_write_pj);
  }
  const double array_pj = machine.pe_pj * paper.placement_factor * phase.rows * phase.cols *
                          static_cast<double>(total.compute_cycles);
  total.dram_uj = dram_pj * 1e-6;
  total.onchip_uj = (array_pj + buffer_pj) * 1e-6;
  return total;
}

}  // namespace systole::analytic
