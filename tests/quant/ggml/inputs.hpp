// Values for the comparisons with ggml: made of integers and powers of two only, so that every
// compiler and machine makes the same bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant::ggml_test {

/// SplitMix64 (Steele, Lea, Flood 2014).
class Stream {
 public:
  explicit Stream(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15ull;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  int below(int n) { return static_cast<int>((next() >> 33) % static_cast<std::uint64_t>(n)); }
  bool one_in(int n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

/// 2^e for -126 <= e <= 127.
inline float power(int e) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(e + 127) << 23);
}

/// The sum of eight 16-bit integers: close to normal, |x| <= 1.
inline float bell(Stream& s) {
  std::int64_t sum = 0;
  for (int i = 0; i < 2; ++i) {
    const std::uint64_t bits = s.next();
    for (int j = 0; j < 4; ++j) {
      sum += static_cast<std::int16_t>(static_cast<std::uint16_t>(bits >> (16 * j)));
    }
  }
  return static_cast<float>(sum) * 0x1p-18f;
}

enum class Kind {
  bell,
  outliers,
  uniform,
  constant,
  sparse,
  ties,
  positive,
  negative,
  powers,
  mixed,
  tiny,
  zeros
};
inline constexpr int kKinds = 12;

inline float value_of(Kind kind, Stream& s, float constant) {
  switch (kind) {
    case Kind::bell:
    case Kind::tiny:
      return bell(s);
    case Kind::outliers:
      return bell(s) * (s.one_in(24) ? 40.0f : 1.0f);
    case Kind::uniform:
      return static_cast<float>(s.below(1 << 24) - (1 << 23)) * 0x1p-23f;
    case Kind::constant:
      return constant;
    case Kind::sparse:
      return s.one_in(6) ? bell(s) : 0.0f;
    case Kind::ties:  // small multiples of a half
      return static_cast<float>(s.below(33) - 16) * 0.5f;
    case Kind::positive:
      return std::fabs(bell(s)) + 0.125f;
    case Kind::negative:
      return -std::fabs(bell(s));
    case Kind::powers: {  // powers of two and their neighbours
      const std::uint32_t bits = std::bit_cast<std::uint32_t>(power(s.below(16) - 8));
      const float v = std::bit_cast<float>(bits + static_cast<std::uint32_t>(s.below(5)) - 2u);
      return s.one_in(2) ? v : -v;
    }
    case Kind::mixed:  // magnitudes far apart
      return bell(s) * power(s.below(24) - 20);
    case Kind::zeros:
      return s.one_in(4) ? -0.0f : 0.0f;
  }
  return 0.0f;
}

/// One block: its kind by its index, its scale a power of two (tiny: 2^-60 ... 2^-109).
inline void fill_block(std::span<float> x, std::uint64_t index, Stream& s, bool with_tiny) {
  auto kind = static_cast<Kind>(index % kKinds);
  if (!with_tiny && (kind == Kind::tiny || kind == Kind::zeros)) kind = Kind::bell;
  const float constant = bell(s);
  const float scale = power(kind == Kind::tiny ? -60 - s.below(50) : s.below(17) - 10);
  for (float& v : x) v = value_of(kind, s, constant) * scale;
}

/// `blocks` of `elements` values. Without tiny ones every block has a value of at least 1e-15: for
/// IQ4_NL, whose codes ggml does not define below that.
inline std::vector<float> inputs(std::size_t blocks, std::size_t elements, std::uint64_t seed,
                                 bool with_tiny) {
  std::vector<float> x(blocks * elements);
  Stream s(seed);
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::span<float> block(x.data() + b * elements, elements);
    fill_block(block, b, s, with_tiny);
    if (!with_tiny) block[0] += 0.001953125f;  // sparse blocks are never all zero
  }
  return x;
}

/// 64-bit FNV-1a.
inline std::uint64_t digest(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::uint64_t hash = 0xCBF29CE484222325ull;
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001B3ull;
  return hash;
}

inline constexpr std::size_t kBlocks = 2000;  ///< of each type
inline constexpr std::size_t kRowBlocks = 4;  ///< of one dot product
inline constexpr std::uint64_t kWeightSeed = 1;
inline constexpr std::uint64_t kActivationSeed = 2;

}  // namespace systole::quant::ggml_test
