#include "workloads/storage.hpp"

#include "quant/quantise.hpp"
#include "sim/core/units.hpp"

namespace systole::workloads {

std::uint64_t stored_bytes(const quant::QuantSpec& spec, std::uint64_t rows, std::uint64_t cols) {
  return bytes_for(Bits(quant::stored_bits(rows, cols, spec))).count();
}

}  // namespace systole::workloads
