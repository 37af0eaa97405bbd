// Which formats the weights and inputs of a timed program have: by layer, linear layer, stretch of
// the reduction, expert, token and step. What a recipe leaves to the data comes from a functional
// run.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "configs/recipe.hpp"
#include "workloads/executor.hpp"
#include "workloads/precision.hpp"
#include "workloads/program.hpp"

namespace systole::workloads {

/// What a functional run decided.
struct PrecisionDecisions {
  /// Input channels of each format in the order of their bits, [layer][LinearName]; nothing for a
  /// weight of one format. Empty where no map was asked for.
  std::vector<std::array<std::vector<quant::FormatShare>, kLinearNames.size()>> shares;
  /// The forward passes after the prefill.
  struct Pass {
    std::uint64_t tokens = 0;
    std::uint64_t kept = 0;  ///< of them, what stays: a draft's token is computed again
    quant::Format format = quant::Format::fp32;  ///< of the weights
  };
  std::vector<Pass> passes;
  std::string source;  ///< "kjv-3m, 128 + 32 tokens"
};

/// Whether the recipe's precision depends on the data: `feedback` and `spec` schedules (passes) and
/// maps by sensitivity (shares).
bool needs_passes(const configs::Recipe& recipe);
bool needs_shares(const configs::Recipe& recipe);

/// Runs `prompt` and up to `decode` tokens greedily, and says what was decided. The run ends where
/// generate() does. `executor`'s cache is empty before and after.
PrecisionDecisions decide_precision(FunctionalExecutor& executor, const Tokenizer& tokenizer,
                                    std::span<const std::uint32_t> prompt, std::uint64_t decode);

/// The weight of one linear layer as a pass reads it: one format, or stretches of the reduction.
struct TimedWeight {
  quant::QuantSpec spec;                   ///< of most input channels
  std::vector<quant::FormatShare> shares;  ///< sums to k; empty: spec throughout

  std::uint64_t stored_bytes(std::uint64_t n, std::uint64_t k) const;
  std::vector<WeightPart> parts(std::uint64_t n) const;  ///< empty without shares
  friend bool operator==(const TimedWeight&, const TimedWeight&) = default;
};

/// Which weight of a model.
struct WeightPlace {
  std::uint32_t layer = 0;
  LinearName linear = LinearName::attn_q;
  std::optional<std::uint32_t> expert{};  ///< of the layer's experts
};

/// What a pass reads the weights for.
struct ReadBy {
  std::optional<std::uint64_t> decoded{};  ///< tokens generated before it; nothing in prefill
  std::optional<quant::Format> format{};   ///< what a functional run chose for it
};

/// Formats of the weights of a program.
///
/// Shares of a map over groups and of a class of channels: as decided by the functional
/// run; without one, as the schedule's entries say in `at` (shares of the whole), rounded to whole
/// groups by the largest remainder, and round(fraction x k) channels of the class.
class WeightPrecision {
 public:
  /// Both must outlive the object. Errors: ConfigError where the recipe leaves something to data
  /// that `decisions` (may be null) lacks.
  WeightPrecision(const configs::Recipe& recipe, const PrecisionDecisions* decisions);

  TimedWeight read(const WeightPlace& place, std::uint64_t k, const ReadBy& by) const;
  /// What is stored: the widest format it is ever read in. Narrower ones read a part of it (nested
  /// bit planes, as any-precision weights are stored).
  TimedWeight stored(const WeightPlace& place, std::uint64_t k) const;
  bool differs_by_layer() const;

 private:
  std::vector<quant::FormatShare> shares(const WeightPlace& place, std::uint64_t k) const;

  const quant::TensorPolicy& policy_;
  const PrecisionDecisions* decisions_;
  std::vector<quant::ScheduleEntry> entries_;
};

/// `whole` units cut by `parts` (any positive numbers): floors first, then by largest remainder,
/// earlier parts first. Sums to `whole`.
std::vector<std::uint64_t> apportion(std::uint64_t whole, std::span<const double> parts);

}  // namespace systole::workloads
