#include "reports/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace systole::reports {
namespace {

struct Prefix {
  double factor;
  std::string_view text;
};

/// "12.3 mJ": `value` in the base unit, with the largest prefix that leaves at least 1.
std::string prefixed(double value, std::string_view unit, std::span<const Prefix> prefixes) {
  if (!std::isfinite(value)) return std::string(kAbsent);
  if (value == 0) return fmt::format("0 {}", unit);
  const double magnitude = std::abs(value);
  const Prefix* best = &prefixes.back();
  for (const Prefix& prefix : prefixes) {
    // 999.5 rounds to 1000 in three digits, which the next prefix says better.
    if (magnitude >= 0.9995 * prefix.factor) {
      best = &prefix;
      break;
    }
  }
  const std::string figure = number(value / best->factor);
  if (best->text.empty() && unit.empty()) return figure;
  return fmt::format("{} {}{}", figure, best->text, unit);
}

constexpr std::array<Prefix, 5> kSmall = {
    {{1, ""}, {1e-3, "m"}, {1e-6, "\u00b5"}, {1e-9, "n"}, {1e-12, "p"}}};
constexpr std::array<Prefix, 10> kDecimal = {{{1e15, "P"},
                                              {1e12, "T"},
                                              {1e9, "G"},
                                              {1e6, "M"},
                                              {1e3, "k"},
                                              {1, ""},
                                              {1e-3, "m"},
                                              {1e-6, "\u00b5"},
                                              {1e-9, "n"},
                                              {1e-12, "p"}}};
constexpr std::array<Prefix, 5> kBinary = {
    {{0x1p50, "Pi"}, {0x1p40, "Ti"}, {0x1p30, "Gi"}, {0x1p20, "Mi"}, {0x1p10, "Ki"}}};
constexpr std::array<Prefix, 6> kLarge = {
    {{1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}}};

/// Length of the well-formed UTF-8 sequence at `text`, 0 for an ill-formed one (RFC 3629: no
/// overlong forms, no surrogates, at most U+10FFFF). `code` gets the code point.
std::size_t decode(std::string_view text, char32_t& code) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    code = lead;
    return 1;
  }
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  code = static_cast<char32_t>(lead & (0xff >> (length + 1)));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = (code << 6) | static_cast<char32_t>(byte(i) & 0x3f);
  }
  constexpr std::array<char32_t, 5> kFirst = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kFirst[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  return length;
}

std::size_t columns(char32_t code) {
  if ((code >= 0x300 && code <= 0x36f) || (code >= 0x200b && code <= 0x200f) || code == 0xfeff)
    return 0;
  const bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
                    (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
                    (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
                    (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f300 && code <= 0x1faff) ||
                    (code >= 0x20000 && code <= 0x3fffd);
  return wide ? 2 : 1;
}

}  // namespace

std::string number(double value, int digits) {
  if (!std::isfinite(value)) return std::string(kAbsent);
  if (value == 0) return "0";
  // The exponent after rounding: 9.996 with three digits is 10.0, not 10.00.
  const std::string scientific = fmt::format("{:.{}e}", value, digits - 1);
  const int exponent = std::stoi(scientific.substr(scientific.find('e') + 1));
  if (exponent < -4 || exponent > 7) return scientific;
  return fmt::format("{:.{}f}", value, std::max(0, digits - 1 - exponent));
}

std::string number(std::optional<double> value, int digits) {
  return value ? number(*value, digits) : std::string(kAbsent);
}

std::string format_time_ms(double milliseconds) {
  return prefixed(milliseconds * 1e-3, "s", kSmall);
}
std::string format_energy_pj(double picojoules) {
  return prefixed(picojoules * 1e-12, "J", kDecimal);
}

std::string format_bytes(double bytes) {
  if (bytes >= 0 && bytes < 1000) return fmt::format("{:.0f} B", bytes);
  return prefixed(bytes, "B", kLarge);
}

std::string format_count(double count) {
  if (count >= 0 && count < 10'000 && count == std::floor(count))
    return fmt::format("{:.0f}", count);
  return prefixed(count, "", kLarge);
}

std::string format_area_mm2(double square_millimetres) {
  return number(square_millimetres) + (std::isfinite(square_millimetres) ? " mm\u00b2" : "");
}

std::string format_share(std::optional<double> share) {
  if (!share || !std::isfinite(*share)) return std::string(kAbsent);
  const double percent = *share * 100;
  if (percent == 0) return "0 %";
  if (std::abs(percent) < 0.05) return percent > 0 ? "<0.1 %" : number(percent) + " %";
  // One decimal below 99.95, none above: "41.3 %", "100 %".
  return std::abs(percent) < 99.95 ? fmt::format("{:.1f} %", percent) : number(percent) + " %";
}

std::string format_change(double relative) {
  if (!std::isfinite(relative)) return std::string(kAbsent);
  const double percent = relative * 100;
  return (percent > 0 ? "+" : "") + number(percent) + " %";
}

std::string format_change(double after, double before) {
  return format_change((after - before) / before);
}

std::string format_ratio(std::optional<double> ratio) {
  if (!ratio || !std::isfinite(*ratio)) return std::string(kAbsent);
  if (*ratio > 0 && *ratio < 0.01) return "\u22640.01\u00d7";
  return number(*ratio) + "\u00d7";
}

std::string format_prefixed(double value, std::string_view unit) {
  return prefixed(value, unit, kDecimal);
}

std::string format_capacity(double bytes) {
  if (bytes >= 0 && bytes < 1024) return fmt::format("{:.0f} B", bytes);
  return prefixed(bytes, "B", kBinary);
}

std::string format_exact(std::uint64_t count) {
  const std::string digits = std::to_string(count);
  if (digits.size() < 5) return digits;
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) text += "\u2009";
    text += digits[i];
  }
  return text;
}

std::optional<double> share_of(double part, double whole) {
  const double share = part / whole;
  if (!(whole > 0) || !std::isfinite(share)) return std::nullopt;
  return share;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    char32_t code = 0;
    const std::size_t length = decode(text.substr(i), code);
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    // Bidirectional overrides reorder what follows them.
    const bool reorders = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    if (length != 0 && (code == '\n' || code == '\t')) {
      out += ' ';
    } else if (length == 0 || control || reorders) {
      out += "\ufffd";
    } else {
      out += text.substr(i, length);
    }
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string to_ascii(std::string_view text) {
  struct Pair {
    char32_t symbol;
    char ascii;
  };
  static constexpr Pair kPairs[] = {{0x00b5, 'u'}, {0x00d7, 'x'}, {0x00b7, '-'}, {0x00b1, '~'},
                                    {0x00b2, '2'}, {0x00b3, '3'}, {0x2009, ' '}, {0x2013, '-'},
                                    {0x2014, '-'}, {0x2020, '+'}, {0x2022, '*'}, {0x2026, '~'},
                                    {0x2192, '>'}, {0x2212, '-'}, {0x2260, '!'}, {0x2264, '<'},
                                    {0x2265, '>'}, {0x2500, '-'}, {0x2501, '='}, {0x254c, '.'}};
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    char32_t code = 0;
    const std::size_t length = decode(text.substr(i), code);
    const auto* pair = std::ranges::find(kPairs, code, &Pair::symbol);
    if (length == 1) {
      out += text[i];
    } else if (pair != std::end(kPairs) && length != 0) {
      out += pair->ascii;
    } else if (length != 0 && code >= 0x2588 && code <= 0x258f) {
      out += code <= 0x258b ? '#' : code <= 0x258d ? '=' : '-';  // blocks, from full to an eighth
    } else {
      out.append(length == 0 ? 1 : columns(code), '?');
    }
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size();) {
    char32_t code = 0;
    const std::size_t length = decode(text.substr(i), code);
    width += length == 0 ? 1 : columns(code);
    i += std::max<std::size_t>(length, 1);
  }
  return width;
}

std::string fit(std::string_view text, std::size_t width, bool right) {
  const std::size_t needed = display_width(text);
  std::string out(text);
  std::size_t used = needed;
  if (needed > width) {
    out.clear();
    used = 0;
    if (width > 0) {
      for (std::size_t i = 0; i < text.size();) {
        char32_t code = 0;
        const std::size_t length = std::max<std::size_t>(decode(text.substr(i), code), 1);
        const std::size_t step = display_width(text.substr(i, length));
        if (used + step > width - 1) break;
        out += text.substr(i, length);
        used += step;
        i += length;
      }
      out += "\u2026";
      ++used;
    }
  }
  const std::string padding(width - std::min(used, width), ' ');
  return right ? padding + out : out + padding;
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t size = display_width(word);
    if (column > 0 && column + 1 + size > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += size;
  }
  return out;
}

std::string beside(std::string_view head, std::string_view text, std::size_t width) {
  const std::size_t column = display_width(head);
  const std::string lines = wrapped(text, width > column + 1 ? width - column : 1, 0);
  std::string out(head);
  for (const char c : lines) {
    out += c;
    if (c == '\n') out += std::string(column, ' ');
  }
  return out.substr(0, out.find_last_not_of(' ') + 1) + "\n";
}

}  // namespace systole::reports
