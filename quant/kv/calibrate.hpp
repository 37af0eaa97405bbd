// What the cache of one layer learns offline from sample tokens: channel ranges, tables, factors,
// orders, classes, the retrieval codebook. Everything that a policy does not ask for stays empty.
#pragma once

#include <cstdint>
#include <span>

#include "quant/kv/cache.hpp"

namespace systole::quant {

/// Consecutive tokens of one layer: keys and values [tokens][kv_heads * head_dim], queries
/// [tokens][query_heads * head_dim]. Queries are needed by DIAG(balance) (after RoPE) and retrieval
/// (before). Weights of the k-means (diagonal Fisher information), same shape as the samples, or
/// empty.
struct KvSampleRows {
  std::span<const float> key_pre, key_post, value, query_pre, query_post;
  std::span<const float> key_weights, value_weights;
};

/// The rules, where each value comes from (x: the tensor as it is stored, transforms applied):
///   DIAG     smooth_key: absmax(x)^alpha (QServe, PM-KVQ); balance: sqrt(max|q| / max|k|) (MiKV);
///            pair_max: alpha / largest magnitude of the rotary pair (FireQ); tied: the larger of a
///            pair; 1 where nothing was seen
///   ROT      a random rotation from `seed`
///   PERM     ascending sums of each channel (RotateKV)
///   TOPCH    the `count` channels of each head with the largest absmax and their rotary partners:
///            the largest absmax of the others over the channel's (FireQ's beta, which its text
///            leaves open)
///   ranges   minimum and maximum of each static box; with DS the quantiles fraction / 2 on both
///            sides (KVQuant), which are the thresholds too
///   lut      weighted k-means of normalised values that are no outliers, at most 2^18 of them;
///            q_norm: decoding entries moved so that mean and deviation of the decoded samples are
///            those of the samples
///   classes  channels of a head by descending range over heads and tokens (VidKV)
///   NVFP4    absmax / 2688
///   RETR     H = sum q q^T over the group's queries at the constant relative position, over its
///            mean diagonal, plus 1e-4 on the diagonal; codewords by k-means of K L (A2ATS)
/// Errors: std::invalid_argument when samples are missing, of unequal size, or a rule is not of a
/// cache.
KvCalibration calibrate_kv(const KvShape& shape, const TensorPolicy& key, const TensorPolicy& value,
                           const KvSampleRows& samples, std::span<const double> rope_frequencies,
                           std::uint64_t seed = 1);

/// Whether a cache policy has anything that calibrate_kv finds.
bool kv_needs_calibration(const TensorPolicy& policy);

/// First-order sensitivity of a layer to one tensor's quantisation: mean |(Q(x) - x) * gradient|
/// (PM-KVQ), Q being the policy's codec in `format`; without gradients mean (Q(x) - x)^2 (TaDA's
/// error). Rows [tokens][width] as given to append. For an allocator of bits over layers.
double kv_sensitivity(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy,
                      Format format, std::span<const float> rows, std::span<const float> gradient,
                      const SideCalibration& calibration = {});

}  // namespace systole::quant
