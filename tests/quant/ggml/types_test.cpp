// Sizes, ids and fallbacks of the GGUF types against published tables.
#include "quant/ggml/types.hpp"

#include <gtest/gtest.h>

#include <string>

namespace systole::quant {
namespace {

struct Row {
  GgmlType type;
  std::uint32_t id;
  std::size_t elements, bytes;
  double bits;
};
// Elements, bytes and bits a weight: quantization.md, table of D4. Ids: ggml.h.
constexpr Row kTable[] = {
    {GgmlType::q4_0, 2, 32, 18, 4.5},       {GgmlType::q4_1, 3, 32, 20, 5.0},
    {GgmlType::q5_0, 6, 32, 22, 5.5},       {GgmlType::q5_1, 7, 32, 24, 6.0},
    {GgmlType::q8_0, 8, 32, 34, 8.5},       {GgmlType::q8_1, 9, 32, 36, 9.0},
    {GgmlType::q2_k, 10, 256, 84, 2.625},   {GgmlType::q3_k, 11, 256, 110, 3.4375},
    {GgmlType::q4_k, 12, 256, 144, 4.5},    {GgmlType::q5_k, 13, 256, 176, 5.5},
    {GgmlType::q6_k, 14, 256, 210, 6.5625}, {GgmlType::q8_k, 15, 256, 292, 9.125},
    {GgmlType::iq4_nl, 20, 32, 18, 4.5},    {GgmlType::iq4_xs, 23, 256, 136, 4.25},
    {GgmlType::tq1_0, 34, 256, 54, 1.6875}, {GgmlType::tq2_0, 35, 256, 66, 2.0625},
    {GgmlType::mxfp4, 39, 32, 17, 4.25},    {GgmlType::nvfp4, 40, 64, 36, 4.5},
};

TEST(GgmlTypes, StoreTheBitsOfThePublishedTable) {
  for (const Row& row : kTable) {
    const GgmlTypeInfo* info = find_ggml_type(row.id);
    ASSERT_NE(info, nullptr) << row.id;
    EXPECT_EQ(info->type, row.type);
    EXPECT_EQ(info->elements, row.elements) << info->name;
    EXPECT_EQ(info->bytes, row.bytes) << info->name;
    EXPECT_EQ(8.0 * static_cast<double>(ggml_row_bytes(row.type, 1024)) / 1024.0, row.bits)
        << info->name;
  }
  EXPECT_EQ(ggml_types().size(), std::size(kTable) + 3);  // and F32, F16, BF16
}

TEST(GgmlTypes, RemovedAndForeignIdsAreNone) {
  for (const std::uint32_t id : {4u, 5u, 16u, 24u, 28u, 31u, 38u, 41u, 43u, 0xFFFFFFFFu}) {
    EXPECT_EQ(find_ggml_type(id), nullptr) << id;
  }
  EXPECT_THROW(info_of(static_cast<GgmlType>(4)), std::invalid_argument);
}

TEST(GgmlTypes, EveryGgufFormatOfTheCatalogueHasItsTypeAndBack) {
  for (const Format format : kAllFormats) {
    const auto type = ggml_type_of(format);
    const bool expected = format >= Format::q4_0 || is_ieee(format);
    ASSERT_EQ(type.has_value(), expected) << name_of(format);
    if (type) {
      EXPECT_EQ(format_of(*type), format);
    }
  }
  EXPECT_FALSE(format_of(GgmlType::q8_k).has_value());
}

std::string refusal(GgmlType type, std::size_t cols) {
  try {
    ggml_row_bytes(type, cols);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(GgmlTypes, ARowThatIsNoWholeNumberOfBlocksIsRefusedSayingWhy) {
  EXPECT_EQ(refusal(GgmlType::q4_k, 288), "a row of Q4_K has a multiple of 256 elements, not 288");
  EXPECT_EQ(refusal(GgmlType::nvfp4, 96), "a row of NVFP4 has a multiple of 64 elements, not 96");
  EXPECT_EQ(refusal(GgmlType::mxfp4, 33), "a row of MXFP4 has a multiple of 32 elements, not 33");
  EXPECT_EQ(refusal(GgmlType::f16, 33), "");
}

TEST(GgmlFallback, IsThatOfLlamaCppWhereRowsAreNotMultiplesOf256) {
  const std::pair<Format, Format> table[] = {
      {Format::iq4_xs, Format::iq4_nl}, {Format::q2_k, Format::q4_0},  {Format::q3_k, Format::q4_0},
      {Format::tq1_0, Format::q4_0},    {Format::tq2_0, Format::q4_0}, {Format::q4_k, Format::q5_0},
      {Format::q5_k, Format::q5_1},     {Format::q6_k, Format::q8_0}};
  for (const auto& [wanted, instead] : table) {
    EXPECT_EQ(gguf_fallback(wanted, 512), wanted);
    EXPECT_EQ(gguf_fallback(wanted, 288), instead) << name_of(wanted);
    EXPECT_EQ(gguf_fallback(wanted, 100), Format::fp16) << name_of(wanted);
  }
  EXPECT_EQ(gguf_fallback(Format::q4_0, 96), Format::q4_0);
  EXPECT_EQ(gguf_fallback(Format::q8_0, 100), Format::fp16);
  EXPECT_EQ(gguf_fallback(Format::fp16, 7), Format::fp16);
  EXPECT_EQ(gguf_fallback(Format::int4, 7), Format::int4);  // not GGUF: not its business
}

}  // namespace
}  // namespace systole::quant
