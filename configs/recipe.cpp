#include "configs/recipe.hpp"

#include <algorithm>

namespace systole::configs {

bool is_plain(const Recipe& recipe) {
  const auto real = [&](Target t) { return is_ieee(recipe[t].format); };
  return std::ranges::all_of(recipe.policies,
                             [](const quant::TensorPolicy& p) { return quant::is_plain(p); }) &&
         real(Target::embedding) && recipe[Target::shortcut].format == quant::Format::fp32;
}

}  // namespace systole::configs
