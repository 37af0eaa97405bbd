// Parts and boxes of a weight. The contract is in the header.
#include "quant/quantisers/weight_boxes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/check.hpp"
#include "quant/formats/codec.hpp"
#include "quant/quantisers/range_search.hpp"

namespace systole::quant {
namespace {

constexpr std::uint32_t kNowhere = std::numeric_limits<std::uint32_t>::max();

/// Every code of a block format decoded under a scale of 1.
std::vector<std::pair<float, std::uint16_t>> elements_of(const QuantSpec& spec) {
  const std::size_t count = std::size_t{1} << bits_of(spec.format);
  CodedMatrix all;
  all.rows = count;
  all.cols = all.group = all.groups = 1;
  all.spec = spec;
  for (std::size_t code = 0; code < count; ++code) {
    all.codes.push_back(static_cast<std::uint16_t>(code));
  }
  all.scales.assign(count, 1.0f);
  const std::vector<float> values = decode(all);
  std::vector<std::pair<float, std::uint16_t>> elements;
  for (std::size_t code = 0; code < count; ++code) {
    if (std::isfinite(values[code])) {
      elements.emplace_back(values[code], static_cast<std::uint16_t>(code));
    }
  }
  std::stable_sort(elements.begin(), elements.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return elements;
}

/// The nearest of scale * element, a tie going to the lower value.
std::pair<float, std::uint16_t> nearest_element(
    float w, float scale, const std::vector<std::pair<float, std::uint16_t>>& elements) {
  if (scale == 0) return {0.0f, 0};
  const auto above = std::lower_bound(elements.begin(), elements.end(), w,
                                      [&](const auto& e, float x) { return e.first * scale < x; });
  auto best = above == elements.end() ? above - 1 : above;
  if (best != elements.begin() && above != elements.end()) {
    const double below = double{w} - double{(best - 1)->first} * double{scale};
    if (below <= double{best->first} * double{scale} - double{w}) --best;
  }
  return {best->first * scale, best->second};
}

}  // namespace

WeightBoxes::WeightBoxes(std::size_t n, std::size_t k, std::vector<WeightPart> parts, FitBox fit)
    : n_(n), k_(k), fit_(std::move(fit)), place_(k, {kNowhere, kNowhere}) {
  if (!fit_) {
    fit_ = [](std::size_t, std::size_t, std::span<const float> values, const ValueCodec& codec) {
      return find_scale(values, codec);
    };
  }
  for (WeightPart& given : parts) {
    if (given.columns.empty()) continue;
    Part part;
    part.columns = std::move(given.columns);
    for (std::size_t i = 0; i < part.columns.size(); ++i) {
      const std::uint32_t column = part.columns[i];
      require(column < k && place_[column].first == kNowhere, "weight parts share a column");
      place_[column] = {static_cast<std::uint32_t>(parts_.size()), static_cast<std::uint32_t>(i)};
    }
    CodedMatrix& m = part.coded;
    m.rows = n;
    m.cols = part.columns.size();
    m.spec = given.spec;
    m.group = codec_of(m.spec.format).box_length(m.cols, m.spec);
    m.groups = (m.cols + m.group - 1) / m.group;
    if (has_value_codec(m.spec.format) && m.spec.format != Format::lut) {
      part.codec.emplace(m.spec);
      part.boxes.resize(n * m.groups);
      m.codes.resize(n * m.cols);
    } else if (info_of(m.spec.format).kind == FormatClass::block) {
      part.elements = elements_of(m.spec);
    }
    parts_.push_back(std::move(part));
  }
  for (const auto& place : place_) require(place.first != kNowhere, "weight parts miss a column");
}

bool WeightBoxes::has_values() const {
  return std::all_of(parts_.begin(), parts_.end(), [](const Part& part) {
    return part.codec.has_value() || !part.elements.empty();
  });
}

std::vector<float> WeightBoxes::part_of(std::span<const float> weight, const Part& part) const {
  std::vector<float> out(n_ * part.columns.size());
  for (std::size_t r = 0; r < n_; ++r) {
    for (std::size_t i = 0; i < part.columns.size(); ++i) {
      out[r * part.columns.size() + i] = weight[r * k_ + part.columns[i]];
    }
  }
  return out;
}

void WeightBoxes::fit_box(Part& part, std::size_t row, std::size_t box,
                          std::span<const float> values) {
  part.boxes[row * part.coded.groups + box] =
      fit_(row, box * part.coded.group, values, *part.codec);
}

void WeightBoxes::fit_all(std::span<const float> weight) {
  require(weight.size() == n_ * k_, "weight boxes: the weight is not [n, k]");
  fixed_ = true;
  for (Part& part : parts_) {
    const std::vector<float> values = part_of(weight, part);
    CodedMatrix& m = part.coded;
    if (!part.codec) {
      m = quant::encode(values, n_, m.cols, m.spec);
      continue;
    }
    if (m.spec.granularity == Granularity::tensor) {
      fit_box(part, 0, 0, values);
      std::fill(part.boxes.begin(), part.boxes.end(), part.boxes.front());
      continue;
    }
    for (std::size_t r = 0; r < n_; ++r) {
      for (std::size_t g = 0; g < m.groups; ++g) {
        const std::size_t first = g * m.group, count = std::min(m.group, m.cols - first);
        fit_box(part, r, g, std::span(values).subspan(r * m.cols + first, count));
      }
    }
  }
}

void WeightBoxes::adjust_scales(std::size_t index,
                                const std::function<void(std::span<float>)>& change) {
  Part& part = parts_.at(index);
  require(part.codec.has_value(), "nested scales need a format with scales of its boxes");
  std::vector<float> scales;
  for (const BoxParameters& p : part.boxes) scales.push_back(p.scale[0]);
  change(scales);
  for (std::size_t i = 0; i < scales.size(); ++i) part.boxes[i].scale[0] = scales[i];
}

void WeightBoxes::encode_part(Part& part, std::span<const float> weight) {
  CodedMatrix& m = part.coded;
  if (!part.codec) {
    m = quant::encode(part_of(weight, part), n_, m.cols, m.spec);
    return;
  }
  for (std::size_t r = 0; r < n_; ++r) {
    for (std::size_t i = 0; i < m.cols; ++i) {
      quantise(r, 0, part.columns[i], weight[r * k_ + part.columns[i]]);
    }
  }
}

void WeightBoxes::encode_all(std::span<const float> weight) {
  require(weight.size() == n_ * k_, "weight boxes: the weight is not [n, k]");
  for (Part& part : parts_) encode_part(part, weight);
}

std::size_t WeightBoxes::group() const { return fixed_ ? 0 : parts_.front().coded.group; }

void WeightBoxes::fit(std::size_t row, std::size_t group, std::span<const float> values,
                      std::span<const std::uint32_t>) {
  if (!fixed_) fit_box(parts_.front(), row, group, values);
}

float WeightBoxes::quantise(std::size_t row, std::size_t, std::uint32_t column, float w) {
  Part& part = parts_[place_[column].first];
  const std::size_t position = place_[column].second;
  CodedMatrix& m = part.coded;
  const std::size_t box = row * m.groups + position / m.group;
  std::uint16_t& code = m.codes[row * m.cols + position];
  if (part.codec) {
    const BoxParameters& p = part.boxes[box];
    code = part.codec->encode(w, p);
    return part.codec->decode(code, p);
  }
  const auto nearest = nearest_element(w, m.scales[box] * m.tensor_scale, part.elements);
  code = nearest.second;
  return nearest.first;
}

void WeightBoxes::store_parameters(Part& part) {
  if (!part.codec) return;
  CodedMatrix& m = part.coded;
  const CodecLayout layout = codec_of(m.spec.format).layout(m.spec);
  m.scales.clear();
  m.zeros.clear();
  m.tags.clear();
  for (const BoxParameters& p : part.boxes) {
    for (unsigned i = 0; i < layout.scales; ++i) {
      m.scales.push_back(p.scale[i]);
      if (layout.zero != ZeroKind::none) m.zeros.push_back(p.zero[i]);
    }
    if (layout.tag_bits != 0) m.tags.push_back(p.tag);
  }
}

std::vector<float> WeightBoxes::values() const {
  std::vector<float> out(n_ * k_);
  for (Part part : parts_) {
    store_parameters(part);
    const std::vector<float> decoded = quant::decode(part.coded);
    for (std::size_t r = 0; r < n_; ++r) {
      for (std::size_t i = 0; i < part.columns.size(); ++i) {
        out[r * k_ + part.columns[i]] = decoded[r * part.columns.size() + i];
      }
    }
  }
  return out;
}

std::vector<CodedMatrix> WeightBoxes::take() {
  std::vector<CodedMatrix> out;
  for (Part& part : parts_) {
    store_parameters(part);
    out.push_back(std::move(part.coded));
  }
  return out;
}

}  // namespace systole::quant
