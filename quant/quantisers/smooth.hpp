// Diagonal factors moved between activations and weights: SmoothQuant, SmoothAttention, FireQ's
// pairs, EAQuant's experts, and AWQ's searches. Factors are found here; folding them leaves what
// the model computes unchanged but for rounding.
//
// A factor s belongs to an input channel: the input is divided by it and the weight's column is
// multiplied. Folding is done in fp32, each product or quotient rounded once (quantization.md §12
// trap 14).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/format.hpp"

namespace systole::quant {

// --- factors -------------------------------------------------------------------------------------

/// Largest |w| of each column over all weights [*][k] that share an input.
std::vector<float> column_absmax(std::span<const std::span<const float>> weights, std::size_t k);

/// s_j = absmax(x_j)^alpha / absmax(w_j)^beta, at least 1e-5; 1 where either is 0. SmoothQuant
/// (arXiv 2211.10438): beta = 1 - alpha. QoQ smooths its output projections with .3 and .7.
std::vector<float> smoothquant_factors(std::span<const float> input_absmax,
                                       std::span<const float> weight_absmax, double alpha,
                                       double beta);

/// SmoothAttention (QServe, arXiv 2405.04532): lambda = absmax(k)^alpha of the rotated keys
/// [kv_heads * head_dim], the larger of a rotary pair for both; 1 for a channel that is 0. Keys are
/// divided, queries multiplied. Pairs are (2i, 2i + 1) of each head.
std::vector<float> smooth_key_factors(std::span<const float> key_absmax, double alpha);
/// FireQ (arXiv 2505.20839): keys before RoPE are multiplied by alpha / max over tokens of the
/// pair's magnitude, queries by the inverse. Returned as what keys are divided by.
std::vector<float> pair_max_factors(std::span<const float> keys, std::size_t channels,
                                    double alpha);
/// MiKV (arXiv 2402.18096): keys times sqrt(max|q| / max|k|) by channel, queries by its inverse,
/// the largest query over the heads that share the key. Returned as what keys are divided by; not
/// tied in pairs, so it belongs after RoPE.
std::vector<float> balance_factors(std::span<const float> query_absmax,
                                   std::span<const float> key_absmax, std::size_t head_dim);
/// EAQuant (arXiv 2506.13329): the largest factor over the experts (and the router) of an input.
std::vector<float> largest_factors(std::span<const std::vector<float>> experts);

// --- folding -------------------------------------------------------------------------------------

/// weight[r][j] *= factors[j].
void multiply_columns(std::span<float> weight, std::span<const float> factors);
/// weight[r][...] /= factors[r], weight [factors.size()][*].
void divide_rows(std::span<float> weight, std::span<const float> factors);
void multiply_rows(std::span<float> weight, std::span<const float> factors);
/// x[i] /= factors[i]: a norm's gain whose output the divided input is, or the input itself.
void divide(std::span<float> x, std::span<const float> factors);
/// Key factors [kv_heads * head_dim] into the projections: key rows divided, query rows [heads *
/// head_dim] multiplied by the factor of the key they meet.
void fold_key_factors(std::span<float> query_weight, std::span<float> key_weight,
                      std::span<const float> factors, std::size_t head_dim, std::size_t hidden);

// --- AWQ ---------------------------------------------------------------------------------------

/// The inputs that an output error is measured on: some rows, or all of them as sum x x^T (used
/// when there are no rows).
struct LayerInputs {
  std::span<const float> rows;     ///< [*][k]
  std::span<const double> sum_xx;  ///< [k][k]
};
/// sum over inputs and outputs of ((a - b) x)^2.
double output_error(std::span<const float> a, std::span<const float> b, std::size_t k,
                    const LayerInputs& inputs);

struct AwqScales {
  std::vector<float> factors;  ///< [k]; empty when no scale was better than none
  double ratio = 0;            ///< r
  double error = 0;            ///< output error with the factors, summed over the weights
  double plain_error = 0;      ///< without
};
/// AWQ's scale search (arXiv 2306.00978) over the weights that share an input: s = max(mean|x|^r,
/// 1e-4), divided by sqrt(max s * min s), r = 0, .05, ... .95, the least output error of
/// quantise(W s) / s by boxes (round_by_boxes), the smallest r winning ties. r = 0 is no scale.
AwqScales awq_scales(std::span<const std::span<const float>> weights, std::size_t k,
                     const QuantSpec& spec, std::span<const float> mean_abs,
                     const LayerInputs& inputs);

/// AWQ's clip search: for each box (row, group) the largest magnitude kept, absmax * (1 - i / 20)
/// for i = 0 ... 9, of least output error of that box alone over its own inputs; the widest wins
/// ties. Result [n][groups]. The released code skips q and k; callers do.
std::vector<float> awq_clips(std::span<const float> weight, std::size_t n, std::size_t k,
                             const QuantSpec& spec, const LayerInputs& inputs);

}  // namespace systole::quant
