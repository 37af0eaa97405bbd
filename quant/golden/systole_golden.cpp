// The C boundary: names to formats, pointers to spans, exceptions to codes. No arithmetic of its
// own beyond single steps that the headers define.
#include "quant/golden/systole_golden.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <new>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "quant/check.hpp"
#include "quant/formats/flint.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/golden/problems.hpp"
#include "quant/kernels/bitmod_dot.hpp"
#include "quant/kernels/block_scaled_gemm.hpp"
#include "quant/kernels/overflow.hpp"
#include "quant/kernels/shift_add.hpp"

namespace {

using namespace systole::quant;

struct UnknownName {};

/// Runs `work`; what it throws becomes a code.
template <class Work>
int guarded(const Work& work) noexcept {
  try {
    work();
    return SG_OK;
  } catch (const UnknownName&) {
    return SG_UNKNOWN_NAME;
  } catch (const std::overflow_error&) {
    return SG_OVERFLOW;
  } catch (const std::invalid_argument&) {
    return SG_BAD_ARGUMENT;
  } catch (const std::domain_error&) {
    return SG_BAD_ARGUMENT;
  } catch (...) {
    return SG_INTERNAL;
  }
}

Format format_named(const char* name) {
  require(name != nullptr, "null name");
  const auto it = std::ranges::find(kFormatNames, std::string_view(name));
  if (it == kFormatNames.end()) throw UnknownName();
  return static_cast<Format>(it - kFormatNames.begin());
}

Overflow overflow_of(int code) {
  require(code >= SG_WRAP && code <= SG_ERROR, "unknown overflow policy");
  return static_cast<Overflow>(code);
}

void check_bits(unsigned bits) { require(bits >= 2 && bits <= 64, "accumulator bits"); }

template <class T>
std::span<const T> span_of(const T* data, std::size_t size) {
  require(data != nullptr || size == 0, "null data");
  return {data, size};
}
template <class T>
void store(T* to, T value) {
  require(to != nullptr, "null output");
  *to = value;
}

bool is_unit(Format f) {
  return f == Format::fp16 || f == Format::bf16 || (f >= Format::fp8_e4m3 && f <= Format::fp4_e2m1);
}
bool is_signed_integer(Format f) {
  return is_integer(f) || (f >= Format::int9 && f <= Format::int16);
}
bool is_unsigned_integer(Format f) { return f >= Format::uint1 && f <= Format::uint16; }

std::int32_t sign_extend(std::uint32_t code, unsigned bits) {
  const unsigned unused = 32 - bits;
  return static_cast<std::int32_t>(code << unused) >> unused;
}

std::uint32_t encode_integer(float value, double low, double high, unsigned bits) {
  require(std::isfinite(value), "not finite");
  const double rounded = std::clamp(std::nearbyint(static_cast<double>(value)), low, high);
  return static_cast<std::uint32_t>(static_cast<std::int64_t>(rounded)) &
         static_cast<std::uint32_t>((std::uint64_t{1} << bits) - 1);
}

std::uint32_t encode_named(Format f, float value) {
  const unsigned bits = bits_of(f);
  if (is_signed_integer(f)) {
    const double most = std::ldexp(1.0, static_cast<int>(bits) - 1) - 1;
    return encode_integer(value, -most - 1, most, bits);
  }
  if (is_unsigned_integer(f)) {
    return encode_integer(value, 0, std::ldexp(1.0, static_cast<int>(bits)) - 1, bits);
  }
  if (is_ant_grid(f)) {
    require(std::isfinite(value), "not finite");
    return ant_encode(value, f);
  }
  if (!is_unit(f) && f != Format::e8m0 && f != Format::ue4m3) throw UnknownName();
  return golden::encode_element(f, value);
}

float decode_named(Format f, std::uint32_t code) {
  const unsigned bits = bits_of(f);
  require(code >> bits == 0, "a code wider than its format");
  if (is_signed_integer(f)) return static_cast<float>(sign_extend(code, bits));
  if (is_unsigned_integer(f)) return static_cast<float>(code);
  if (is_ant_grid(f)) return static_cast<float>(ant_operand(code, f).value());
  if (f == Format::e8m0 || f == Format::ue4m3) {
    return golden::decode_scale(f, static_cast<std::uint8_t>(code));
  }
  if (!is_unit(f)) throw UnknownName();
  return element_value(f, static_cast<std::uint16_t>(code));
}

Format pair_format(const char* name) {
  const Format f = format_named(name);
  if (f != Format::ovp4_int && f != Format::ovp4_flint) throw UnknownName();
  return f;
}

OvpOperands pair_operands(Format f, std::uint8_t byte) {
  const OvpPair pair{static_cast<std::uint8_t>(byte & 15), static_cast<std::uint8_t>(byte >> 4)};
  return ovp_decode_pair(pair, ovp_type(f, Contract::paper));
}

void add_product(std::int64_t& acc, ExponentInteger a, ExponentInteger w, unsigned bits,
                 Overflow overflow) {
  accumulate(acc, multiply(a, w).value(), bits, overflow);
}

}  // namespace

/// One accumulator and what a step does to it.
struct sg_pe {
  enum class Kind : std::uint8_t { integer, shift_add, real, grid, flint, pairs };
  Kind kind = Kind::integer;
  Format format = Format::int8;
  unsigned bits = 32;
  Overflow overflow = Overflow::wrap;
  std::int64_t acc = 0;
  float real = 0.0f;

  void step(std::uint32_t a, std::uint32_t w);
  std::uint64_t shown() const {
    return kind == Kind::real ? std::bit_cast<std::uint32_t>(real)
                              : static_cast<std::uint64_t>(acc);
  }
};

void sg_pe::step(std::uint32_t a, std::uint32_t w) {
  switch (kind) {
    case Kind::integer:
      require(a <= 0xFF && w <= 0xFF, "a code wider than its format");
      accumulate(acc, std::int64_t{sign_extend(a, 8)} * sign_extend(w, 8), bits, overflow);
      return;
    case Kind::shift_add:
      require(a <= 0xFF && w <= 0xF, "a code wider than its format");
      accumulate(acc, shift_add_product(sign_extend(a, 8), w, 4, true), bits, overflow);
      return;
    case Kind::real:
      real += decode_named(format, a) * decode_named(format, w);
      return;
    case Kind::grid:  // halves times halves
      accumulate(
          acc,
          static_cast<std::int64_t>(4.0f * (decode_named(format, a) * decode_named(format, w))),
          bits, overflow);
      return;
    case Kind::flint:
      require(a <= 0xF && w <= 0xF, "a code wider than its format");
      add_product(acc, ant_operand(a, format), ant_operand(w, format), bits, overflow);
      return;
    case Kind::pairs: {
      require(a <= 0xFF && w <= 0xFF, "a code wider than its format");
      const OvpOperands x = pair_operands(format, static_cast<std::uint8_t>(a));
      const OvpOperands y = pair_operands(format, static_cast<std::uint8_t>(w));
      std::int64_t next = acc;  // both or none
      add_product(next, x.left, y.left, bits, overflow);
      add_product(next, x.right, y.right, bits, overflow);
      acc = next;
      return;
    }
  }
}

extern "C" {

const char* sg_error_text(int error) {
  constexpr std::array<const char*, 5> kTexts = {
      "no error", "an argument is outside the contract", "no format or kernel of that name",
      "an accumulator left its range", "an internal error"};
  return error >= 0 && error < static_cast<int>(kTexts.size())
             ? kTexts[static_cast<std::size_t>(error)]
             : "an unknown error";
}

int sg_abi_version(void) { return 1; }

int sg_encode(const char* format, float value, uint32_t* code) {
  return guarded([&] { store(code, encode_named(format_named(format), value)); });
}
int sg_decode(const char* format, uint32_t code, float* value) {
  return guarded([&] { store(value, decode_named(format_named(format), code)); });
}

int sg_mac(int64_t* acc, int32_t a, int32_t w, unsigned acc_bits, int overflow) {
  return guarded([&] {
    require(acc != nullptr, "null accumulator");
    check_bits(acc_bits);
    accumulate(*acc, std::int64_t{a} * w, acc_bits, overflow_of(overflow));
  });
}
int sg_int_dot(const int32_t* a, const int32_t* w, size_t n, unsigned acc_bits, int overflow,
               int64_t* sum) {
  return guarded([&] {
    check_bits(acc_bits);
    const auto x = span_of(a, n), y = span_of(w, n);
    std::int64_t acc = 0;
    for (std::size_t i = 0; i < n; ++i) {
      accumulate(acc, std::int64_t{x[i]} * y[i], acc_bits, overflow_of(overflow));
    }
    store(sum, acc);
  });
}

int sg_shift_add_product(int32_t a, uint32_t code, unsigned bits, int is_signed, int32_t* product) {
  return guarded([&] {
    require(a >= -(1 << 23) && a <= 1 << 23, "the activation is too wide");
    store(product, shift_add_product(a, code, bits, is_signed != 0));
  });
}
int sg_shift_add_dot(const int8_t* a, const uint8_t* codes, size_t n, unsigned bits, int is_signed,
                     int overflow, int32_t* sum) {
  return guarded([&] {
    store(sum, shift_add_dot(span_of(a, n), span_of(codes, n), bits, is_signed != 0,
                             overflow_of(overflow)));
  });
}
int sg_dequantise_group(float* acc, int32_t sum, float scale) {
  return guarded([&] {
    require(acc != nullptr, "null accumulator");
    *acc = std::fma(static_cast<float>(sum), scale, *acc);
  });
}

int sg_unit_dot(const char* format, const uint16_t* a, const uint16_t* w, size_t n, size_t chunk,
                float* sum) {
  return guarded([&] {
    const Format f = format_named(format);
    if (!is_unit(f)) throw UnknownName();
    store(sum, unit_dot(f, span_of(a, n), f, span_of(w, n), chunk));
  });
}
int sg_block_dot(const char* format, const uint16_t* a, const uint16_t* w, size_t n, float* sum) {
  return guarded([&] {
    const Format f = format_named(format);
    store(sum, block_dot(f, span_of(a, n), f, span_of(w, n)));
  });
}
int sg_block_accumulate(float* acc, float block_sum, float x_a, float x_w) {
  return guarded([&] {
    require(acc != nullptr, "null accumulator");
    *acc = std::fma(block_sum, x_a * x_w, *acc);
  });
}

int sg_ovp_decode_pair(const char* format, uint8_t pair, int32_t operands[4]) {
  return guarded([&] {
    require(operands != nullptr, "null output");
    const OvpOperands x = pair_operands(pair_format(format), pair);
    operands[0] = x.left.exponent;
    operands[1] = x.left.integer;
    operands[2] = x.right.exponent;
    operands[3] = x.right.integer;
  });
}
int sg_ovp_dot(const char* format, const uint8_t* a, const uint8_t* w, size_t n, int overflow,
               int32_t* sum) {
  return guarded([&] {
    const Format f = pair_format(format);
    const auto x = span_of(a, n / 2 + n % 2), y = span_of(w, n / 2 + n % 2);
    std::int64_t acc = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const OvpOperands p = pair_operands(f, x[i]), q = pair_operands(f, y[i]);
      add_product(acc, p.left, q.left, 32, overflow_of(overflow));
      if (2 * i + 1 < n) add_product(acc, p.right, q.right, 32, overflow_of(overflow));
    }
    store(sum, static_cast<std::int32_t>(acc));
  });
}
int sg_flint_operand(const char* format, uint32_t code, int32_t* exponent, int32_t* integer) {
  return guarded([&] {
    const Format f = format_named(format);
    if (!is_ant_grid(f)) throw UnknownName();
    require(exponent != nullptr && integer != nullptr, "null output");
    const ExponentInteger x = ant_operand(code, f);
    *exponent = x.exponent;
    *integer = x.integer;
  });
}

int sg_bitmod_dot(const char* code, const uint16_t* a, const int8_t* values, size_t n, size_t group,
                  const uint8_t* scales, float channel_scale, float* sum) {
  return guarded([&] {
    require(code != nullptr && group > 0, "null code or a group of 0");
    const auto it = std::ranges::find(kTermCodeNames, std::string_view(code));
    if (it == kTermCodeNames.end()) throw UnknownName();
    std::vector<Fp16> x;
    for (const std::uint16_t bits : span_of(a, n)) x.push_back(Fp16::from_bits(bits));
    const std::size_t groups = n / group + (n % group != 0 ? 1 : 0);
    store(sum, bitmod_dot(x, span_of(values, n), static_cast<TermCode>(it - kTermCodeNames.begin()),
                          group, span_of(scales, groups), channel_scale));
  });
}

int sg_encode_bits(const char* format, uint32_t value, uint32_t* code) {
  return sg_encode(format, std::bit_cast<float>(value), code);
}
int sg_decode_bits(const char* format, uint32_t code, uint32_t* value) {
  float decoded = 0.0f;
  const int error = sg_decode(format, code, &decoded);
  return error != SG_OK ? error : guarded([&] { store(value, std::bit_cast<uint32_t>(decoded)); });
}
int sg_dequantise_group_bits(uint32_t* acc, int32_t sum, uint32_t scale) {
  return guarded([&] {
    require(acc != nullptr, "null accumulator");
    *acc = std::bit_cast<uint32_t>(
        std::fma(static_cast<float>(sum), std::bit_cast<float>(scale), std::bit_cast<float>(*acc)));
  });
}

sg_pe* sg_pe_create(const char* kernel, unsigned acc_bits, int overflow) {
  sg_pe made;
  const int error = guarded([&] {
    require(kernel != nullptr, "null kernel");
    const std::string_view name = kernel;
    if (name == "w4a8") {
      made.kind = sg_pe::Kind::shift_add;
    } else if (name != "int8") {
      made.format = format_named(kernel);
      if (made.format == Format::fp4_e2m1) {
        made.kind = sg_pe::Kind::grid;
      } else if (made.format == Format::flint4) {
        made.kind = sg_pe::Kind::flint;
      } else if (made.format == Format::ovp4_int || made.format == Format::ovp4_flint) {
        made.kind = sg_pe::Kind::pairs;
      } else if (is_unit(made.format) && made.format <= Format::fp8_e5m2) {
        made.kind = sg_pe::Kind::real;
      } else {
        throw UnknownName();
      }
    }
    if (made.kind != sg_pe::Kind::real) {
      check_bits(acc_bits);
      made.bits = acc_bits;
      made.overflow = overflow_of(overflow);
    }
  });
  return error == SG_OK ? new (std::nothrow) sg_pe(made) : nullptr;
}
void sg_pe_destroy(sg_pe* pe) { delete pe; }
void sg_pe_reset(sg_pe* pe) {
  if (pe == nullptr) return;
  pe->acc = 0;
  pe->real = 0.0f;
}
int sg_pe_step(sg_pe* pe, uint32_t a, uint32_t w, uint64_t* acc) {
  return guarded([&] {
    require(pe != nullptr && acc != nullptr, "null element or output");
    pe->step(a, w);
    *acc = pe->shown();
  });
}

}  // extern "C"
