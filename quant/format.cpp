#include "quant/format.hpp"

#include <algorithm>

namespace systole::quant {

std::optional<Format> parse_format(std::string_view name) {
  const auto it = std::ranges::find(kAllFormats, name, [](Format f) { return name_of(f); });
  return it == kAllFormats.end() ? std::nullopt : std::optional(*it);
}

std::string describe(const QuantSpec& spec) {
  std::string text(name_of(spec.format));
  if (!is_integer(spec.format)) return text;
  text += spec.granularity == Granularity::group
              ? " g" + std::to_string(spec.group)
              : " " + std::string(kGranularityNames[static_cast<std::size_t>(spec.granularity)]);
  if (spec.affine != Affine::symmetric) {
    text += " " + std::string(kAffineNames[static_cast<std::size_t>(spec.affine)]);
  }
  return text;
}

}  // namespace systole::quant
