// Few-bit weight codecs of the field whose parameters come from the data: QuEST's clips, nested
// look-up tables (any-precision), PTQ1.61's mask, dense-and-sparse weights.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/format.hpp"

namespace systole::quant {

// --- QuEST ---------------------------------------------------------------------------------------

/// c_b (arXiv 2502.05003; quantization.md D3): the clip, in root mean squares, of least squared
/// error for a Gaussian under F5 (half) by bits 1 ... 8.
inline constexpr std::array<double, 9> kQuestClip = {0,       0.79788, 1.49353, 2.05107, 2.51393,
                                                     2.91609, 3.27660, 3.60105, 3.88494};
/// ... and for three levels (log2 3 = 1.585 bits).
inline constexpr double kQuestClipTernary = 1.22401;
/// By the bits of a code. Errors: std::invalid_argument beyond 8 bits.
double quest_clip(Format format);

/// One row under QuEST: code q stands for (q + 1/2) * step, step = 2 c_b sigma / (2^b - 1), sigma
/// the root mean square of the row (weights) or token (activations): Format::half with 2^b levels.
/// Training (the trust mask on gradients) is outside; the Hadamard of 128 in front is a transform
/// of the policy.
struct QuestRow {
  float step = 0;
  std::vector<std::int8_t> codes;  ///< -2^(b-1) ... 2^(b-1) - 1
};
/// Errors: std::invalid_argument unless 1 <= bits <= 8.
QuestRow quest_quantise(std::span<const float> row, unsigned bits);

// --- any-precision -------------------------------------------------------------------------------

/// Nested look-up tables of one row (any-precision LLM, SNU-ARC; PMPD, arXiv 2410.13461): a seed of
/// 2^seed_bits entries by weighted k-means, then each cluster split in two, and so on to
/// 2^top_bits. The b leading bits of a code of top_bits are the code at b bits.
struct NestedTables {
  unsigned seed_bits = 0, top_bits = 0;
  std::vector<std::vector<float>> tables;  ///< [top_bits - seed_bits + 1][2^b], ascending
  std::vector<std::uint8_t> codes;         ///< at top_bits
  float value(std::size_t i, unsigned bits) const;
};
/// weights: sensitivities (empty: all 1). A cluster of fewer than two distinct values is not split:
/// both halves get its entry. Errors: std::invalid_argument unless 1 <= seed <= top <= 8.
NestedTables nested_tables(std::span<const float> row, std::span<const float> weights,
                           unsigned seed_bits, unsigned top_bits);

// --- PTQ1.61 -------------------------------------------------------------------------------------

/// PTQ1.61 (arXiv 2502.13179) without what it learns: input channels of the largest activation
/// scale keep 4-bit asymmetric codes with one scale a row; the others become alpha_i * sign(w -
/// mu_i) + mu_i, alpha_i the row mean of |w| and mu_i of w over unmasked non-zero weights. The
/// learned rank-1 correction r1 r2 is 1 and the re-training before quantisation is left out:
/// quality is that of the initialisation, below the published figures. sign(0) is +1 here: a
/// one-bit store cannot hold the reference's exact mu (quantization.md §12 trap 18).
struct MaskedBinary {
  std::vector<std::uint32_t> kept;  ///< channels of 4 bits, ascending
  std::vector<float> alpha, mu;     ///< [n]
  std::vector<float> values;        ///< [n][k]
  /// Bits a weight: codes, one bit of mask a channel, and the row parameters in fp16 (2 of the
  /// 4-bit part, 2 of the binary part).
  double stored_bits = 0;
  double code_bits = 0;  ///< codes and mask alone: the published 1.61 counts these (§5 C7)
};
MaskedBinary mask_binarise(std::span<const float> weight, std::size_t n, std::size_t k,
                           std::span<const float> activation_scale, double fraction = 0.2);

}  // namespace systole::quant
