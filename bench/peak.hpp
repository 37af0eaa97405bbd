// What this CPU can do at best: loops of one instruction on registers only, for the share-of-peak
// figures.
#pragma once

#include <cstdint>
#include <span>

namespace systole::bench {

enum class Peak {
  dot512,   ///< vpdpbusd on 512 bits: 64 int8 multiply-accumulates an instruction
  dot256,   ///< vpdpbusd on 256 bits (AVX-512 VL encoding): 32
  madd256,  ///< vpmaddwd and vpaddd on 256 bits: 16 a pair
  fma512,   ///< vfmadd231ps on 512 bits: 16 fp32 multiply-accumulates
  fma256,   ///< vfmadd231ps on 256 bits: 8
};

bool is_available(Peak peak);

/// CPU seconds of this thread.
double cpu_seconds();
double wall_seconds();

/// Multiply-accumulates a CPU second over about a millisecond of twelve independent chains.
double measure(Peak peak);

/// The highest int8 dot rate this CPU offers: dot512, else madd256. Check is_available first.
Peak int8_peak();
/// The same of fp32: fma512, else fma256.
Peak fp32_peak();

/// Bytes a CPU second that one thread reads from `stream`, once from end to end with the widest
/// loads of this CPU; larger than any cache, it measures memory.
double read_bandwidth(std::span<const std::uint8_t> stream);

}  // namespace systole::bench
