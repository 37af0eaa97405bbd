// A tensor policy of keys or values as the plain numbers that the memory works with.
#pragma once

#include <memory>

#include "configs/recipe.hpp"
#include "quant/kv/plan.hpp"
#include "quant/policy.hpp"
#include "sim/core/kv_layout.hpp"

namespace systole::workloads {

/// Where codes lie, by what shares a scale: token-major where a token brings its own, a row a
/// channel where boxes span tokens (KIVI), a row a 32-bit word of channels where parameters are
/// calibrated by channel (KVQuant's int32 `[heads, head_dim / 32 * bits, max_len]`,
/// SqueezeAILab/KVQuant quant_cuda_kernel.cu), a row a bit plane where the policy says so. Metadata
/// is in planes of its own, in the page of its codes where there are pages, or beside each token's
/// codes (`metadata: inline`). Caches of several forms take pages of 64 tokens where the policy
/// names none (assumed: QServe's), others one region of the longest context, as the reference
/// implementations allocate it. Errors: ConfigError, `where` first, for policies without a layout.
KvLayout kv_layout(quant::KvTensor tensor, const quant::KvShape& shape,
                   const quant::TensorPolicy& policy, const std::string& where);

/// The layout with every form in pages, of 64 tokens where it has none: what sequences can share.
/// Errors: ConfigError, `where` first, for a cache that keeps its tokens outside pages.
KvLayout with_pages(KvLayout layout, const std::string& where);

/// The recipe with the KV cache of another: what that one says nothing of stays.
configs::Recipe with_kv(configs::Recipe recipe, const configs::Recipe& kv);

}  // namespace systole::workloads
