#include "pe/reference.hpp"

#include <bit>
#include <cmath>
#include <string>

#include "pe/designs/outlier.hpp"
#include "quant/float16.hpp"
#include "quant/formats/flint.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/kernels/bitmod_dot.hpp"
#include "quant/kernels/block_scaled_gemm.hpp"
#include "quant/kernels/exact.hpp"
#include "quant/kernels/figna_dot.hpp"
#include "quant/kernels/fixed_point.hpp"
#include "quant/kernels/tender_gemm.hpp"
#include "sim/core/error.hpp"

namespace systole::pe {
namespace {

using configs::Dataflow;
using quant::Format;
using quant::Fp16;

using Words = std::span<const OperandWord>;

bool is_pair(Format f) {
  return f == Format::ovp4_int || f == Format::ovp4_flint || f == Format::ovp8_int;
}

/// The integers that the words of one row of `k` stand for.
std::vector<std::int64_t> integers(Format format, Words words) {
  std::vector<std::int64_t> values;
  if (is_pair(format)) {
    const quant::OvpType type = quant::ovp_type(format, quant::Contract::corrected);
    const quant::OvpRules rules = quant::ovp_rules(format, quant::Contract::corrected);
    std::vector<std::uint16_t> slots(words.begin(), words.end());
    slots.resize(quant::ovp_slots(1, words.size(), rules));
    for (const auto& operand : quant::ovp_decode_slots(slots, 1, words.size(), type, rules)) {
      values.push_back(operand.value());
    }
    return values;
  }
  for (const OperandWord word : words) {
    values.push_back(quant::is_ant_grid(format) ? quant::ant_values(format)[word & 15u]
                                                : static_cast<std::int16_t>(word));
  }
  return values;
}

std::vector<Fp16> halves(Words words) {
  std::vector<Fp16> values;
  for (const OperandWord word : words) values.push_back(Fp16::from_bits(word));
  return values;
}

ResultWord bits_of_float(float value) { return std::bit_cast<std::uint32_t>(value); }

/// Sums of the elements that `a` and `w` hold, from +0, k ascending.
using FloatSum = float (*)(Format activation, Words a, Format weight, Words w);

float unit_sum(Format activation, Words a, Format weight, Words w, std::size_t depth) {
  return quant::unit_dot(activation, a, weight, w, depth);
}

float shift_add_sum(Words a, Format weight, Words w, unsigned part) {
  float sum = 0.0f;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const int code = static_cast<std::int16_t>(w[i]);
    const bool wide = quant::bits_of(weight) > 4;
    const int q = !wide ? code : part == 0 ? code & 15 : (code >> 4) * 16;
    sum = std::fma(Fp16::from_bits(a[i]).decode(), static_cast<float>(q), sum);
  }
  return sum;
}

float fpma_sum(Words a, Format weight, Words w) {
  std::vector<Fp16> weights;
  for (const OperandWord word : w) {
    weights.push_back(weight == Format::fp16 ? Fp16::from_bits(word)
                      : weight == Format::fp4_e2m1
                          ? Fp16::encode(quant::element_value(weight, word))
                          : Fp16::encode(static_cast<float>(static_cast<std::int16_t>(word))));
  }
  return quant::fpma_dot(halves(a), weights);
}

float bitmod_sum(Format weight, Words a, Words w) {
  const quant::TermCode code = weight == Format::bitmod3   ? quant::TermCode::fp3
                               : weight == Format::bitmod4 ? quant::TermCode::fp4
                               : weight == Format::int5    ? quant::TermCode::int5
                               : weight == Format::int6    ? quant::TermCode::int6
                                                           : quant::TermCode::int8;
  std::vector<std::int8_t> values;
  for (const OperandWord word : w) {
    values.push_back(static_cast<std::int8_t>(static_cast<std::int16_t>(word)));
  }
  return quant::bitmod_group(halves(a), values, code);
}

float figna_sum(Words a, Words w, unsigned mantissa) {
  std::vector<std::int16_t> codes;
  for (const OperandWord word : w) codes.push_back(static_cast<std::int16_t>(word));
  return quant::figna_dot(quant::align(halves(a), mantissa, quant::Alignment::truncate), codes);
}

float gobo_sum(Words a, Words w) {
  std::array<float, 8> bins{};
  float total = 0.0f;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float activation = Fp16::from_bits(a[i]).decode();
    if (w[i] < 8) {
      bins[w[i]] += activation;
    } else {
      total += Fp16::from_bits(w[i]).decode() * activation;
    }
  }
  for (std::size_t i = 0; i < bins.size(); ++i) total += designs::gobo_dictionary()[i] * bins[i];
  return total;
}

std::int32_t tender_sum(const ArrayCase& work, std::uint64_t m, std::uint64_t n) {
  const GemmShape& shape = work.shape;
  quant::TenderClasses classes;
  classes.classes = static_cast<unsigned>(shape.classes);
  std::vector<std::int8_t> a, w;
  for (std::uint64_t k = 0; k < shape.k; ++k) {
    unsigned cls = 0;
    while (cls < work.boundaries.size() && work.boundaries[cls] <= k) ++cls;
    classes.channel_class.push_back(static_cast<std::uint8_t>(cls));
    a.push_back(static_cast<std::int8_t>(work.activation[m * shape.k + k]));
    w.push_back(static_cast<std::int8_t>(work.weight[n * shape.k + k]));
  }
  return quant::tender_dot(a, w, classes, quant::Overflow::wrap);
}

}  // namespace

std::vector<ResultWord> reference_sums(const configs::ArrayConfig& array, const PeDesign& design,
                                       const ArrayCase& work) {
  const GemmShape& shape = work.shape;
  const Geometry g = geometry(array, design, shape);
  const Mode& mode = design.require_mode(shape.weight, shape.activation);
  const bool held = array.dataflow != Dataflow::output_stationary;
  std::vector<ResultWord> sums;
  sums.reserve(shape.m * shape.n * g.groups);

  // Whole rows as integers, once.
  std::vector<std::vector<std::int64_t>> a_rows, w_rows;
  const auto row = [&](const std::vector<OperandWord>& words, std::uint64_t r) {
    return Words(words).subspan(r * shape.k, shape.k);
  };
  if (!design.float_results && design.name != "tender") {
    for (std::uint64_t m = 0; m < shape.m; ++m) {
      a_rows.push_back(integers(shape.activation, row(work.activation, m)));
    }
    for (std::uint64_t n = 0; n < shape.n; ++n) {
      w_rows.push_back(integers(shape.weight, row(work.weight, n)));
    }
  }

  /// Pieces of a group as the array adds them, joined in order.
  const auto in_pieces = [&](Words a, Words w, auto piece_sum) {
    const std::uint64_t piece = held ? g.rows * mode.depth : a.size();
    float total = 0.0f;
    for (std::uint64_t begin = 0; begin < a.size(); begin += piece) {
      const std::uint64_t count = std::min<std::uint64_t>(piece, a.size() - begin);
      const unsigned parts = held ? mode.weight_parts : 1;
      for (unsigned part = 0; part < parts; ++part) {
        const float sum = piece_sum(a.subspan(begin, count), w.subspan(begin, count), part);
        total = begin == 0 && part == 0 ? sum : total + sum;
      }
    }
    return bits_of_float(total);
  };

  for (std::uint64_t m = 0; m < shape.m; ++m) {
    for (std::uint64_t n = 0; n < shape.n; ++n) {
      for (std::uint64_t group = 0; group < g.groups; ++group) {
        const std::uint64_t begin = group * g.group_length;
        const Words a = row(work.activation, m).subspan(begin, g.group_length);
        const Words w = row(work.weight, n).subspan(begin, g.group_length);
        if (design.name == "tender") {
          sums.push_back(result_of(tender_sum(work, m, n)));
        } else if (!design.float_results) {
          quant::Int128 sum = 0;
          for (std::uint64_t k = begin; k < begin + g.group_length; ++k) {
            sum += quant::Int128{a_rows[m][k]} * w_rows[n][k];
          }
          const auto wide = static_cast<std::int64_t>(sum);
          sums.push_back(
              result_of(design.accumulator == "int32" ? static_cast<std::int32_t>(wide) : wide));
        } else if (design.kind == Arithmetic::block_scaled) {
          sums.push_back(bits_of_float(quant::block_dot(shape.activation, a, shape.weight, w)));
        } else if (design.name == "adafloat") {
          sums.push_back(
              bits_of_float(quant::block_dot(Format::mxfp8_e4m3, a, Format::mxfp8_e4m3, w)));
        } else if (design.name.starts_with("figna")) {
          sums.push_back(bits_of_float(figna_sum(a, w, quant::kFignaMantissa)));
        } else if (design.name == "ifpu" || design.name == "figlut") {
          sums.push_back(bits_of_float(figna_sum(a, w, 24)));
        } else if (design.name == "bitmod") {
          sums.push_back(bits_of_float(bitmod_sum(shape.weight, a, w)));
        } else if (design.name == "gobo") {
          sums.push_back(bits_of_float(gobo_sum(a, w)));
        } else if (design.name == "mixpe-w4a16") {
          if (held) {
            sums.push_back(in_pieces(a, w, [&](Words x, Words y, unsigned part) {
              return shift_add_sum(x, shape.weight, y, part);
            }));
          } else {
            float sum = 0.0f;
            for (std::size_t i = 0; i < a.size(); ++i) {
              for (unsigned part = 0; part < mode.weight_parts; ++part) {
                sum += shift_add_sum(a.subspan(i, 1), shape.weight, w.subspan(i, 1), part);
              }
            }
            sums.push_back(bits_of_float(sum));
          }
        } else if (design.name == "fpma" || design.name == "axcore") {
          sums.push_back(in_pieces(
              a, w, [&](Words x, Words y, unsigned) { return fpma_sum(x, shape.weight, y); }));
        } else if (design.kind == Arithmetic::floating) {
          sums.push_back(in_pieces(a, w, [&](Words x, Words y, unsigned) {
            // One element a step adds its product; several first form their own sum.
            const std::size_t chunk = mode.depth == 1 ? x.size() : mode.depth;
            return unit_sum(shape.activation, x, shape.weight, y, chunk);
          }));
        } else {
          SYSTOLE_CHECK(false, design.name + ": no reference");
        }
      }
    }
  }
  return sums;
}

}  // namespace systole::pe
