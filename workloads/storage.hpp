// Stored bytes of a tensor under a policy: codes and metadata.
#pragma once

#include <cstdint>

#include "quant/format.hpp"

namespace systole::workloads {

/// Bytes of a [rows, cols] tensor stored under `spec`: packed codes, scales and zero points, as
/// quant::stored_bits counts them, rounded up to a byte.
std::uint64_t stored_bytes(const quant::QuantSpec& spec, std::uint64_t rows, std::uint64_t cols);

}  // namespace systole::workloads
