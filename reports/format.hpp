// Numbers and texts as a reader sees them: how many digits, which prefix, what is safe to print.
// Which of these forms a figure has is said in figure_table.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace systole::reports {

/// What an absent or not finite figure prints as.
inline constexpr std::string_view kAbsent = "\u2013";

/// `value` with `digits` significant digits, trailing zeros kept ("12.0"), no exponent between 1e-4
/// and 1e7.
std::string number(double value, int digits = 3);
std::string number(std::optional<double> value, int digits = 3);

/// Decimal prefix chosen so that 1 <= figure < 1000: "1.23 s", "41.2 ms", "830 µs"; "12.3 mJ";
/// "4.10 GB". Three significant digits, one space before the unit.
std::string format_time_ms(double milliseconds);
std::string format_energy_pj(double picojoules);
std::string format_bytes(double bytes);
std::string format_count(double count);  ///< "3.81 G"; exact below 10 000
std::string format_area_mm2(double square_millimetres);
std::string format_share(std::optional<double> share);  ///< 0.4131 -> "41.3 %"
/// 0.0123 -> "+1.23 %", three digits also below a thousandth; absent where not finite.
std::string format_change(double relative);
std::string format_change(double after, double before);
std::string format_ratio(std::optional<double> ratio);  ///< 2.5 -> "2.50\u00d7"

/// "12.3 mJ" of a value in J, or in another unit.
std::string format_prefixed(double value, std::string_view unit);
/// With a binary prefix, as capacities are made: "16.0 GiB".
std::string format_capacity(double bytes);

/// Every digit, from five on in groups of three with a thin space (U+2009): "2048", "12 345 678".
std::string format_exact(std::uint64_t count);

/// Absent for a zero or not finite denominator or quotient.
std::optional<double> share_of(double part, double whole);

/// `text` on one line (newline and tab become a space), with every ill-formed UTF-8 sequence,
/// control character and bidirectional override replaced by U+FFFD: names come from model files and
/// must not steer a terminal or break a page.
std::string printable(std::string_view text);

/// `text`, as this library writes it for people, in ASCII: every symbol by one character that looks
/// like it, so that columns stay aligned ("\u00d7" becomes "x", a full block "#"), others by "?".
/// Escape sequences stay. For terminals that know no UTF-8.
std::string to_ascii(std::string_view text);

/// Columns `text` takes on a terminal: code points, wide East Asian ones counted twice, combining
/// marks not.
std::size_t display_width(std::string_view text);

/// Exactly `width` columns: padded with spaces (on the left when `right`) or cut with an ellipsis.
std::string fit(std::string_view text, std::size_t width, bool right = false);

/// `text` broken at blanks so that no line is wider than `width`; later lines are indented. A word
/// that is wider stands alone.
std::string wrapped(std::string_view text, std::size_t width, std::size_t indent);

/// `text` behind `head`, in as many lines as it takes, all of them behind its column and ended.
std::string beside(std::string_view head, std::string_view text, std::size_t width);

}  // namespace systole::reports
