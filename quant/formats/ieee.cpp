// fp32, fp16 and bf16: the code is the value's bits. fp32 has a size but no 16-bit code.
#include "quant/bfloat16.hpp"
#include "quant/check.hpp"
#include "quant/float16.hpp"
#include "quant/formats/codec.hpp"

namespace systole::quant {
namespace {

class IeeeCodec final : public Codec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    CodecLayout l;
    l.codes.word_bits = bits_of(spec.format);
    l.scales = 0;
    return l;
  }
  std::size_t box_length(std::size_t cols, const QuantSpec&) const override { return cols; }
  void encode(std::span<const float> values, CodedMatrix& m) const override {
    require(m.spec.format != Format::fp32, "fp32 has no 16-bit code: keep the values themselves");
    m.codes.reserve(values.size());
    for (const float x : values)
      m.codes.push_back(m.spec.format == Format::fp16 ? Fp16::encode(x).to_bits()
                                                      : Bf16::encode(x).to_bits());
  }
  void decode(const CodedMatrix& m, std::span<float> out) const override {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = m.spec.format == Format::fp16 ? Fp16::from_bits(m.codes[i]).decode()
                                             : Bf16::from_bits(m.codes[i]).decode();
  }
};

}  // namespace

const Codec* ieee_codec(Format) {
  static const IeeeCodec codec;
  return &codec;
}

}  // namespace systole::quant
