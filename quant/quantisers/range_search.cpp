// Range rules and the grid search. The contract is in the header.
#include "quant/quantisers/range_search.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/check.hpp"
#include "quant/coded_matrix.hpp"
#include "quant/elementary.hpp"
#include "quant/formats/range.hpp"
#include "quant/quantise.hpp"
#include "quant/quantisers/quest.hpp"

namespace systole::quant {

double box_error(std::span<const float> values, const ValueCodec& codec, const BoxParameters& p,
                 double norm) {
  std::vector<float> rounded(values.size());
  codec.nearest(values, p, rounded);
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double difference = std::fabs(double{values[i]} - double{rounded[i]});
    if (norm == 2.0) {
      sum += difference * difference;
    } else if (difference >= 1e-100) {  // elementary::pow takes normal numbers
      sum += elementary::pow(difference, norm);
    }
  }
  return sum;
}

BoxParameters search_scale(std::span<const float> values, const ValueCodec& codec,
                           const MseSearch& search) {
  require(search.steps >= 1 && search.depth >= 0 && search.depth <= 1 && search.norm > 0 &&
              search.norm <= 16,
          "search_scale: steps, depth or norm out of range");
  if (values.empty()) return {};
  const Range whole = minmax(values);
  BoxParameters best;
  double least = 0;
  for (unsigned i = 0; i < search.steps; ++i) {
    const double ratio = 1.0 - static_cast<double>(i) * search.depth / search.steps;
    const auto low = static_cast<float>(double{whole.min} * ratio);
    const auto high = static_cast<float>(double{whole.max} * ratio);
    const BoxParameters p = codec.parameters(values, std::min(low, high), std::max(low, high));
    const double error = box_error(values, codec, p, search.norm);
    if (i == 0 || error < least) least = error, best = p;
  }
  return best;
}

BoxParameters find_scale(std::span<const float> values, const ValueCodec& codec) {
  if (values.empty()) return {};
  const QuantSpec& spec = codec.spec();
  if (spec.range == RangeRule::mse) {
    MseSearch search = kGptqSearch;
    if (info_of(spec.format).kind != FormatClass::integer) search = kFpQuantSearch;
    if (spec.range_value != 0) search.norm = spec.range_value;
    return search_scale(values, codec, search);
  }
  if (spec.range == RangeRule::sigma && spec.range_value == 0 && spec.format != Format::half) {
    QuantSpec clipped = spec;
    clipped.range_value = quest_clip(spec.format);
    return ValueCodec(clipped).parameters(values);
  }
  return codec.parameters(values);
}

BoxParameters find_scale(std::span<const float> values, const QuantSpec& spec) {
  return find_scale(values, ValueCodec(spec));
}

std::vector<float> round_by_boxes(std::span<const float> values, std::size_t rows, std::size_t cols,
                                  const QuantSpec& spec) {
  require(cols != 0 && values.size() / cols == rows && values.size() % cols == 0,
          "round_by_boxes: values is not [rows, cols]");
  if (is_ieee(spec.format)) return fake_quantise(values, rows, cols, spec);
  if (!has_value_codec(spec.format) || spec.format == Format::lut) {
    return decode(encode(values, rows, cols, spec));
  }
  const ValueCodec codec(spec);
  const std::size_t box =
      spec.granularity == Granularity::tensor ? values.size() : group_length(cols, spec);
  std::vector<float> out(values.size());
  for (std::size_t first = 0; first < values.size(); first += box) {
    const std::span<const float> part = values.subspan(first, box);
    codec.nearest(part, find_scale(part, codec), std::span(out).subspan(first, box));
  }
  return out;
}

}  // namespace systole::quant
