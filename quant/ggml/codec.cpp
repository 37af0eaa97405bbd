// The GGUF formats of the catalogue behind the codec interface: a matrix is rows of blocks in
// CodedMatrix::bytes; codes, scales, zeros and tags are empty.
#include "quant/formats/codec.hpp"
#include "quant/check.hpp"
#include "quant/ggml/rows.hpp"
#include "quant/ggml/types.hpp"

namespace systole::quant {

namespace {

/// Bits of a block that are scales (of every level) and minima; the rest are codes.
struct Parameters {
  unsigned scales;
  unsigned minima;
};
Parameters parameters_of(Format format) {
  switch (format) {
    case Format::q4_1:
    case Format::q5_1:
      return {16, 16};
    case Format::q2_k:  // sixteen of 4 bits and an fp16, each
      return {80, 80};
    case Format::q4_k:  // eight of 6 bits and an fp16, each
    case Format::q5_k:
      return {64, 64};
    case Format::q3_k:  // sixteen of 6 bits
      return {112, 0};
    case Format::q6_k:  // sixteen of 8 bits
      return {144, 0};
    case Format::iq4_xs:  // eight of 6 bits
      return {64, 0};
    case Format::gguf_mxfp4:
      return {8, 0};
    default:  // one fp16
      return {16, 0};
  }
}

class GgufCodec final : public Codec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(spec.affine == Affine::symmetric, "a GGUF format has its own zero points");
    CodecLayout l;
    l.codes.word_bits = bits_of(spec.format);
    l.scale = Format::fp16;
    l.own_boxes = true;
    return l;
  }

  /// The block. Errors: std::invalid_argument saying which multiple a row must be.
  std::size_t box_length(std::size_t cols, const QuantSpec& spec) const override {
    ggml_row_bytes(type_of(spec), cols);
    return info_of(type_of(spec)).elements;
  }

  /// NORMATIVE: the encoders and decoders of blocks.hpp.
  void encode(std::span<const float> values, CodedMatrix& m) const override {
    m.bytes = encode_rows(type_of(m.spec), values);
  }
  void decode(const CodedMatrix& m, std::span<float> out) const override {
    decode_rows(type_of(m.spec), m.bytes, out);
  }

  StoredBits stored(std::uint64_t rows, std::uint64_t cols, const QuantSpec& spec) const override {
    const GgmlTypeInfo& info = info_of(type_of(spec));
    const Parameters p = parameters_of(spec.format);
    ggml_row_bytes(info.type, cols);
    const std::uint64_t blocks = checked_product(rows, cols / info.elements);
    StoredBits s;
    s.scales = checked_product(blocks, p.scales);
    s.zeros = checked_product(blocks, p.minima);
    s.codes = checked_product(blocks, 8 * info.bytes - p.scales - p.minima);
    return s;
  }

  void pack(const CodedMatrix& m, std::vector<std::uint8_t>& out) const override {
    out.insert(out.end(), m.bytes.begin(), m.bytes.end());
  }
  void unpack(std::span<const std::uint8_t> bytes, CodedMatrix& m) const override {
    m.bytes.assign(bytes.begin(), bytes.end());
  }

 private:
  static GgmlType type_of(const QuantSpec& spec) { return *ggml_type_of(spec.format); }
};

}  // namespace

const Codec* gguf_codec(Format format) {
  static const GgufCodec codec;
  return info_of(format).kind == FormatClass::gguf ? &codec : nullptr;
}

}  // namespace systole::quant
