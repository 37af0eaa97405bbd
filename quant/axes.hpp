// What each value of a recipe's axes means and where it comes from: printed by the generated
// reference page. Formats are in format.hpp, kernels in kernels/catalogue.hpp.
#pragma once

#include <span>
#include <string_view>

namespace systole::quant {

struct AxisValue {
  std::string_view axis;  ///< key in a recipe, e.g. "range", "transforms.op"
  std::string_view name;
  std::string_view definition;
  std::string_view source;   ///< "-": general practice
  std::string_view differs;  ///< from released code, and why; "-" where it does not
};

/// Every value of every axis, in the order of policy.hpp and format.hpp.
std::span<const AxisValue> axis_catalogue();

}  // namespace systole::quant
