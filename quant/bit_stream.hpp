// Fields of any width written one after the other into bytes, lowest or highest bit first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant {

/// Appends fields to a vector of bytes. LSB first: bit j of the stream is bit j%8 of byte j/8, and
/// a field starts with its lowest bit. MSB first: bit j is bit 7 - j%8, and a field starts with its
/// highest bit. Unused bits of the last byte are 0.
class BitWriter {
 public:
  explicit BitWriter(std::vector<std::uint8_t>& out, bool msb_first = false)
      : out_(out), msb_first_(msb_first) {}
  /// The low `bits` bits (0..32) of `field`.
  void write(std::uint32_t field, unsigned bits) {
    const std::uint64_t value = field & ((std::uint64_t{1} << bits) - 1);
    if (msb_first_) {
      window_ = (window_ << bits) | value;
      for (waiting_ += bits; waiting_ >= 8; waiting_ -= 8)
        out_.push_back(static_cast<std::uint8_t>(window_ >> (waiting_ - 8)));
    } else {
      window_ |= value << waiting_;
      for (waiting_ += bits; waiting_ >= 8; waiting_ -= 8, window_ >>= 8)
        out_.push_back(static_cast<std::uint8_t>(window_));
    }
  }
  /// Fills up to a whole byte with zeros.
  void flush() {
    if (waiting_ == 0) return;
    out_.push_back(static_cast<std::uint8_t>(msb_first_ ? window_ << (8 - waiting_) : window_));
    window_ = 0;
    waiting_ = 0;
  }

 private:
  std::vector<std::uint8_t>& out_;
  bool msb_first_;
  std::uint64_t window_ = 0;
  unsigned waiting_ = 0;
};

/// Reads what BitWriter wrote. Reading beyond the end gives zeros: check sizes first.
class BitReader {
 public:
  explicit BitReader(std::span<const std::uint8_t> bytes, bool msb_first = false)
      : bytes_(bytes), msb_first_(msb_first) {}
  std::uint32_t read(unsigned bits) {
    while (waiting_ < bits) {
      const std::uint64_t byte = next_ < bytes_.size() ? bytes_[next_] : 0u;
      ++next_;
      if (msb_first_) {
        window_ = (window_ << 8) | byte;
      } else {
        window_ |= byte << waiting_;
      }
      waiting_ += 8;
    }
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    waiting_ -= bits;
    if (msb_first_) return static_cast<std::uint32_t>((window_ >> waiting_) & mask);
    const auto field = static_cast<std::uint32_t>(window_ & mask);
    window_ >>= bits;
    return field;
  }
  /// Skips to the next whole byte.
  void align() {
    window_ = 0;
    waiting_ = 0;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  bool msb_first_;
  std::size_t next_ = 0;
  std::uint64_t window_ = 0;
  unsigned waiting_ = 0;
};

}  // namespace systole::quant
