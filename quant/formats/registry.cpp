// The one table from a format to its codec.
#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "quant/formats/codec.hpp"

namespace systole::quant {
namespace {

// One line a family; formats that no line covers have no codec yet.
constexpr std::array kFamilies = {
    CodecFamily{Format::fp32, Format::bf16, ieee_codec},
    CodecFamily{Format::int2, Format::uint16, integer_codec},
    CodecFamily{Format::fp8_e4m3, Format::ue4m3, minifloat_codec},
    CodecFamily{Format::mxfp4, Format::nvfp4, block_codec},
    CodecFamily{Format::nf4, Format::lut, lut_codec},
    CodecFamily{Format::flint4, Format::upot4, ant_codec},
    CodecFamily{Format::bitmod3, Format::bitmod4, bitmod_codec},
    CodecFamily{Format::half, Format::ternary_b3, few_levels_codec},
    CodecFamily{Format::base5, Format::levels, integer_codec},
    CodecFamily{Format::fixed, Format::fixed, fixed_codec},
    CodecFamily{Format::twinlog, Format::twinlog, twinlog_codec},
    CodecFamily{Format::codebook, Format::codebook, codebook_codec},
    CodecFamily{Format::q4_0, Format::gguf_mxfp4, gguf_codec},
    CodecFamily{Format::ovp4_int, Format::ovp8_int, ovp_codec},
};

const Codec* find(Format format) {
  const auto row = std::ranges::find_if(
      kFamilies, [format](const CodecFamily& f) { return f.first <= format && format <= f.last; });
  return row == kFamilies.end() ? nullptr : row->family(format);
}

}  // namespace

bool has_codec(Format format) { return find(format) != nullptr; }

const Codec& codec_of(Format format) {
  const Codec* codec = find(format);
  if (codec == nullptr)
    throw std::invalid_argument("format " + std::string(name_of(format)) + " has no codec");
  return *codec;
}

}  // namespace systole::quant
