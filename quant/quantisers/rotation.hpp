// Orthogonal rotations folded into a Llama-like model's weights (QuaRot, RSQ, QoQ's block inputs):
// the residual stream turns, the model computes the same. All in double, each weight rounded once.
//
// Source: QuaRot (arXiv 2404.00456), RSQ (arXiv 2503.01820; quantization.md C3). A rotation Q acts
// on row vectors, x' = x Q; RMSNorm without a gain commutes with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant {

/// An orthogonal matrix applied to rows of `size` elements.
class Rotation {
 public:
  /// Hadamard in consecutive blocks of `block` (a power of two that divides size); after random
  /// signs, a function of the seed, unless seed is 0 (QuaRot's randomised Hadamard).
  static Rotation hadamard(std::size_t size, std::size_t block, std::uint64_t seed = 0);
  /// A random dense orthogonal matrix (primitives/transform.hpp).
  static Rotation random(std::size_t size, std::uint64_t seed);

  std::size_t size() const { return size_; }
  /// x := x Q.
  void apply(std::span<double> x) const;

 private:
  std::size_t size_ = 0, block_ = 0;
  std::vector<double> signs_;  ///< empty: all +1
  std::vector<double> dense_;  ///< [size][size]; empty: Hadamard
};

/// W := W Q for weight [*][size]: the input has been turned.
void rotate_inputs(std::span<float> weight, const Rotation& rotation);
/// W := Q^T W for weight [outputs][inputs], outputs a multiple of size (blocks, e.g. heads): the
/// output turns.
void rotate_outputs(std::span<float> weight, std::size_t inputs, const Rotation& rotation);

/// Weights of a model where they lie, all [output][input] row-major. The embedding and the head
/// must not be the same memory (untie them first: the final norm's gain goes into the head only).
struct RotatableBlock {
  std::span<float> attn_norm, q, k, v, output, ffn_norm, gate, up, down;
};
struct RotatableModel {
  std::size_t hidden = 0, head_dim = 0, intermediate = 0;
  std::span<float> embedding;  ///< [vocab][hidden]
  std::vector<RotatableBlock> blocks;
  std::span<float> final_norm;
  std::span<float> head;  ///< [vocab][hidden]
};

/// Norm gains into the weights that follow; all gains become 1. Errors of all four: size
/// mismatches, std::invalid_argument.
void fold_norms(RotatableModel& model);
/// The residual stream in another basis: embedding, every input and output of it, and the head.
/// Needs folded norms (gains of exactly 1).
void rotate_residual(RotatableModel& model, const Rotation& rotation);
/// Values of each KV head turned by a Hadamard of head_dim, undone in the columns of the output
/// projection: what the cache holds of V is flatter.
void rotate_values(RotatableModel& model);
/// down := down H in blocks of `block`: the activation must go through the same Hadamard at run
/// time.
void fold_online_down(RotatableModel& model, std::size_t block);

}  // namespace systole::quant
