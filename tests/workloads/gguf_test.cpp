#include "workloads/gguf.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "quant/ggml/rows.hpp"
#include "tests/workloads/refusal.hpp"
#include "tests/workloads/temporary_file.hpp"
#include "tests/workloads/tiny_model.hpp"

namespace systole::workloads {
namespace {

using namespace testing_tools;

/// A GGUF file written field by field, so that each field can be wrong.
class RawGguf {
 public:
  RawGguf& u32(std::uint32_t v) { return append(bytes_, v), *this; }
  RawGguf& u64(std::uint64_t v) { return append(bytes_, v), *this; }
  RawGguf& octet(std::uint8_t v) { return append(bytes_, v), *this; }
  RawGguf& text(std::string_view v) {
    u64(v.size());
    return append(bytes_, v.data(), v.size()), *this;
  }
  RawGguf& header(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
    return u32(0x46554747).u32(version).u64(tensors).u64(pairs);
  }
  /// A tensor row of two dimensions.
  RawGguf& tensor(std::string_view name, std::uint64_t cols, std::uint64_t rows, std::uint32_t type,
                  std::uint64_t offset) {
    return text(name).u32(2).u64(cols).u64(rows).u32(type).u64(offset);
  }
  RawGguf& pad(std::size_t multiple) {
    while (bytes_.size() % multiple != 0) octet(0);
    return *this;
  }
  RawGguf& zeros(std::size_t count) { return bytes_.resize(bytes_.size() + count), *this; }

  GgufFile parse() const { return GgufFile::parse(bytes_, "raw.gguf"); }

 private:
  std::vector<std::byte> bytes_;
};

template <class... Parts>
void refused(const RawGguf& raw, const Parts&... parts) {
  expect_refusal([&] { raw.parse(); }, "raw.gguf: ", parts...);
}

TEST(GgufRefuses, AnEmptyFile) { refused(RawGguf(), "the magic", "truncated"); }
TEST(GgufRefuses, AnotherMagic) {
  refused(RawGguf().u32(0x12345678).u32(3).u64(0).u64(0), "not a GGUF file", "0x12345678");
}
TEST(GgufRefuses, AnotherVersion) {
  refused(RawGguf().header(0, 0, 2), "GGUF version 2, expected 3");
}
TEST(GgufRefuses, ABigEndianFile) { refused(RawGguf().header(0, 0, 0x03000000), "big-endian"); }
TEST(GgufRefuses, MoreTensorsThanTheFileCanHold) {
  refused(RawGguf().header(std::uint64_t{1} << 60, 0), "1152921504606846976 tensors cannot fit");
}
TEST(GgufRefuses, MorePairsThanTheFileCanHold) {
  refused(RawGguf().header(0, UINT64_MAX), "18446744073709551615 metadata pairs cannot fit");
}
TEST(GgufRefuses, AKeyLongerThanTheFormatAllows) {
  refused(RawGguf().header(0, 1).u64(std::uint64_t{1} << 40).zeros(64),
          "a metadata key of 1099511627776 bytes");
}
TEST(GgufRefuses, AKeyLongerThanTheFile) {
  refused(RawGguf().header(0, 1).u64(100).zeros(50), "a metadata key needs 100 bytes, 50 are left");
}
TEST(GgufRefuses, AnEmptyKey) {
  refused(RawGguf().header(0, 1).u64(0).zeros(50), "a metadata key is empty");
}
TEST(GgufRefuses, AnUnknownValueType) {
  refused(RawGguf().header(0, 1).text("k").u32(13).zeros(50), "'k' has the unknown value type 13");
}
TEST(GgufRefuses, ANestedArray) {
  refused(RawGguf().header(0, 1).text("k").u32(9).u32(9).u64(1).zeros(50),
          "'k' is an array of arrays");
}
TEST(GgufRefuses, AnArrayLongerThanTheFile) {
  refused(RawGguf().header(0, 1).text("k").u32(9).u32(6).u64(std::uint64_t{1} << 62).zeros(50),
          "4611686018427387904 elements of 'k' cannot fit");
}
TEST(GgufRefuses, AnArrayOfStringsLongerThanTheFile) {
  refused(RawGguf().header(0, 1).text("k").u32(9).u32(8).u64(7).zeros(50),
          "7 elements of 'k' cannot fit");
}
TEST(GgufRefuses, AStringLongerThanTheFile) {
  refused(RawGguf().header(0, 1).text("k").u32(8).u64(UINT64_MAX).zeros(50),
          "'k' needs 18446744073709551615 bytes");
}
TEST(GgufRefuses, ABoolThatIsNeither) {
  refused(RawGguf().header(0, 1).text("k").u32(7).octet(2), "'k' is a bool of value 2");
}
TEST(GgufRefuses, ASecondKeyOfAName) {
  RawGguf raw;
  raw.header(0, 2);
  for (int i = 0; i < 2; ++i) raw.text("key").u32(4).u32(1);
  refused(raw, "a second key 'key'");
}
TEST(GgufRefuses, ASecondTensorOfAName) {
  refused(RawGguf().header(2, 0).tensor("t", 8, 1, 0, 0).tensor("t", 8, 1, 0, 32).pad(32).zeros(64),
          "a second tensor 't'");
}
TEST(GgufRefuses, AnAlignmentThatIsNoPowerOfTwo) {
  refused(RawGguf().header(0, 1).text("general.alignment").u32(4).u32(48),
          "general.alignment is 48");
}
TEST(GgufRefuses, AnAlignmentOfZero) {
  refused(RawGguf().header(0, 1).text("general.alignment").u32(4).u32(0), "general.alignment is 0");
}
TEST(GgufRefuses, AnAlignmentThatIsAString) {
  refused(RawGguf().header(0, 1).text("general.alignment").u32(8).text("32"),
          "is of type string, expected an unsigned");
}
TEST(GgufRefuses, ATensorOfNoDimension) {
  refused(RawGguf().header(1, 0).text("t").u32(0).u32(0).u64(0).zeros(50),
          "tensor 't' has 0 dimensions");
}
TEST(GgufRefuses, ATensorOfFiveDimensions) {
  refused(RawGguf().header(1, 0).text("t").u32(5).zeros(90),
          "tensor 't' has 5 dimensions, expected 1 to 4");
}
TEST(GgufRefuses, ATensorWithAnEmptyDimension) {
  refused(RawGguf().header(1, 0).tensor("t", 8, 0, 0, 0).pad(32),
          "tensor 't' has a dimension of 0");
}
TEST(GgufRefuses, ATensorWhoseElementsOverflow) {
  refused(RawGguf().header(1, 0).tensor("t", std::uint64_t{1} << 40, std::uint64_t{1} << 40, 0, 0),
          "tensor 't'");
  refused(RawGguf().header(1, 0).tensor("t", std::uint64_t{1} << 31, std::uint64_t{1} << 31, 0, 0),
          "tensor 't'");
}
TEST(GgufRefuses, ATensorTypeByName) {
  refused(RawGguf().header(1, 0).tensor("t", 256, 1, 21, 0),
          "tensor 't' has type IQ3_S (21); expected F32, F16, Q4_0", "TQ2_0, MXFP4 or NVFP4");
  refused(RawGguf().header(1, 0).tensor("t", 256, 1, 4, 0), "Q4_2 (4)");  // removed from ggml
  refused(RawGguf().header(1, 0).tensor("t", 256, 1, 99, 0), "unknown (99)");
}
TEST(GgufRefuses, RowsThatAreNotWholeBlocks) {
  refused(RawGguf().header(1, 0).tensor("t", 33, 2, 8, 0).pad(32).zeros(128),
          "rows of 33 elements, not a multiple of 32");
  refused(RawGguf().header(1, 0).tensor("t", 288, 2, 12, 0).pad(32).zeros(1024),
          "tensor 't' of type Q4_K has rows of 288 elements, not a multiple of 256");
  refused(RawGguf().header(1, 0).tensor("t", 96, 2, 40, 0).pad(32).zeros(1024),
          "not a multiple of 64");
}
TEST(GgufRefuses, AMisalignedTensor) {
  refused(RawGguf().header(1, 0).tensor("t", 8, 1, 0, 8).pad(32).zeros(128),
          "lies at offset 8, not a multiple of 32");
}
TEST(GgufRefuses, ATensorThatEndsBehindTheFile) {
  refused(RawGguf().header(1, 0).tensor("t", 8, 1, 0, 0).pad(32).zeros(31),
          "needs 32 bytes at offset 0");
}
TEST(GgufRefuses, ATensorThatBeginsBehindTheFile) {
  refused(RawGguf().header(1, 0).tensor("t", 8, 1, 0, UINT64_MAX - 31).pad(32).zeros(64),
          "at offset 18446744073709551584");
}
TEST(GgufRefuses, ANameThatWouldDriveTheTerminal) {
  refused(RawGguf().header(1, 0).tensor("t\x1b[2J", 8, 1, 99, 0), "tensor 't\\x1b[2J'");
}
TEST(GgufRefuses, AMissingFileAndADirectory) {
  expect_refusal([] { GgufFile::open("/nonexistent/model.gguf"); }, "/nonexistent/model.gguf",
                 "No such file");
  expect_refusal([] { GgufFile::open("/"); }, "/: ", "a directory");
}

TEST(Gguf, AcceptsAFileThatEndsWithItsLastTensor) {
  const GgufFile file = RawGguf().header(1, 0).tensor("t", 8, 1, 0, 0).pad(32).zeros(32).parse();
  EXPECT_EQ(file.read_tensor("t", 1, 8), std::vector<float>(8, 0.0f));
}

TEST(Gguf, GivesBackEveryTypeOfMetadataThatWasWritten) {
  const std::vector<std::pair<std::string, GgufValue>> pairs = {
      {"u8", {GgufType::uint8, {}, std::uint64_t{255}}},
      {"i8", {GgufType::int8, {}, std::int64_t{-128}}},
      {"u16", {GgufType::uint16, {}, std::uint64_t{65535}}},
      {"i16", {GgufType::int16, {}, std::int64_t{-32768}}},
      {"u32", GgufValue::of(std::uint32_t{4000000000u})},
      {"i32", {GgufType::int32, {}, std::int64_t{-5}}},
      {"u64", {GgufType::uint64, {}, UINT64_MAX}},
      {"i64", {GgufType::int64, {}, INT64_MIN}},
      {"f32", GgufValue::of(0.1f)},
      {"f64", {GgufType::float64, {}, 0.1}},
      {"yes", GgufValue::of(true)},
      {"text", GgufValue::of(std::string("h\xc3\xa9\0llo", 7))},
      {"floats", GgufValue::of(std::vector<float>{1.5f, -0.0f})},
      {"ints", GgufValue::of(std::vector<std::int32_t>{-1, 7})},
      {"none", GgufValue::of(std::vector<std::string>{})},
      {"strings", GgufValue::of(std::vector<std::string>{"", "a"})},
      {"flags", {GgufType::array, GgufType::boolean, std::vector<bool>{true, false, true}}},
      {"u16s", {GgufType::array, GgufType::uint16, std::vector<std::uint64_t>{1, 65535}}},
      {"f64s", {GgufType::array, GgufType::float64, std::vector<double>{0.1, 1e300}}}};
  GgufWriter writer;
  for (const auto& [key, value] : pairs) writer.add(key, value);
  EXPECT_EQ(GgufFile::parse(writer.bytes(), "memory").metadata(), pairs);
}

TEST(Gguf, GivesBackTensorsOfEachTypeWithinItsPrecision) {
  Random random(3);
  const std::vector<float> values = random_weights(random, 3 * 64, 1.0);
  const float largest = std::abs(*std::max_element(
      values.begin(), values.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
  const std::pair<GgmlType, float> cases[] = {{GgmlType::f32, 0.0f},
                                              {GgmlType::f16, largest / 2048},
                                              {GgmlType::q8_0, largest / 127},
                                              {GgmlType::q4_0, largest / 7}};
  for (const auto& [type, tolerance] : cases) {
    GgufWriter writer;
    writer.add_tensor("odd", {5}, GgmlType::f32,
                      std::span(values).first(5));  // the next one must be aligned after it
    writer.add_tensor("t", {64, 3}, type, values);
    const TemporaryFile file(writer.bytes(), ".gguf");
    const std::vector<float> found = GgufFile::open(file.path()).read_tensor("t", 3, 64);
    ASSERT_EQ(found.size(), values.size());
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_NEAR(found[i], values[i], tolerance) << name_of(type);
  }
}

class GgufTypes : public testing::TestWithParam<quant::GgmlTypeInfo> {};

TEST_P(GgufTypes, AreReadAsTheirDecoderSaysAndMeasuredBeforeTheyAre) {
  const quant::GgmlTypeInfo& info = GetParam();
  Random random(5);
  const std::vector<float> values = random_weights(random, 3 * 512, 1.0);
  GgufWriter writer;
  writer.add_tensor("t", {512, 3}, info.type, values);
  std::vector<std::byte> bytes = writer.bytes();
  const GgufFile file = GgufFile::parse(bytes, "memory");
  EXPECT_EQ(file.tensors().front().type, info.type);
  EXPECT_EQ(file.tensors().front().data.size(), 3 * 512 / info.elements * info.bytes);
  EXPECT_EQ(file.read_tensor("t", 3, 512),
            quant::decode_rows(info.type, quant::encode_rows(info.type, values)));
  bytes.pop_back();
  expect_refusal([&] { GgufFile::parse(bytes, "memory"); }, "truncated or damaged");
}

INSTANTIATE_TEST_SUITE_P(Types, GgufTypes,
                         testing::ValuesIn(quant::ggml_types().begin(), quant::ggml_types().end()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(Gguf, NamesTheShapeThatItFound) {
  const GgufFile file = RawGguf().header(1, 0).tensor("t", 8, 1, 0, 0).pad(32).zeros(32).parse();
  expect_refusal([&] { file.read_tensor("t", 2, 8); }, "tensor 't' is 1 x 8, expected 2 x 8");
  expect_refusal([&] { file.read_tensor("u", 2, 8); }, "has no tensor 'u'");
}

/// Reads `bytes` as the program would: the file, then the model in it. Anything but success or
/// ConfigError is a defect.
void read_hostile(const std::vector<std::byte>& bytes) {
  const TemporaryFile file(bytes, ".gguf");
  try {
    load_model(file.path());
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find(file.path()), std::string::npos) << error.what();
  }
}

class GgufMutations : public testing::TestWithParam<GgmlType> {};

TEST_P(GgufMutations, NeverDoAnythingButReadOrRefuse) {
  TinyShape shape;
  shape.layers = 1;
  const std::vector<std::byte> original = as_gguf(tiny_model(1, shape), GetParam()).bytes();
  ASSERT_NO_THROW(GgufFile::parse(original, "original"));
  Random random(static_cast<std::uint64_t>(GetParam()) + 17);
  const auto size = static_cast<std::int64_t>(original.size());
  // Most of the file is weights; faults in what is read before them are of more kinds.
  const std::int64_t table = 9000;
  ASSERT_LT(table, size);
  for (int round = 0; round < 1500; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    std::vector<std::byte> bytes = original;
    const std::int64_t changes = random.uniform(1, 3);
    for (std::int64_t i = 0; i < changes; ++i) {
      const auto at =
          static_cast<std::size_t>(random.uniform(0, round % 4 == 0 ? size - 8 : table));
      switch (random.uniform(0, 3)) {
        case 0:
          bytes[at] = static_cast<std::byte>(random.next());
          break;
        case 1:
          bytes[at] ^= std::byte{1} << random.uniform(0, 7);
          break;
        case 2: {  // a count or size of every magnitude
          const std::uint64_t value = random.next() >> random.uniform(0, 63);
          std::memcpy(bytes.data() + at, &value, sizeof value);
          break;
        }
        case 3:
          bytes.resize(
              static_cast<std::size_t>(random.uniform(static_cast<std::int64_t>(at), size)));
          i = changes;
          break;
      }
    }
    read_hostile(bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GgufMutations,
                         testing::Values(GgmlType::f32, GgmlType::q8_0, GgmlType::q4_0),
                         [](const auto& instance) { return std::string(name_of(instance.param)); });

TEST(GgufMutations, EveryTruncationOfTheTableIsRefused) {
  TinyShape shape;
  shape.layers = 1;
  const std::vector<std::byte> original = as_gguf(tiny_model(1, shape), GgmlType::q4_0).bytes();
  for (std::size_t length = 0; length < original.size(); length += length < 9000 ? 7 : 997) {
    const std::vector<std::byte> cut(original.begin(),
                                     original.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_THROW(GgufFile::parse(cut, "cut"), ConfigError) << length << " bytes";
  }
}

}  // namespace
}  // namespace systole::workloads
