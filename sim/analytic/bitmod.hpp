// The closed-form model of BitMoD's simulator (HPCA'25, abdelfattah-lab/BitMoD-HPCA-25, bitmod_sim)
// in both its versions: the one its figures were made with (commit 6b68523) and HEAD (e445a5f),
// which differ in how the attention products are modelled. FP16, ANT and OliVe are its re-models.
//
// What it leaves out: fill and drain, port conflicts, DRAM latency, softmax and norms, the causal
// half of attention. A layer takes the larger of its compute and its DRAM time.
#pragma once

#include <cstdint>
#include <vector>

#include "configs/paper.hpp"

namespace systole::analytic {

enum class BitmodStage : std::uint8_t { prefill, generation };

/// One matrix product, `times` over. "Weights" are whatever the model keeps along the array's rows,
/// keys and values included.
struct BitmodProduct {
  std::uint64_t times = 1;
  std::uint64_t batch = 1;  ///< KV heads, where each has a product of its own
  std::uint64_t outputs = 0, weight_depth = 0, input_depth = 0, tokens = 0;
  double stored_bits = 0;   ///< of a weight in DRAM
  double written_bits = 0;  ///< of a weight as it is written to the buffer
  double serial_bits = 0;   ///< of a weight, for the time of a bit-serial PE
};

/// The linear layers, the output head (for all tokens) and the two attention products of a model.
/// In the published version the joint attention products multiply operands whose depths differ, and
/// are stored at 16 bits but written and timed as if they had the width of the weights.
std::vector<BitmodProduct> bitmod_products(const configs::BitmodPaper& paper,
                                           const configs::BitmodMachine& machine,
                                           const configs::BitmodModel& model, BitmodStage stage,
                                           double weight_bits);

struct BitmodTotal {
  std::uint64_t cycles = 0, compute_cycles = 0;
  double dram_uj = 0, onchip_uj = 0;
  std::vector<BitmodProduct> products;
};

/// One forward pass. `model` is an index into the paper's models. ConfigError when the paper has no
/// buffer price for the width of a port.
BitmodTotal bitmod_total(const configs::BitmodPaper& paper, const configs::BitmodMachine& machine,
                         std::size_t model, BitmodStage stage);

}  // namespace systole::analytic
