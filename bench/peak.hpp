// What this CPU can do at best: loops of one instruction on registers only, for the share-of-peak
// figures.
#pragma once

namespace systole::bench {

enum class Peak {
  dot512,   ///< vpdpbusd on 512 bits: 64 int8 multiply-accumulates an instruction
  dot256,   ///< vpdpbusd on 256 bits (AVX-512 VL encoding): 32
  madd256,  ///< vpmaddwd and vpaddd on 256 bits: 16 a pair
  fma512,   ///< vfmadd231ps on 512 bits: 16 fp32 multiply-accumulates
};

bool is_available(Peak peak);

/// CPU seconds of this thread.
double cpu_seconds();

/// Multiply-accumulates a CPU second over about a millisecond of twelve independent chains.
double measure(Peak peak);

/// The highest int8 dot rate this CPU offers: dot512, else madd256. Check is_available first.
Peak int8_peak();

}  // namespace systole::bench
