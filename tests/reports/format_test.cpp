#include "reports/format.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace systole::reports {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Format, NumbersKeepTheirSignificantDigits) {
  EXPECT_EQ(number(0), "0");
  EXPECT_EQ(number(1.0), "1.00");
  EXPECT_EQ(number(12.34), "12.3");
  EXPECT_EQ(number(123.4), "123");
  EXPECT_EQ(number(1234.6), "1235");  // never fewer digits than it has before the point
  EXPECT_EQ(number(9.996), "10.0");   // rounding moves the exponent
  EXPECT_EQ(number(0.0123456), "0.0123");
  EXPECT_EQ(number(-2.5), "-2.50");
  EXPECT_EQ(number(3.61423, 4), "3.614");
  EXPECT_EQ(number(1e-9), "1.00e-09");
  EXPECT_EQ(number(kNan), kAbsent);
  EXPECT_EQ(number(kInfinity), kAbsent);
  EXPECT_EQ(number(std::nullopt), kAbsent);
}

TEST(Format, TimesChooseTheirUnit) {
  EXPECT_EQ(format_time_ms(1234), "1.23 s");
  EXPECT_EQ(format_time_ms(41.23), "41.2 ms");
  EXPECT_EQ(format_time_ms(0.83), "830 \u00b5s");
  EXPECT_EQ(format_time_ms(0.00012), "120 ns");
  EXPECT_EQ(format_time_ms(999.6), "1.00 s");  // not "1000 ms"
  EXPECT_EQ(format_time_ms(0), "0 s");
  EXPECT_EQ(format_time_ms(kNan), kAbsent);
}

TEST(Format, EnergiesChooseTheirUnit) {
  EXPECT_EQ(format_energy_pj(12), "12.0 pJ");
  EXPECT_EQ(format_energy_pj(4.2e4), "42.0 nJ");
  EXPECT_EQ(format_energy_pj(4.2e7), "42.0 \u00b5J");
  EXPECT_EQ(format_energy_pj(4.2e10), "42.0 mJ");
  EXPECT_EQ(format_energy_pj(4.2e12), "4.20 J");
  EXPECT_EQ(format_energy_pj(4.2e15), "4.20 kJ");
}

TEST(Format, BytesAreDecimal) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.00 kB");
  EXPECT_EQ(format_bytes(4.1e9), "4.10 GB");
  EXPECT_EQ(format_bytes(kInfinity), kAbsent);
}

TEST(Format, CountsAreExactBelowTenThousand) {
  EXPECT_EQ(format_count(9999), "9999");
  EXPECT_EQ(format_count(10000), "10.0 k");
  EXPECT_EQ(format_count(3.81e9), "3.81 G");
  EXPECT_EQ(format_exact(0), "0");
  EXPECT_EQ(format_exact(999), "999");
  EXPECT_EQ(format_exact(2048), "2048") << "as format_count has it";
  EXPECT_EQ(format_exact(12345), "12\u2009345");
  EXPECT_EQ(format_exact(1234567), "1\u2009234\u2009567");
}

TEST(Format, SharesShowSmallOnesAsSmallAndAbsentOnesAsAbsent) {
  EXPECT_EQ(format_share(0.4131), "41.3 %");
  EXPECT_EQ(format_share(1.0), "100 %");
  EXPECT_EQ(format_share(0.0001), "<0.1 %");
  EXPECT_EQ(format_share(0.0), "0 %");
  EXPECT_EQ(format_share(std::nullopt), kAbsent);
  EXPECT_EQ(share_of(1, 0), std::nullopt);
  EXPECT_EQ(share_of(kInfinity, 2), std::nullopt);
  EXPECT_EQ(share_of(1, 4), 0.25);
}

TEST(Format, RatiosThatAreAlmostNothingStayShort) {
  EXPECT_EQ(format_ratio(2.5), "2.50\u00d7");
  EXPECT_EQ(format_ratio(0.01), "0.0100\u00d7");
  EXPECT_EQ(format_ratio(1.23e-5), "\u22640.01\u00d7");
  EXPECT_EQ(format_ratio(0.0), "0\u00d7");
  EXPECT_EQ(format_ratio(std::nullopt), kAbsent);
}

TEST(Format, PrintableTextIsValidUtf8OnOneLine) {
  EXPECT_EQ(printable("caf\u00e9 \u6a21\u578b"), "caf\u00e9 \u6a21\u578b");
  EXPECT_EQ(printable("a\nb\tc"), "a b c");
  EXPECT_EQ(printable("\x1b[1m"), "\ufffd[1m");
  EXPECT_EQ(printable("\xff\xc0\xaf"), "\ufffd\ufffd\ufffd");  // not UTF-8, overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");  // a surrogate
  EXPECT_EQ(printable("\xe2\x82"), "\ufffd\ufffd");            // cut off
  EXPECT_EQ(printable("a\u202eb"), "a\ufffdb");                // right-to-left override
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\ufffdb");
}

TEST(Format, WidthsCountColumns) {
  EXPECT_EQ(display_width("\u00b5s"), 2u);
  EXPECT_EQ(display_width("\u6a21\u578b"), 4u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(fit("abc", 5), "abc  ");
  EXPECT_EQ(fit("abc", 5, true), "  abc");
  EXPECT_EQ(fit("abcdef", 4), "abc\u2026");
  EXPECT_EQ(fit("\u6a21\u578b\u6a21", 4), "\u6a21\u2026 ");  // a wide character is not halved
  EXPECT_EQ(fit("abc", 0), "");
}

}  // namespace
}  // namespace systole::reports
