// Range rules and the grid search. The contract is in the header.
#include "quant/quantisers/range_search.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/check.hpp"
#include "quant/elementary.hpp"

namespace systole::quant {
namespace {

struct Ends {
  float low = 0, high = 0;
};

Ends ends_of(std::span<const float> values) {
  Ends e{values.front(), values.front()};
  for (const float x : values) {
    if (x < e.low) e.low = x;
    if (x > e.high) e.high = x;
  }
  return e;
}

float absmax_of(std::span<const float> values) {
  const Ends e = ends_of(values);
  return std::max(std::fabs(e.low), std::fabs(e.high));
}

/// The whole range; of several tags the one of least squared error.
BoxParameters natural(std::span<const float> values, const BoxCodec& codec, Ends e) {
  BoxParameters best = codec.parameters(e.low, e.high);
  if (codec.tags() == 1) return best;
  double least = box_error(values, codec, best);
  for (std::size_t tag = 1; tag < codec.tags(); ++tag) {
    const BoxParameters p = codec.parameters(e.low, e.high, static_cast<std::uint8_t>(tag));
    const double error = box_error(values, codec, p);
    if (error < least) least = error, best = p;
  }
  return best;
}

Ends percentile(std::span<const float> values, double percent, bool two_sided) {
  require(percent > 0 && percent <= 100, "percentile: above 0, at most 100");
  std::vector<float> magnitude(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) magnitude[i] = std::fabs(values[i]);
  const double rank = std::ceil(percent / 100.0 * static_cast<double>(values.size()));
  const std::size_t index =
      std::min(values.size(), std::max<std::size_t>(1, static_cast<std::size_t>(rank))) - 1;
  const auto nth = magnitude.begin() + static_cast<std::ptrdiff_t>(index);
  std::nth_element(magnitude.begin(), nth, magnitude.end());
  if (!two_sided) return {-*nth, *nth};
  const Ends e = ends_of(values);
  return {std::max(e.low, -*nth), std::min(e.high, *nth)};
}

float root_mean_square(std::span<const float> values) {
  double sum = 0;
  for (const float x : values) sum += double{x} * double{x};
  return static_cast<float>(std::sqrt(sum / static_cast<double>(values.size())));
}

BoxParameters by_sigma(std::span<const float> values, const BoxCodec& codec) {
  const unsigned bits = bits_of(codec.spec().format);
  const bool ternary =
      codec.spec().format == Format::ternary || codec.spec().format == Format::ternary_b3;
  require(ternary || (bits >= 1 && bits <= 8), "sigma: c_b is known for 1 to 8 bits");
  const double clip = ternary ? kQuestClipTernary : kQuestClip[bits];
  const float limit = static_cast<float>(clip * double{root_mean_square(values)});
  return codec.parameters(-limit, limit);
}

BoxParameters by_mean_magnitude(std::span<const float> values, const BoxCodec& codec) {
  const double n = static_cast<double>(values.size());
  double mean = 0, magnitude = 0;
  if (codec.spec().format == Format::sign) {
    for (const float x : values) mean += double{x};
    mean /= n;
  }
  for (const float x : values) magnitude += std::fabs(double{x} - mean);
  BoxParameters p;
  p.zero = codec.stored(static_cast<float>(mean));
  p.scale = codec.stored(static_cast<float>(magnitude / n));
  return p;
}

BoxParameters by_signed_extreme(std::span<const float> values, const BoxCodec& codec) {
  const QuantSpec& spec = codec.spec();
  require(info_of(spec.format).kind == FormatClass::integer && spec.affine == Affine::symmetric &&
              bits_of(spec.format) > 1,
          "absmax_signed is for symmetric integers");
  float extreme = 0;
  for (const float x : values) {
    if (std::fabs(x) > std::fabs(extreme)) extreme = x;
  }
  BoxParameters p;
  p.scale = codec.stored(extreme / -codec.largest_element());
  return p;
}

}  // namespace

double box_error(std::span<const float> values, const BoxCodec& codec, const BoxParameters& p,
                 double norm) {
  double sum = 0;
  for (const float x : values) {
    const double difference = std::fabs(double{x} - double{codec.nearest(x, p)});
    if (norm == 2.0) {
      sum += difference * difference;
    } else if (difference >= 1e-100) {  // elementary::pow takes normal numbers
      sum += elementary::pow(difference, norm);
    }
  }
  return sum;
}

BoxParameters search_scale(std::span<const float> values, const BoxCodec& codec,
                           const MseSearch& search) {
  require(search.steps >= 1 && search.depth >= 0 && search.depth <= 1 && search.norm > 0 &&
              search.norm <= 16,
          "search_scale: steps, depth or norm out of range");
  if (values.empty()) return {};
  const Ends e = ends_of(values);
  BoxParameters best;
  double least = 0;
  for (unsigned i = 0; i < search.steps; ++i) {
    const double ratio = 1.0 - static_cast<double>(i) * search.depth / search.steps;
    const BoxParameters p = natural(
        values, codec,
        {static_cast<float>(double{e.low} * ratio), static_cast<float>(double{e.high} * ratio)});
    const double error = box_error(values, codec, p, search.norm);
    if (i == 0 || error < least) least = error, best = p;
  }
  return best;
}

BoxParameters find_scale(std::span<const float> values, const BoxCodec& codec) {
  const QuantSpec& spec = codec.spec();
  if (values.empty() || is_ieee(spec.format)) return {};
  switch (spec.range) {
    case RangeRule::automatic:
      if (spec.format == Format::sign) return by_mean_magnitude(values, codec);
      if (spec.format == Format::half) return by_sigma(values, codec);
      return natural(values, codec, ends_of(values));
    case RangeRule::minmax:
      return natural(values, codec, ends_of(values));
    case RangeRule::absmax: {
      const float m = absmax_of(values);
      return natural(values, codec, {-m, m});
    }
    case RangeRule::absmax_signed:
      return by_signed_extreme(values, codec);
    case RangeRule::clip: {
      require(spec.range_value > 0 && spec.range_value <= 1, "clip: a ratio above 0, at most 1");
      const Ends e = ends_of(values);
      return natural(values, codec,
                     {static_cast<float>(double{e.low} * spec.range_value),
                      static_cast<float>(double{e.high} * spec.range_value)});
    }
    case RangeRule::percentile:
      return natural(values, codec, percentile(values, spec.range_value, codec.two_sided()));
    case RangeRule::mse: {
      MseSearch search = kGptqSearch;
      if (info_of(spec.format).kind != FormatClass::integer) search = kFpQuantSearch;
      if (spec.range_value != 0) search.norm = spec.range_value;
      return search_scale(values, codec, search);
    }
    case RangeRule::sigma:
      return by_sigma(values, codec);
    case RangeRule::meanabs:
      return by_mean_magnitude(values, codec);
    case RangeRule::kmeans:
    case RangeRule::olive:
    case RangeRule::output_mse:
      break;
  }
  require(false, "find_scale: kmeans, olive and output_mse need more than the values of a box");
  return {};
}

BoxParameters find_scale(std::span<const float> values, const QuantSpec& spec) {
  return find_scale(values, BoxCodec(spec));
}

}  // namespace systole::quant
