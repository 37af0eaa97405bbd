// Every kernel of quant by name: what it computes and under which contract. Printed by `systole
// list kernels` and by the generated documentation; the definitions themselves are in the headers
// named.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace systole::quant {

struct KernelInfo {
  std::string_view name;         ///< of the function that is the definition
  std::string_view definition;   ///< one line
  std::string_view accumulator;  ///< type and width
  std::string_view order;        ///< of the additions
  std::string_view dequantised;  ///< where codes become numbers: before, in, after the sum
  std::string_view overflow;     ///< wrap, saturate, error or what else the accumulator does
  std::string_view source;
  std::string_view differs;  ///< from released code or the paper, and why; "-" where it does not
  std::string_view header;   ///< from the repository's root
};

/// All of them: matrix products, dot products, vector operations, primitives.
std::span<const KernelInfo> kernel_catalogue();
/// The one of that name, or nothing.
std::optional<KernelInfo> find_kernel(std::string_view name);
/// "accumulator int32; order: k ascending; dequantised: after each group; overflow: error".
std::string contract_line(const KernelInfo& kernel);

}  // namespace systole::quant
