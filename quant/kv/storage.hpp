// How many bits a cache takes, in closed form, and where they lie in a page.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/kv/coder.hpp"

namespace systole::quant {

/// Bits of keys and values of one layer after `tokens` tokens were appended one by one, tables held
/// once (StoredBytes::codebook) not included; the classes of a salience policy have the sizes it
/// gives them. Equals what a cache of that many tokens reports; the exception is a SINK(hidden_max)
/// whose tokens were named. codewords: entries of the retrieval index.
double kv_stored_bits(const KvShape& shape, const TensorPolicy& key, const TensorPolicy& value,
                      std::uint64_t tokens, std::size_t codewords = 4096);
/// The same of one tensor.
std::uint64_t kv_stored_bits(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy,
                             std::uint64_t tokens, std::size_t codewords = 4096);

/// Bits an element of coded tokens takes, metadata included; windows, sinks and padding of pages
/// not: the b_eff of quantization.md §2.2 and §10.
double kv_effective_bits(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy);

struct PageRegion {
  std::uint64_t offset = 0, bytes = 0;
};
/// One page of one tensor of one layer: all KV heads of `tokens` consecutive tokens. Codes lie head
/// by head, token by token (boxes of several tokens: channel by channel), then scales, then zeros
/// or minima, then sparse outliers (values and indices of each token in a row), each region on a
/// byte. Blocks with their own scales are one region, `codes`.
struct Page {
  Format format = Format::fp16;
  std::uint32_t tokens = 0;
  PageRegion codes, scales, zeros, means, sparse;
  std::uint64_t bytes = 0;  ///< a multiple of the policy's alignment
};
/// The page of a policy: `tokens` 0 takes the policy's page, else its box, else 64. Errors:
/// std::invalid_argument when the page is not a whole number of boxes.
Page page_layout(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy,
                 std::uint32_t tokens = 0);
/// The same for tokens kept whole or moved to another format (a tier, a class).
Page page_layout(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy,
                 std::uint32_t tokens, Format format);

}  // namespace systole::quant
