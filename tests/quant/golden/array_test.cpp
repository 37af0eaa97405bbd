// Arrays as text and bytes for other tools.
#include "quant/golden/array.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace systole::quant {
namespace {

using testing::HasSubstr;

Array bytes_array() {
  const std::array<std::int8_t, 4> values{-1, 2, -128, 127};
  return array_of("x", {2, 2}, std::span<const std::int8_t>(values));
}

TEST(Array, PrintsAsReadmemhWantsIt) {
  EXPECT_EQ(readmemh_text(bytes_array(), "two\nlines"), "// two\n// lines\nFF\n02\n80\n7F\n");
}

// As $writememh of Icarus writes it: a comment with the address, lower case.
TEST(Array, ReadsWhatASimulatorWrote) {
  const Array back =
      parse_readmemh("// 0x00000000\n@0000\nff\n02 /* two */ 80\n", "x", Element::int8, {3});
  EXPECT_EQ(back.words, (std::vector<std::uint32_t>{0xFF, 2, 0x80}));
}

TEST(ArrayRefuses, HexThatIsNotTheShape) {
  const auto refused = [](const char* text, const char* why) {
    try {
      parse_readmemh(text, "x", Element::int8, {2});
      ADD_FAILURE() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  };
  refused("01", "ends after 1 words; expected 2");
  refused("01 02 03", "more than 2 words");
  refused("01\nxx", "line 2: found 'xx'");
  refused("01 123", "more than 2 digits");
  refused("@10 01 02", "an address");
  refused("01 /* 02", "comment that does not end");
  refused("01 / 02", "found '/'");
}

TEST(Array, BytesGoBothWays) {
  const Array array = bytes_array();
  EXPECT_EQ(from_bytes("x", Element::int8, {2, 2}, to_bytes(array)).words, array.words);
  EXPECT_THROW(from_bytes("x", Element::int16, {2, 2}, to_bytes(array)), std::invalid_argument);
  EXPECT_EQ(place(array, 2), "[1, 0]");
  EXPECT_EQ(describe(Element::int8, 0x80), "-128 (0x80)");
  EXPECT_NE(fingerprint(array), fingerprint(from_bytes("x", Element::int8, {4}, to_bytes(array))));
}

}  // namespace
}  // namespace systole::quant
