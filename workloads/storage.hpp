// Stored bytes of a tensor under a policy: codes and metadata.
#pragma once

#include <cstdint>

#include "quant/format.hpp"

namespace systole::workloads {

/// Bytes of a [rows, cols] tensor stored under `spec`: packed codes, scales and zero points,
/// rounded up to a byte once.
std::uint64_t stored_bytes(const quant::QuantSpec& spec, std::uint64_t rows, std::uint64_t cols);

}  // namespace systole::workloads
