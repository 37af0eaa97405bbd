// The GGUF formats through the interface of coded_matrix.hpp.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/ggml/rows.hpp"
#include "quant/ggml/types.hpp"
#include "quant/quantise.hpp"
#include "tests/quant/ggml/inputs.hpp"

namespace systole::quant {
namespace {

std::vector<Format> gguf_formats() {
  std::vector<Format> formats;
  for (const Format f : kAllFormats) {
    if (info_of(f).kind == FormatClass::gguf) formats.push_back(f);
  }
  return formats;
}

QuantSpec spec_of(Format format) {
  QuantSpec spec;
  spec.format = format;
  return spec;
}

std::vector<float> values(std::size_t n) {
  ggml_test::Stream s(31);
  std::vector<float> x(n);
  for (float& v : x) v = ggml_test::bell(s);
  return x;
}

class GgufCodec : public testing::TestWithParam<Format> {};

TEST_P(GgufCodec, AMatrixIsItsRowsOfBlocks) {
  const GgmlType type = *ggml_type_of(GetParam());
  const std::vector<float> x = values(3 * 512);
  const CodedMatrix m = encode(x, 3, 512, spec_of(GetParam()));
  EXPECT_EQ(m.bytes, encode_rows(type, x));
  EXPECT_TRUE(m.codes.empty() && m.scales.empty() && m.zeros.empty() && m.tags.empty());
  EXPECT_EQ(m.group, info_of(type).elements);
  EXPECT_EQ(decode(m), decode_rows(type, m.bytes));
}

TEST_P(GgufCodec, PackingIsTheBytesAndAsManyAsStoredBitsSays) {
  const QuantSpec spec = spec_of(GetParam());
  const CodedMatrix m = encode(values(3 * 512), 3, 512, spec);
  const std::vector<std::uint8_t> packed = pack(m);
  EXPECT_EQ(packed, m.bytes);
  EXPECT_EQ(8 * packed.size(), stored_bits(3, 512, spec));
  EXPECT_EQ(packed.size(), 3 * ggml_row_bytes(*ggml_type_of(GetParam()), 512));
  EXPECT_EQ(unpack(packed, 3, 512, spec).bytes, m.bytes);
  EXPECT_THROW(unpack(std::span(packed).first(packed.size() - 1), 3, 512, spec),
               std::invalid_argument);
}

TEST_P(GgufCodec, ARowThatIsNoWholeNumberOfBlocksIsRefusedNamingTheMultiple) {
  const std::size_t block = info_of(*ggml_type_of(GetParam())).elements;
  const std::size_t cols = block + 16;
  try {
    encode(values(cols), 1, cols, spec_of(GetParam()));
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("multiple of " + std::to_string(block)),
              std::string::npos)
        << error.what();
  }
  EXPECT_THROW(stored_bits(1, cols, spec_of(GetParam())), std::invalid_argument);
}

TEST_P(GgufCodec, ValuesThatAreNotFiniteAreRefusedAndEmptyMatricesAreNot) {
  std::vector<float> x = values(256);
  x[200] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(encode(x, 1, 256, spec_of(GetParam())), std::domain_error);
  EXPECT_TRUE(pack(encode({}, 0, 256, spec_of(GetParam()))).empty());
  EXPECT_TRUE(pack(encode({}, 3, 0, spec_of(GetParam()))).empty());
  EXPECT_FALSE(integer_grid(spec_of(GetParam())).has_value());
  QuantSpec affine = spec_of(GetParam());
  affine.affine = Affine::integer_zero;
  EXPECT_THROW(encode(values(256), 1, 256, affine), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Formats, GgufCodec, testing::ValuesIn(gguf_formats()),
                         [](const auto& instance) { return std::string(name_of(instance.param)); });

}  // namespace
}  // namespace systole::quant
