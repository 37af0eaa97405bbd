// The unit that decodes cached keys and values on their way to the array.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "configs/machine.hpp"
#include "sim/core/kv_layout.hpp"

namespace systole::sim {

/// A stage: what it does to `work`, how much of that a cycle, and the event it is priced by.
struct KvStage {
  std::string_view name;
  const char* event;
  std::uint64_t KvDecodeWork::*work;
  std::uint32_t configs::KvDequantiserConfig::*rate;
};
inline constexpr std::array<KvStage, 8> kKvStages = {{
    {"unpack", "kv_dequantiser.unpack", &KvDecodeWork::unpacks,
     &configs::KvDequantiserConfig::lanes},
    {"multiply-add", "kv_dequantiser.multiply_add", &KvDecodeWork::multiply_adds,
     &configs::KvDequantiserConfig::lanes},
    {"look-up", "kv_dequantiser.lookup", &KvDecodeWork::lookups,
     &configs::KvDequantiserConfig::lut_ports},
    {"transform", "kv_dequantiser.transform_add", &KvDecodeWork::transform_adds,
     &configs::KvDequantiserConfig::transform_adds},
    {"RoPE", "kv_dequantiser.rotation", &KvDecodeWork::rotations,
     &configs::KvDequantiserConfig::rope_elements},
    {"gather", "kv_dequantiser.gather", &KvDecodeWork::gathers,
     &configs::KvDequantiserConfig::gather_elements},
    {"sparse", "kv_dequantiser.sparse_mac", &KvDecodeWork::sparse_macs,
     &configs::KvDequantiserConfig::sparse_macs},
    {"top-k", "kv_dequantiser.comparison", &KvDecodeWork::comparisons,
     &configs::KvDequantiserConfig::topk_elements},
}};
static_assert(sizeof(KvDecodeWork) == kKvStages.size() * sizeof(std::uint64_t));

/// Bytes into and out of the write-combining buffer.
inline constexpr const char* kKvCombinedWrite = "kv_dequantiser.combined_write_byte";
inline constexpr const char* kKvCombinedRead = "kv_dequantiser.combined_read_byte";

/// Cycles for `work`, from the first code in to the last value out: stages work beside each other,
/// so the slowest decides.
std::uint64_t kv_dequantise_cycles(const configs::KvDequantiserConfig& unit,
                                   const KvDecodeWork& work);

}  // namespace systole::sim
