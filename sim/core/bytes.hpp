// Numbers and texts in strings of bytes, least significant byte first on every machine: what
// journals, kept timings and messages between processes are made of. Readers trust nothing: they
// return false where the bytes end early and take away only what they have read.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace systole {

template <std::unsigned_integral T>
void put_number(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    out += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

template <std::unsigned_integral T>
bool take_number(std::string_view& in, T& value) {
  if (in.size() < sizeof value) return false;
  value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<unsigned char>(in[i])) << (8 * i));
  }
  in.remove_prefix(sizeof value);
  return true;
}

/// Behind its length, a number of type `Length`.
template <std::unsigned_integral Length>
void put_text(std::string& out, std::string_view text) {
  put_number(out, static_cast<Length>(text.size()));
  out += text;
}

/// `text` refers into what `in` refers to.
template <std::unsigned_integral Length>
bool take_text(std::string_view& in, std::string_view& text) {
  Length length = 0;
  if (!take_number(in, length) || in.size() < length) return false;
  text = in.substr(0, length);
  in.remove_prefix(length);
  return true;
}

}  // namespace systole
