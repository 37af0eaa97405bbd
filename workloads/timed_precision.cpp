#include "workloads/timed_precision.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/core/error.hpp"
#include "workloads/perplexity.hpp"
#include "workloads/storage.hpp"

namespace systole::workloads {
namespace {

using configs::Recipe;
using configs::Target;
using quant::FormatShare;
using quant::MapUnit;
using quant::QuantSpec;
using quant::ScheduleEntry;
using quant::ScheduleKind;
using quant::Sensitivity;
using quant::TensorPolicy;

bool has_classes(const TensorPolicy& policy) {
  return policy.outliers.kind == quant::OutlierKind::channel_class;
}

bool maps_groups(const TensorPolicy& policy) {
  const quant::Schedule& schedule = policy.schedule;
  return schedule.kind == ScheduleKind::map && schedule.unit == MapUnit::group;
}

/// The passes of a run as its forward calls tell them.
class PassRecorder : public ForwardObserver {
 public:
  void pass(std::uint64_t tokens, std::uint64_t start, quant::Format format) override {
    // What is computed from `start` on replaces what was there.
    for (std::size_t i = 0; i < starts_.size(); ++i) {
      const std::uint64_t left = start > starts_[i] ? start - starts_[i] : 0;
      passes_[i].kept = std::min(passes_[i].kept, left);
    }
    starts_.push_back(start);
    passes_.push_back({tokens, tokens, format});
  }
  std::vector<PrecisionDecisions::Pass> after_prefill() const {
    return passes_.empty() ? passes_ : std::vector(passes_.begin() + 1, passes_.end());
  }

 private:
  std::vector<std::uint64_t> starts_;
  std::vector<PrecisionDecisions::Pass> passes_;
};

}  // namespace

bool needs_passes(const Recipe& recipe) {
  const ScheduleKind kind = recipe[Target::weight].schedule.kind;
  return kind == ScheduleKind::feedback || kind == ScheduleKind::spec;
}

bool needs_shares(const Recipe& recipe) { return maps_groups(recipe[Target::weight]); }

PrecisionDecisions decide_precision(FunctionalExecutor& executor, const Tokenizer& tokenizer,
                                    std::span<const std::uint32_t> prompt, std::uint64_t decode) {
  PrecisionDecisions decisions;
  if (needs_passes(executor.recipe())) {
    PassRecorder recorder;
    executor.observe(&recorder);
    // The prefill itself yields the first token.
    generate(executor, tokenizer, prompt, decode + 1);
    executor.observe(nullptr);
    executor.reset();
    decisions.passes = recorder.after_prefill();
  }
  if (needs_shares(executor.recipe())) decisions.shares = executor.format_shares();
  decisions.source = fmt::format("{} under {}, {} prompt tokens", executor.shape().name,
                                 executor.recipe().name, prompt.size());
  return decisions;
}

std::uint64_t TimedWeight::stored_bytes(std::uint64_t n, std::uint64_t k) const {
  if (shares.empty()) return workloads::stored_bytes(spec, n, k);
  std::uint64_t bytes = 0;
  for (const WeightPart& part : parts(n)) bytes += part.bytes;
  return bytes;
}

std::vector<WeightPart> TimedWeight::parts(std::uint64_t n) const {
  std::vector<WeightPart> result;
  for (const FormatShare& share : shares) {
    QuantSpec own = spec;
    own.format = share.format;
    result.push_back({own, share.columns, workloads::stored_bytes(own, n, share.columns)});
  }
  return result;
}

WeightPrecision::WeightPrecision(const Recipe& recipe, const PrecisionDecisions* decisions)
    : policy_(recipe[Target::weight]), decisions_(decisions) {
  entries_ = policy_.schedule.entries;
  if (policy_.schedule.kind == ScheduleKind::step) {
    std::ranges::stable_sort(entries_, {}, &ScheduleEntry::at);
  }
  const auto refuse = [&](std::string_view what, std::string_view instead) {
    throw ConfigError(fmt::format(
        "recipe {}: tensors.weight.schedule: {}; expected a model with weights, which is executed "
        "first, or {}",
        recipe.name, what, instead));
  };
  if (needs_passes(recipe) && (decisions == nullptr || decisions->passes.empty())) {
    refuse("when the precision changes depends on the tokens", "a step schedule");
  }
  const auto stated = [](const ScheduleEntry& entry) { return entry.at > 0; };
  if (maps_groups(policy_) && (decisions == nullptr || decisions->shares.empty()) &&
      std::ranges::none_of(entries_, stated)) {
    refuse("how many groups have which format depends on the weights",
           "entries with their shares (at)");
  }
}

bool WeightPrecision::differs_by_layer() const {
  return policy_.schedule.kind == ScheduleKind::map;
}

std::vector<FormatShare> WeightPrecision::shares(const WeightPlace& place, std::uint64_t k) const {
  std::vector<FormatShare> result;
  if (decisions_ != nullptr && !decisions_->shares.empty()) {
    result = decisions_->shares.at(place.layer)[static_cast<std::size_t>(place.linear)];
  } else if (maps_groups(policy_)) {
    const std::uint64_t group =
        policy_.granularity == quant::Granularity::group && k % policy_.group == 0 ? policy_.group
                                                                                   : k;
    std::vector<double> parts;
    for (const ScheduleEntry& entry : entries_) parts.push_back(entry.at);
    const std::vector<std::uint64_t> units = apportion(k / group, parts);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      result.push_back({entries_[i].format, units[i] * group});
    }
  } else if (has_classes(policy_)) {
    const auto high = static_cast<std::uint64_t>(
        std::llround(policy_.outliers.fraction * static_cast<double>(k)));
    result = {{policy_.format, k - high}, {policy_.outliers.high, high}};
  }
  std::erase_if(result, [](const FormatShare& share) { return share.columns == 0; });
  return result;
}

TimedWeight WeightPrecision::read(const WeightPlace& place, std::uint64_t k,
                                  const ReadBy& by) const {
  TimedWeight weight{policy_.spec(), shares(place, k)};
  if (!weight.shares.empty()) {
    const auto most = std::ranges::max_element(weight.shares, {}, &FormatShare::columns);
    weight.spec.format = most->format;
    if (weight.shares.size() == 1) weight.shares.clear();
    return weight;
  }
  if (by.format) {
    weight.spec.format = *by.format;
    return weight;
  }
  const std::string_view linear = kLinearNames[static_cast<std::size_t>(place.linear)];
  const auto matches = [&](const ScheduleEntry& entry) {
    if (policy_.schedule.unit == MapUnit::group) return false;  // one group: the policy's format
    if (policy_.schedule.unit != MapUnit::expert) {
      return entry_matches(entry.match, place.layer, linear);
    }
    return place.expert && quant::layer_matches(entry.match, *place.expert).value_or(false);
  };
  for (const ScheduleEntry& entry : entries_) {
    bool holds = false;
    switch (policy_.schedule.kind) {
      case ScheduleKind::map:  // the last entry that fits wins
        holds = matches(entry);
        break;
      case ScheduleKind::phase:
        holds = entry.match == (by.decoded ? "decode" : "prefill");
        break;
      case ScheduleKind::step:
        holds = &entry == &entries_.front() ||
                (by.decoded && static_cast<double>(*by.decoded) >= entry.at);
        break;
      case ScheduleKind::feedback:  // a prefill, where the run begins
        holds = &entry == &entries_.front();
        break;
      case ScheduleKind::spec:
        holds = entry.match == "verify";
        break;
      default:
        break;
    }
    if (holds) weight.spec.format = entry.format;
  }
  return weight;
}

TimedWeight WeightPrecision::stored(const WeightPlace& place, std::uint64_t k) const {
  TimedWeight weight = read(place, k, {});
  if (policy_.schedule.kind == ScheduleKind::map) return weight;
  for (const ScheduleEntry& entry : entries_) {
    if (quant::bits_of(entry.format) > quant::bits_of(weight.spec.format)) {
      weight.spec.format = entry.format;
    }
  }
  return weight;
}

std::vector<std::uint64_t> apportion(std::uint64_t whole, std::span<const double> parts) {
  const double sum = std::accumulate(parts.begin(), parts.end(), 0.0);
  SYSTOLE_CHECK(sum > 0, "shares of nothing");
  std::vector<std::uint64_t> units;
  std::vector<double> remainders;
  std::uint64_t left = whole;
  for (const double part : parts) {
    const double exact = static_cast<double>(whole) * part / sum;
    units.push_back(std::min(left, static_cast<std::uint64_t>(exact)));
    remainders.push_back(exact - static_cast<double>(units.back()));
    left -= units.back();
  }
  for (; left > 0; --left) {
    const auto largest = std::ranges::max_element(remainders);
    ++units[static_cast<std::size_t>(largest - remainders.begin())];
    *largest = -1;
  }
  return units;
}

}  // namespace systole::workloads
