// Rotations of a model. The contract is in the header.
#include "quant/quantisers/rotation.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/check.hpp"
#include "quant/primitives/random.hpp"
#include "quant/primitives/transform.hpp"

namespace systole::quant {

Rotation Rotation::hadamard(std::size_t size, std::size_t block, std::uint64_t seed) {
  require(std::has_single_bit(block) && size != 0 && size % block == 0,
          "hadamard: a power of two that divides the size");
  Rotation r;
  r.size_ = size;
  r.block_ = block;
  if (seed != 0) {
    SplitMix random(seed);
    r.signs_.resize(size);
    for (double& sign : r.signs_) sign = (random.next() >> 63) != 0 ? -1.0 : 1.0;
  }
  return r;
}

Rotation Rotation::random(std::size_t size, std::uint64_t seed) {
  Rotation r;
  r.size_ = size;
  const std::vector<float> matrix = random_rotation(size, seed);
  r.dense_.assign(matrix.begin(), matrix.end());
  return r;
}

void Rotation::apply(std::span<double> x) const {
  require(x.size() == size_, "rotation: a vector of another size");
  if (!dense_.empty()) {
    std::vector<double> out(size_, 0.0);
    for (std::size_t i = 0; i < size_; ++i) {
      for (std::size_t j = 0; j < size_; ++j) out[j] += x[i] * dense_[i * size_ + j];
    }
    std::copy(out.begin(), out.end(), x.begin());
    return;
  }
  for (std::size_t i = 0; i < signs_.size(); ++i) x[i] *= signs_[i];
  const double scale = 1.0 / std::sqrt(static_cast<double>(block_));
  for (std::size_t first = 0; first < size_; first += block_) {
    for (std::size_t stride = 1; stride < block_; stride *= 2) {
      for (std::size_t i = 0; i < block_; ++i) {
        if ((i & stride) != 0) continue;
        double& a = x[first + i];
        double& b = x[first + i + stride];
        const double sum = a + b, difference = a - b;
        a = sum;
        b = difference;
      }
    }
    for (std::size_t i = 0; i < block_; ++i) x[first + i] *= scale;
  }
}

void rotate_inputs(std::span<float> weight, const Rotation& rotation) {
  const std::size_t n = rotation.size();
  require(n != 0 && weight.size() % n == 0, "rotate_inputs: rows of another size");
  std::vector<double> row(n);
  for (std::size_t first = 0; first < weight.size(); first += n) {
    for (std::size_t j = 0; j < n; ++j) row[j] = double{weight[first + j]};
    rotation.apply(row);
    for (std::size_t j = 0; j < n; ++j) weight[first + j] = static_cast<float>(row[j]);
  }
}

void rotate_outputs(std::span<float> weight, std::size_t inputs, const Rotation& rotation) {
  const std::size_t n = rotation.size();
  require(n != 0 && inputs != 0 && weight.size() % (n * inputs) == 0,
          "rotate_outputs: columns of another size");
  std::vector<double> column(n);
  for (std::size_t first = 0; first < weight.size(); first += n * inputs) {
    for (std::size_t j = 0; j < inputs; ++j) {
      for (std::size_t i = 0; i < n; ++i) column[i] = double{weight[first + i * inputs + j]};
      rotation.apply(column);
      for (std::size_t i = 0; i < n; ++i) {
        weight[first + i * inputs + j] = static_cast<float>(column[i]);
      }
    }
  }
}

namespace {

void check(const RotatableModel& m) {
  const std::size_t h = m.hidden, f = m.intermediate, d = m.head_dim;
  require(h != 0 && f != 0 && d != 0, "rotation: a model of no size");
  require(m.embedding.size() % h == 0 && m.head.size() == m.embedding.size() &&
              m.final_norm.size() == h && m.embedding.data() != m.head.data(),
          "rotation: embedding, head or final norm");
  for (const RotatableBlock& b : m.blocks) {
    require(b.attn_norm.size() == h && b.ffn_norm.size() == h, "rotation: norms are [hidden]");
    require(b.q.size() % (h * d) == 0 && b.k.size() % (h * d) == 0 && b.v.size() == b.k.size() &&
                !b.k.empty() && b.q.size() % b.k.size() == 0 && b.output.size() == b.q.size(),
            "rotation: attention weights");
    require(b.gate.size() == f * h && b.up.size() == f * h && b.down.size() == f * h,
            "rotation: feed-forward weights");
  }
}

void fold_gain(std::span<float> gain, std::span<const std::span<float>> weights) {
  for (const std::span<float> weight : weights) {
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] *= gain[i % gain.size()];
  }
  std::fill(gain.begin(), gain.end(), 1.0f);
}

}  // namespace

void fold_norms(RotatableModel& model) {
  check(model);
  for (RotatableBlock& b : model.blocks) {
    const std::span<float> after_attention[] = {b.q, b.k, b.v};
    fold_gain(b.attn_norm, after_attention);
    const std::span<float> after_ffn[] = {b.gate, b.up};
    fold_gain(b.ffn_norm, after_ffn);
  }
  const std::span<float> head[] = {model.head};
  fold_gain(model.final_norm, head);
}

void rotate_residual(RotatableModel& model, const Rotation& rotation) {
  check(model);
  require(rotation.size() == model.hidden, "rotate_residual: a rotation of the hidden size");
  const auto ones = [](std::span<const float> gain) {
    return std::all_of(gain.begin(), gain.end(), [](float g) { return g == 1.0f; });
  };
  require(ones(model.final_norm), "rotate_residual: fold the norms first");
  rotate_inputs(model.embedding, rotation);
  rotate_inputs(model.head, rotation);
  for (RotatableBlock& b : model.blocks) {
    require(ones(b.attn_norm) && ones(b.ffn_norm), "rotate_residual: fold the norms first");
    for (const std::span<float> weight : {b.q, b.k, b.v, b.gate, b.up}) {
      rotate_inputs(weight, rotation);
    }
    rotate_outputs(b.output, b.output.size() / model.hidden, rotation);
    rotate_outputs(b.down, model.intermediate, rotation);
  }
}

void rotate_values(RotatableModel& model) {
  check(model);
  const Rotation head = Rotation::hadamard(model.head_dim, model.head_dim);
  for (RotatableBlock& b : model.blocks) {
    rotate_outputs(b.v, model.hidden, head);
    rotate_inputs(b.output, head);
  }
}

void fold_online_down(RotatableModel& model, std::size_t block) {
  check(model);
  const Rotation rotation = Rotation::hadamard(model.intermediate, block);
  for (RotatableBlock& b : model.blocks) rotate_inputs(b.down, rotation);
}

}  // namespace systole::quant
