// The storage figures of the quantization dossier, from the parts that a policy implies: the whole
// KV table (§10), the weight list below it, the examples of §2.2, pages.
#include "quant/storage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "quant/coded_matrix.hpp"
#include "quant/formats/codec.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

constexpr std::uint64_t kTokens = 131072;  // the table's context of 128K

struct Model {
  std::uint64_t layers, heads, channels;
  std::uint64_t elements() const { return layers * 2 * heads * channels; }  // a token, K and V
};
constexpr Model kLlama2{32, 32, 128}, kLlama3{32, 8, 128};

TensorPolicy policy(Format format, Granularity granularity = Granularity::token,
                    Affine affine = Affine::symmetric, Format scale = Format::fp16) {
  TensorPolicy p;
  p.format = format;
  p.granularity = granularity;
  p.affine = affine;
  p.scale = scale;
  return p;
}
TensorPolicy grouped(Format format, std::uint32_t group, Affine affine, Format scale) {
  TensorPolicy p = policy(format, Granularity::group, affine, scale);
  p.group = group;
  return p;
}
Level level(std::vector<std::uint32_t> box, Format scale, std::uint32_t zero_bits) {
  Level l;
  l.box = std::move(box);
  l.scale = scale;
  l.zero_bits = zero_bits;
  return l;
}
TensorPolicy boxed(Format format, std::vector<std::uint32_t> box, Format scale,
                   std::uint32_t zero_bits) {
  TensorPolicy p = policy(format);
  p.levels = {level(std::move(box), scale, zero_bits)};
  return p;
}

StoredBits kv(const TensorPolicy& p, std::uint64_t tokens, const Model& m) {
  const std::array<std::uint64_t, 3> shape = {tokens, m.heads, m.channels};
  return stored(p, shape);
}
/// Bits of the cache of a model: keys and values of every layer.
std::uint64_t cache_bits(const TensorPolicy& k, const TensorPolicy& v, const Model& m,
                         std::uint64_t tokens = kTokens) {
  return m.layers * (kv(k, tokens, m).total() + kv(v, tokens, m).total());
}
/// To `digits` decimals, as the table prints.
double printed(double value, int digits) {
  const double unit = std::pow(10.0, digits);
  return std::round(value * unit) / unit;
}

/// One row of §10 where both tensors are alike: b_eff exact, so bytes and GiB are to the byte.
void check_row(const TensorPolicy& k, const TensorPolicy& v, double b_eff, double ratio,
               std::uint64_t bytes2, std::uint64_t bytes3, double gib2, double gib3) {
  for (const auto& [m, bytes, gib] : {std::tuple{kLlama2, bytes2, gib2}, {kLlama3, bytes3, gib3}}) {
    const std::uint64_t bits = cache_bits(k, v, m);
    const double elements = static_cast<double>(m.elements() * kTokens);
    EXPECT_EQ(printed(static_cast<double>(bits) / elements, 4), b_eff);
    EXPECT_EQ(printed(16 * elements / static_cast<double>(bits), 2), ratio);
    EXPECT_EQ(std::llround(static_cast<double>(bits) / 8 / kTokens), static_cast<long long>(bytes));
    EXPECT_NEAR(static_cast<double>(bits) / 8 / (1 << 30), gib, 0.0051);
  }
}
void check_row(const TensorPolicy& p, double b_eff, double ratio, std::uint64_t bytes2,
               std::uint64_t bytes3, double gib2, double gib3) {
  check_row(p, p, b_eff, ratio, bytes2, bytes3, gib2, gib3);
}

TEST(StorageTable, Fp16) { check_row(policy(Format::fp16), 16, 1.00, 524288, 131072, 64.0, 16.0); }
TEST(StorageTable, GgufBlocksOfACache) {
  ASSERT_TRUE(has_codec(Format::q8_0));
  check_row(policy(Format::q8_0), 8.5, 1.88, 278528, 69632, 34.0, 8.50);
  check_row(policy(Format::q4_0), 4.5, 3.56, 147456, 36864, 18.0, 4.50);
}
TEST(StorageTable, QServe) {  // a box a token and head, float zero
  check_row(policy(Format::int8, Granularity::token, Affine::float_zero), 8.25, 1.94, 270336, 67584,
            33.0, 8.25);
  check_row(policy(Format::int4, Granularity::token, Affine::float_zero), 4.25, 3.76, 139264, 34816,
            17.0, 4.25);
  check_row(boxed(Format::int4, {1, 1, 0}, Format::fp16, 16), 4.25, 3.76, 139264, 34816, 17.0,
            4.25);  // the same as a level
}
TEST(StorageTable, Fp8WithAScaleATokenAndHead) {
  check_row(policy(Format::fp8_e4m3), 8.125, 1.97, 266240, 66560, 32.5, 8.13);
}
TEST(StorageTable, Kivi) {  // keys 32 x 1 x 1, values 1 x 1 x 32, scale and minimum fp16
  check_row(boxed(Format::int4, {32, 1, 1}, Format::fp16, 16),
            boxed(Format::int4, {1, 1, 32}, Format::fp16, 16), 5.0, 3.20, 163840, 40960, 20.0,
            5.00);
  check_row(boxed(Format::int2, {32, 1, 1}, Format::fp16, 16),
            grouped(Format::int2, 32, Affine::float_min, Format::fp16), 3.0, 5.33, 98304, 24576,
            12.0, 3.00);
  check_row(boxed(Format::int2, {128, 1, 1}, Format::fp16, 16),
            boxed(Format::int2, {1, 1, 128}, Format::fp16, 16), 2.25, 7.11, 73728, 18432, 9.00,
            2.25);
}
TEST(StorageTable, BlockFormats) {
  check_row(policy(Format::mxfp4), 4.25, 3.76, 139264, 34816, 17.0, 4.25);
  check_row(policy(Format::nvfp4), 4.5, 3.56, 147456, 36864, 18.0, 4.50);
  // ... of which the float of each tensor is 4 bytes.
  EXPECT_EQ(kv(policy(Format::nvfp4), 16, kLlama3).total(), 16u * 1024 * 45 / 10 + 32);
}
TEST(StorageTable, PmKvq) {  // 1 x 1 x 128, scale and minimum bf16
  check_row(grouped(Format::int4, 128, Affine::float_min, Format::bf16), 4.25, 3.76, 139264, 34816,
            17.0, 4.25);
  check_row(grouped(Format::int2, 128, Affine::float_min, Format::bf16), 2.25, 7.11, 73728, 18432,
            9.00, 2.25);
}
TEST(StorageTable, FireQ) {  // a bf16 scale a token and head
  check_row(policy(Format::int4, Granularity::token, Affine::symmetric, Format::bf16), 4.125, 3.88,
            135168, 33792, 16.5, 4.13);
}
TEST(StorageTable, RotateKv) {  // an fp8 scale and an int8 zero a 128 channels
  TensorPolicy p = grouped(Format::int2, 128, Affine::integer_zero, Format::fp8_e4m3);
  p.zero_bits = 8;
  check_row(p, 2.125, 7.53, 69632, 17408, 8.50, 2.13);
  check_row(boxed(Format::int2, {1, 1, 128}, Format::fp8_e4m3, 8), 2.125, 7.53, 69632, 17408, 8.50,
            2.13);
}
TEST(StorageTable, ZipCacheCodesAtSixtyPercentSalient) {
  // The row counts codes alone: 4 * 0.6 + 2 * 0.4. 100000 tokens, so that 60 % is a whole number.
  TensorPolicy p =
      boxed(Format::int2, {0, 1, 1}, Format::fp16, 16);  // K: a box a class and channel
  TokenPolicy salient;
  salient.kind = TokenKind::salient;
  salient.ratio = 0.6;
  salient.high = Format::int4;
  p.tokens = {salient};
  for (const auto& [m, bytes] : {std::pair{kLlama2, 104858}, {kLlama3, 26214}}) {
    const StoredBits s = kv(p, 100000, m);
    EXPECT_EQ(std::llround(static_cast<double>(m.layers * 2 * s.codes) / 8 / 100000), bytes);
    EXPECT_EQ(s.scales, 2 * m.heads * m.channels * 16);  // one a class and channel
    EXPECT_EQ(s.zeros, s.scales);
    EXPECT_EQ(s.tags, 100000u);  // and the class of every token
  }
}

/// KVQuant stores `kept` of 4096 elements apart; of a narrower cache the same share, as the note
/// below the table says.
StoredBits kvquant(Format format, std::uint32_t bits, std::uint32_t value_bits,
                   std::uint32_t index_bits, const Model& m) {
  TensorPolicy p = boxed(format, {0, 1, 1}, Format::fp16, 16);
  p.levels[0].parameters = ParameterSource::fixed;
  p.QuantSpec::levels = 1u << bits;
  p.outliers.kind = OutlierKind::dense_sparse;
  p.outliers.fraction = 42.0 / 4096;
  p.outliers.value_bits = value_bits;
  p.outliers.index_bits = index_bits;
  return kv(p, kTokens, m);
}

TEST(StorageTable, KvQuant) {
  // The table rounds b_eff to two decimals and multiplies that: so do we, from the exact parts.
  // Parameters and look-up tables are excluded there ("per-token V parameters and LUT bits are
  // excluded"). Exact: 4.65625 and b + 0.328125.
  struct Row {
    Format format;
    std::uint32_t bits, value, index;
    double b_eff, ratio;
    long long bytes2, bytes3;
    double gib2, gib3;
  };
  for (const Row& r : {Row{Format::lut, 4, 32, 32, 4.66, 3.43, 152699, 38175, 18.6, 4.66},
                       Row{Format::lut, 4, 16, 16, 4.33, 3.70, 141885, 35471, 17.3, 4.33},
                       Row{Format::lut, 3, 16, 16, 3.33, 4.80, 109117, 27279, 13.3, 3.33},
                       Row{Format::lut, 2, 16, 16, 2.33, 6.87, 76349, 19087, 9.32, 2.33}}) {
    for (const auto& [m, bytes, gib] :
         {std::tuple{kLlama2, r.bytes2, r.gib2}, {kLlama3, r.bytes3, r.gib3}}) {
      const StoredBits s = kvquant(r.format, r.bits, r.value, r.index, m);
      const double exact = static_cast<double>(s.codes + s.sparse_values + s.sparse_indices) /
                           static_cast<double>(kTokens * m.heads * m.channels);
      EXPECT_EQ(exact, r.bits + 42.0 / 4096 * (r.value + r.index));
      EXPECT_EQ(printed(exact, 2), r.b_eff);
      EXPECT_EQ(printed(16 / printed(exact, 2), 2), r.ratio);
      const double a_token = static_cast<double>(m.elements()) * printed(exact, 2) / 8;
      EXPECT_EQ(std::llround(a_token), bytes);
      EXPECT_NEAR(a_token * kTokens / (1 << 30), gib, 0.051);
    }
  }
  // What the cap of 42 a token itself takes on 4096 channels, and 1 % (b + 0.32).
  TensorPolicy p = policy(Format::lut);
  p.outliers.kind = OutlierKind::dense_sparse;
  p.outliers.count = 42;
  EXPECT_EQ(kv(p, 100, kLlama2).sparse_values, 100u * 42 * 16);
  p.outliers.count = 0;
  p.outliers.fraction = 0.01;
  const StoredBits one = kv(p, 100, kLlama2);
  EXPECT_EQ(one.sparse_values + one.sparse_indices, 100u * 4096 * 32 / 100);
  p.outliers.count = 10;  // a GQA model: about round(0.01 Hkv D)
  EXPECT_EQ(kv(p, 100, kLlama3).sparse_indices, 100u * 10 * 16);
}

TEST(StorageTable, TadaIsAPublishedRatio) {
  // Group size and the layers' widths were not published: 27 % of fp16 is all there is to the row.
  const double bits = 0.27 * 16;
  EXPECT_EQ(printed(bits, 2), 4.32);
  EXPECT_EQ(std::llround(static_cast<double>(kLlama2.elements()) * bits / 8), 141558);
  EXPECT_EQ(std::llround(static_cast<double>(kLlama3.elements()) * bits / 8), 35389);
  // What its means cost is known (A5): 16 / Hkv bits an element.
  TensorPolicy p = policy(Format::int4);
  Transform mean;
  mean.op = TransformOp::mean;
  mean.axis = TransformAxis::head;
  mean.where = Where::write;
  p.transforms = {mean};
  EXPECT_EQ(kv(p, 64, kLlama3).zeros, 64u * 1024 * 2);  // 2.0
  EXPECT_EQ(kv(p, 64, kLlama2).zeros, 64u * 4096 / 2);  // 0.5
}

// --- weights: "Weight storage" below the table
// ----------------------------------------------------
double bits_a_weight(const TensorPolicy& p, std::uint64_t rows = 4096, std::uint64_t cols = 4096) {
  const std::array<std::uint64_t, 2> shape = {rows, cols};
  return static_cast<double>(stored(p, shape).total()) / static_cast<double>(rows * cols);
}

TEST(WeightStorage, IsWhatTheDossierLists) {
  EXPECT_EQ(bits_a_weight(policy(Format::fp16)), 16);
  TensorPolicy qoq = policy(Format::uint4);
  qoq.levels = {level({1, 0}, Format::fp16, 0), level({1, 128}, Format::int8, 8)};
  EXPECT_EQ(printed(bits_a_weight(qoq), 3), 4.129);
  EXPECT_EQ(bits_a_weight(qoq), 4 + 16.0 / 4096 + 16.0 / 128);
  EXPECT_EQ(printed(bits_a_weight(boxed(Format::uint4, {1, 0}, Format::fp16, 16)), 3), 4.008);
  EXPECT_EQ(bits_a_weight(grouped(Format::int4, 128, Affine::float_zero, Format::fp16)), 4.25);
  EXPECT_EQ(bits_a_weight(grouped(Format::int4, 128, Affine::integer_zero, Format::fp16)), 4.15625);
  EXPECT_EQ(bits_a_weight(grouped(Format::int4, 128, Affine::symmetric, Format::fp8_e4m3)), 4.0625);
  EXPECT_EQ(bits_a_weight(policy(Format::mxfp4)), 4.25);
  EXPECT_EQ(bits_a_weight(policy(Format::nvfp4)), 4.5 + 32.0 / (4096 * 4096));
  EXPECT_EQ(bits_a_weight(grouped(Format::int2, 128, Affine::float_min, Format::fp16)), 2.25);
}

TEST(WeightStorage, OfLevelsThatAreNoPowerOfTwo) {
  // 4080 columns are whole words of three and of five; the scale of a row is 16 bits more.
  const std::array<std::uint64_t, 2> shape = {16, 4080};
  const auto codes = [&shape](Format f) {
    return static_cast<double>(stored(policy(f), shape).codes) / (16 * 4080);
  };
  EXPECT_EQ(printed(codes(Format::base5), 3), 2.333);
  EXPECT_EQ(codes(Format::ternary_b3), 1.6);
  EXPECT_EQ(codes(Format::ternary), 2);
  TensorPolicy planes = policy(Format::int3);  // ABQ W2* as three planes
  planes.layout.interleave = Interleave::planes;
  planes.layout.word_bits = 32;
  const StoredBits s = stored(planes, std::array<std::uint64_t, 2>{16, 4080});
  EXPECT_EQ(s.codes, 16u * 4080 * 3);
  EXPECT_EQ(s.padding, 16u * 3 * 16);  // 4080 = 127.5 words
}

TEST(WeightStorage, OfAnyPrecisionAndTwoClasses) {
  TensorPolicy lut = policy(Format::lut, Granularity::channel);  // an fp16 table an output channel
  lut.range = RangeRule::kmeans;
  EXPECT_EQ(bits_a_weight(lut), 4.0625);
  // PTQ1.61: 20 % of the input channels in 4 bits, the rest one bit, and a mask. 4096 inputs.
  TensorPolicy ptq = policy(Format::sign, Granularity::channel);
  ptq.outliers.kind = OutlierKind::channel_class;
  ptq.outliers.fraction = 0.2;
  ptq.outliers.high = Format::int4;
  const StoredBits s = stored(ptq, std::array<std::uint64_t, 2>{4096, 4096});
  EXPECT_EQ(s.codes, 4096u * (819 * 4 + 3277));
  EXPECT_EQ(s.tags, 4096u);  // 1 / 4096 a weight
  EXPECT_EQ(printed(static_cast<double>(s.codes + s.tags) / (4096.0 * 4096), 2), 1.60);
  EXPECT_EQ(printed(bits_a_weight(ptq), 2), 1.61);  // with the scales of the rows
}

// --- §2.2 --------------------------------------------------------------------------------------
TEST(EffectiveBits, OfKivisResidualWindow) {
  // [b + 32/G] (T - r) / T + 16 r / T, r = R/2 on average for keys (block flush), R for values.
  TensorPolicy k = boxed(Format::int2, {32, 1, 1}, Format::fp16, 16);
  TensorPolicy v = boxed(Format::int2, {1, 1, 32}, Format::fp16, 16);
  TokenPolicy window;
  window.kind = TokenKind::window;
  window.count = 128;
  k.tokens = {window};
  window.flush = Flush::slide;
  v.tokens = {window};
  struct Row {
    std::uint64_t tokens;
    double k, v;
  };
  for (const Row& row : {Row{1024, 3.81, 4.63}, {4096, 3.20, 3.41}, {16384, 3.05, 3.10}}) {
    const double width = static_cast<double>(kLlama3.heads * kLlama3.channels);
    double mean = 0;  // over a whole period of the flush, centred on T
    for (std::uint64_t r = 0; r < 128; ++r) {
      const std::uint64_t tokens = row.tokens - 64 + r;
      mean += static_cast<double>(kv(k, tokens, kLlama3).total()) /
              (static_cast<double>(tokens) * width) / 128;
    }
    EXPECT_NEAR(mean, row.k, 0.0106) << row.tokens;  // r = 63.5 on average, and T moves with it
    EXPECT_NEAR(static_cast<double>(kv(v, row.tokens, kLlama3).total()) /
                    (static_cast<double>(row.tokens) * width),
                row.v, 0.0051);
  }
  // r itself, exactly: 64 tokens past a flush.
  EXPECT_EQ(split_tokens(k, 1024 + 64).full, 64u);
  EXPECT_EQ(split_tokens(k, 1024).full, 0u);
  EXPECT_EQ(split_tokens(v, 1024).full, 128u);
  EXPECT_EQ(split_tokens(v, 100).full, 100u);
  EXPECT_EQ(kv(k, 1088, kLlama3).total(), 1024u * (1024 * 3 + 64 * 16));
}

TEST(EffectiveBits, OfSinks) {
  // A4: RotateKV with 20 sinks: 2.193 at 4096 tokens, 2.26 at 2048.
  TensorPolicy p = boxed(Format::int2, {1, 1, 128}, Format::fp8_e4m3, 8);
  TokenPolicy sink;
  sink.kind = TokenKind::sink;
  sink.count = 20;
  p.tokens = {sink};
  const auto bits = [&p](std::uint64_t tokens) {
    return static_cast<double>(kv(p, tokens, kLlama2).total()) / static_cast<double>(tokens * 4096);
  };
  EXPECT_EQ(printed(bits(4096), 3), 2.193);
  EXPECT_EQ(printed(bits(2048), 2), 2.26);
}

TEST(EffectiveBits, OfARetrievalIndex) {
  // B4: 12 bits a token and head, 0.094 an element; the codebook of a head is 1 MiB.
  TensorPolicy p = policy(Format::fp16);
  TokenPolicy retrieve;
  retrieve.kind = TokenKind::retrieve;
  retrieve.codewords = 4096;
  p.tokens = {retrieve};
  const StoredBits s = kv(p, 1000, kLlama3);
  EXPECT_EQ(s.index, 1000u * 8 * 12);
  EXPECT_EQ(s.codebook, 8u * (1 << 20) * 8);
  EXPECT_EQ(s.codes, 1000u * 1024 * 16);
}

TEST(EffectiveBits, OfAgeTiersEvictionAndConstants) {
  TensorPolicy p = policy(Format::nvfp4);
  p.schedule.kind = ScheduleKind::age;
  p.schedule.entries = {{"", 0.2, Format::bf16}, {"", 0.2, Format::fp8_e4m3}};
  const StoredBits s = kv(p, 1000, kLlama3);
  EXPECT_EQ(s.codes, 1024u * (200 * 16 + 200 * 8 + 600 * 4));
  TensorPolicy e = policy(Format::int4);
  TokenPolicy evict;
  evict.kind = TokenKind::evict;
  evict.count = 512;
  evict.sinks = 32;
  e.tokens = {evict};
  EXPECT_EQ(kv(e, 5000, kLlama3).codes, 544u * 1024 * 4);
  EXPECT_EQ(split_tokens(e, 5000).evicted, 5000u - 544);
  TensorPolicy c = policy(Format::int8);
  c.outliers.kind = OutlierKind::constant;
  EXPECT_EQ(kv(c, 77, kLlama3).codes, 1024u * (16 + 76 * 8));
}

// --- pages -------------------------------------------------------------------------------------
TEST(Pages, OfQServeHold34816Bytes) {
  // A3: 64 tokens, 8 heads of 128: 32768 B of codes, 1024 B of scales, 1024 B of zeros.
  TensorPolicy p = policy(Format::int4, Granularity::token, Affine::float_zero);
  p.layout.page_tokens = 64;
  p.layout.metadata = Metadata::page;
  const StoredBits one = kv(p, 64, kLlama3);
  EXPECT_EQ(one.codes, 32768u * 8);
  EXPECT_EQ(one.scales, 1024u * 8);
  EXPECT_EQ(one.zeros, 1024u * 8);
  EXPECT_EQ(one.total(), 34816u * 8);
  // One token more opens a whole page, all of which but that token is padding.
  const StoredBits two = kv(p, 65, kLlama3);
  EXPECT_EQ(two.total(), 2 * 34816u * 8);
  EXPECT_EQ(two.padding, 63u * 34816 * 8 / 64);
  p.layout.align_bytes = 4096;
  EXPECT_EQ(kv(p, 64, kLlama3).total(), 9u * 4096 * 8);  // 34816 = 8.5 pages of 4 KiB
  EXPECT_EQ(kv(p, 0, kLlama3).total(), 0u);
}

TEST(Pages, KeepTheWindowOutside) {
  TensorPolicy p = policy(Format::int4, Granularity::token, Affine::float_zero);
  p.layout.page_tokens = 64;
  TokenPolicy window;
  window.kind = TokenKind::window;
  window.count = 64;
  p.tokens = {window};
  const StoredBits s = kv(p, 64 * 3 + 10, kLlama3);
  EXPECT_EQ(s.total(), 3u * 34816 * 8 + 10 * 1024 * 16);
  EXPECT_EQ(s.padding, 0u);
}

// --- in general ----------------------------------------------------------------------------------
TEST(Stored, OfAPlainPolicyIsStoredBits) {
  EXPECT_TRUE(rc::check("stored().total() == stored_bits()", [] {
    TensorPolicy p =
        policy(*rc::gen::element(Format::fp16, Format::int2, Format::int8, Format::uint5,
                                 Format::mxfp4, Format::nvfp4, Format::nf4, Format::base5,
                                 Format::ternary_b3, Format::half, Format::fp6_e3m2),
               *rc::gen::element(Granularity::tensor, Granularity::channel, Granularity::group));
    p.group = *rc::gen::inRange(1u, 40u);
    const std::array<std::uint64_t, 2> shape = {*rc::gen::inRange<std::uint64_t>(1, 70),
                                                *rc::gen::inRange<std::uint64_t>(1, 300)};
    RC_ASSERT(stored(p, shape).total() == stored_bits(shape[0], shape[1], p.spec()));
  }));
}

TEST(Stored, SplitsChannelsIntoTwoQuantisers) {
  TensorPolicy p = policy(Format::int4, Granularity::channel);
  p.outliers.kind = OutlierKind::split;
  p.outliers.point = 24;
  const StoredBits s = stored(p, std::array<std::uint64_t, 2>{10, 64});
  EXPECT_EQ(s.codes, 10u * 64 * 4);
  EXPECT_EQ(s.scales, 10u * 2 * 16);
}

TEST(Stored, RefusesShapesAndBoxesOfOtherAxes) {
  const TensorPolicy p = boxed(Format::int4, {1, 32}, Format::fp16, 0);
  EXPECT_THROW(stored(p, std::array<std::uint64_t, 1>{4}), std::invalid_argument);
  EXPECT_THROW(stored(p, std::array<std::uint64_t, 3>{4, 4, 4}), std::invalid_argument);
  EXPECT_NO_THROW(stored(p, std::array<std::uint64_t, 2>{4, 64}));
  EXPECT_THROW(stored(p, std::array<std::uint64_t, 2>{1ull << 40, 1ull << 30}),
               std::overflow_error);
}

}  // namespace
}  // namespace systole::quant
