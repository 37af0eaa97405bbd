#include "quant/policy.hpp"

#include <charconv>

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

}  // namespace systole::quant
