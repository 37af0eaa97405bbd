#include "workloads/storage.hpp"

#include "sim/core/units.hpp"

namespace systole::workloads {

using quant::Affine;
using quant::Granularity;

std::uint64_t stored_bytes(const quant::QuantSpec& spec, std::uint64_t rows, std::uint64_t cols) {
  std::uint64_t bits = rows * cols * quant::bits_of(spec.format);
  if (quant::is_integer(spec.format)) {
    std::uint64_t scales = rows;
    if (spec.granularity == Granularity::tensor) scales = 1;
    if (spec.granularity == Granularity::group && spec.group != 0 && cols % spec.group == 0) {
      scales = rows * (cols / spec.group);
    }
    std::uint64_t each = quant::bits_of(spec.scale);
    if (spec.affine == Affine::integer_zero) each += quant::bits_of(spec.format);
    if (spec.affine == Affine::float_min || spec.affine == Affine::float_zero) each *= 2;
    bits += scales * each;
  }
  return bytes_for(Bits(bits)).count();
}

}  // namespace systole::workloads
