// The systems of the field as data: the policies of keys and values with the published parameters
// (reference/quantization.md §3, §4, §9). The recipe files of the same names equal them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "quant/policy.hpp"

namespace systole::quant {

struct KvPolicies {
  TensorPolicy key, value;
  friend bool operator==(const KvPolicies&, const KvPolicies&) = default;
};

/// Caches without a method: fp16, bf16, fp32; intN (one fp16 scale a token and head); fp8_e4m3
/// likewise; MX, NVFP4 and GGUF blocks along the token.
KvPolicies plain_kv(Format format);

/// KIVI: keys in boxes of `group` tokens, values of `group` channels, window of 128.
KvPolicies kivi(unsigned bits, std::uint32_t group = 32);
/// KVQuant: `lut` false: the uniform variant. outliers 1 %: `deployed` stores them as fp32 and
/// int32 as the released kernels do, else fp16 and 16 bits as the paper counts.
KvPolicies kvquant(unsigned bits, bool outliers, bool q_norm = false, bool deployed = false);
KvPolicies qserve(unsigned bits);    ///< 4 or 8
KvPolicies rotatekv(unsigned bits);  ///< 2, 3, 4
KvPolicies zipcache();               ///< 60 % of the tokens salient at 4 bits, others 2
KvPolicies mikv(unsigned low_bits = 3);
KvPolicies tada(unsigned bits = 4);  ///< of a layer without an entry in its bit map
KvPolicies vidkv(Contract contract = Contract::reference);
KvPolicies pmkvq(std::uint64_t budget_bytes = 65536);  ///< of codes, of keys and of values each
KvPolicies age_tiers();
KvPolicies fireq();
KvPolicies kvcrush();  ///< over an fp16 cache
KvPolicies a2ats();

/// Every named system: what `recipes/` and the tests go through.
struct KvSystem {
  std::string_view name;
  std::string_view source;
  KvPolicies policies;
};
const std::vector<KvSystem>& kv_systems();
/// Errors: std::invalid_argument naming the known ones.
const KvPolicies& kv_system(std::string_view name);

/// The policy of one layer: the format of the MAP entry that names it ("3", "0-3"), else its own.
TensorPolicy policy_of_layer(const TensorPolicy& policy, std::uint32_t layer);

}  // namespace systole::quant
