#include "quant/policy.hpp"

#include <charconv>
#include <vector>

namespace systole::quant {

std::optional<bool> layer_matches(std::string_view match, std::uint32_t layer) {
  const auto number = [](std::string_view text) -> std::optional<std::uint32_t> {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
  };
  const std::size_t dash = match.find('-');
  const auto first = number(match.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : number(match.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  return layer >= *first && layer <= *last;
}

bool is_plain(const TensorPolicy& policy) {
  TensorPolicy plain;
  static_cast<QuantSpec&>(plain) = policy.spec();
  return plain == policy && policy.range == RangeRule::automatic &&
         policy.rounding == Rounding::even && policy.zero_bits == 0 &&
         (is_ieee(policy.format) || is_integer(policy.format));
}

bool is_timed(const TensorPolicy& policy) {
  TensorPolicy rest = policy;
  rest.quantiser = {};
  if (policy.outliers.kind == OutlierKind::channel_class) rest.outliers = {};
  std::erase_if(rest.transforms, [](const Transform& t) { return t.where == Where::fold; });
  const Schedule& schedule = policy.schedule;
  switch (schedule.kind) {
    case ScheduleKind::map: {
      // Whole weights by list; groups of their channels by sensitivity.
      const bool listed = schedule.sensitivity == Sensitivity::listed;
      const bool group = schedule.unit == MapUnit::group;
      const bool inside = schedule.unit == MapUnit::column || schedule.unit == MapUnit::channel;
      if (listed != group && !inside) rest.schedule = {};
      break;
    }
    case ScheduleKind::phase:
    case ScheduleKind::step:
    case ScheduleKind::feedback:
    case ScheduleKind::spec:
      rest.schedule = {};
      break;
    default:
      break;
  }
  TensorPolicy spec_only;
  static_cast<QuantSpec&>(spec_only) = rest.spec();
  if (!(spec_only == rest)) return false;
  switch (info_of(policy.format).kind) {
    case FormatClass::ieee:
    case FormatClass::integer:
    case FormatClass::minifloat:
    case FormatClass::block:
    case FormatClass::pair:
      return true;
    case FormatClass::grid:
      return policy.format != Format::codebook && policy.format != Format::twinlog;
    case FormatClass::vector:
    case FormatClass::gguf:
      return false;
  }
  return false;
}

}  // namespace systole::quant
