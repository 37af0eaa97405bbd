#include "quant/policy.hpp"

namespace systole::quant {

bool is_plain(const TensorPolicy& policy) {
  TensorPolicy plain;
  static_cast<QuantSpec&>(plain) = policy.spec();
  return plain == policy && policy.range == RangeRule::automatic &&
         policy.rounding == Rounding::even && policy.zero_bits == 0 &&
         (is_ieee(policy.format) || is_integer(policy.format));
}

}  // namespace systole::quant
