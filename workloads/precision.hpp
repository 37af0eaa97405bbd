// Which format a weight has where and when: maps over layers and linear layers, and schedules over
// phases, steps and feedback (quantization.md §2.1, axis P).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "configs/recipe.hpp"
#include "quant/primitives/select.hpp"
#include "workloads/executor.hpp"

namespace systole::workloads {

enum class LinearName : std::uint8_t {
  attn_q,
  attn_k,
  attn_v,
  attn_output,
  ffn_gate,
  ffn_up,
  ffn_down
};
inline constexpr std::array<std::string_view, 7> kLinearNames = {
    "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

/// Output and input channels of a linear layer (of an expert's, where there are some).
struct LinearSize {
  std::uint64_t outputs = 0, inputs = 0;
};
LinearSize linear_size(const configs::ModelShape& shape, LinearName linear);

/// Its input, as ForwardObserver and calibration name it: linear layers that read the same share
/// it.
std::string_view input_site(LinearName linear);

/// [outputs, inputs]
const std::vector<float>& weight_of(const LayerWeights& weights, LinearName linear);

/// Whether a MAP entry's match, a layer (3), a range (0-3), a linear layer (ffn_down) or both
/// (0-3/ffn_down), is this one. ConfigError for any other text.
bool entry_matches(const std::string& match, std::uint32_t layer, std::string_view linear);

/// The policy of every linear layer of every block, [layer][LinearName]: the recipe's weight
/// policy, its format replaced where a map says so.
///
/// Listed entries: `match` is a layer "3", a range "0-3", a linear layer "ffn_down", or both
/// ("0-3/ffn_down"); the last entry that fits wins. llama_mix: quant::mixed_type by the policy's
/// own format. By another sensitivity: the entries' formats are the choices, `mean_bits` the
/// budget, one choice a layer or a linear layer (quant::allocate). Maps over groups and columns are
/// the weight quantiser's and stay in the policy. Errors: ConfigError for a match that names
/// nothing, experts (no model here has any), or data that is missing.
std::vector<quant::TensorPolicy> weight_policies(const LlamaModel& model,
                                                 const configs::Recipe& recipe,
                                                 const CalibrationData* calibration);

/// Where rows of `cols` elements do not fit a GGUF format, the format that llama.cpp takes instead.
void fit_to_row(quant::TensorPolicy& policy, std::size_t cols);

/// The formats that a run changes between, and which one is now.
///   phase     entries "prefill" and "decode"; a forward() of more than one token is a prefill
///   step      from decode step `at` on (0: the first token after a prefill)
///   feedback  starts with the first entry's format and goes to the next when the mean confidence
///             (largest probability) of the last 10 logits reaches that entry's `at`; back at the
///             first after a prefill (PMPD's confidence scheduler, with a fixed threshold)
///   spec      entries "draft" and "verify"
class PrecisionSchedule {
 public:
  /// Errors: ConfigError for entries that a schedule does not know, and for denoising steps.
  explicit PrecisionSchedule(const configs::Recipe& recipe);

  std::size_t variants() const { return formats_.empty() ? 1 : formats_.size(); }
  /// Gives a policy the format of a variant.
  void apply(std::size_t variant, quant::TensorPolicy& policy) const;

  void begin(std::size_t tokens, std::uint64_t start);
  void end(std::span<const float> logits);
  void use_draft(bool draft);
  /// `at` of a spec schedule's draft entry (4 when not given); 0 without one.
  std::uint64_t draft_length() const;
  std::size_t now() const { return now_; }

 private:
  quant::ScheduleKind kind_;
  std::vector<quant::ScheduleEntry> entries_;
  std::vector<quant::Format> formats_;  ///< by variant; empty: nothing changes
  std::size_t now_ = 0;
  std::uint64_t steps_ = 0;
  quant::RunningWindow confidence_;
};

}  // namespace systole::workloads
