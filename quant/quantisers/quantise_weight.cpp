// The steps from a weight and its policy to codes. The contract is in the header.
#include "quant/quantisers/quantise_weight.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <numeric>
#include <stdexcept>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/primitives/codebook.hpp"
#include "quant/primitives/transform.hpp"
#include "quant/quantise.hpp"
#include "quant/quantisers/allocate.hpp"
#include "quant/quantisers/gptq.hpp"
#include "quant/quantisers/kvquant.hpp"
#include "quant/quantisers/qoq.hpp"
#include "quant/quantisers/range_search.hpp"
#include "quant/quantisers/rotation.hpp"
#include "quant/quantisers/smooth.hpp"
#include "quant/quantisers/weight_boxes.hpp"
#include "quant/storage.hpp"

namespace systole::quant {
namespace {

// --- transforms ----------------------------------------------------------------------------------

bool is_input_transform(const Transform& t) {
  require(t.where == Where::fold || t.where == Where::write,
          "weight transforms are folded or applied on write");
  require(t.axis == TransformAxis::channel, "weight transforms run over the input channels");
  return t.op == TransformOp::had || t.op == TransformOp::rot;
}

const LayerStatistics& needed(const LayerStatistics* statistics, std::size_t k, const char* what) {
  require(statistics != nullptr, what);
  require(statistics->cols == k, "the statistics are of another layer");
  return *statistics;
}

LayerInputs inputs_of(const LayerStatistics& s) {
  require(!s.sample.empty() || !s.hessian.empty(),
          "an output error needs calibration: sample rows or sum x x^T");
  return {s.sample, s.hessian};
}

Rotation rotation_of(const Transform& t, std::size_t k) {
  if (t.op == TransformOp::rot) {
    require(t.size == 0 || t.size == k, "ROT of a weight covers the whole axis");
    return Rotation::random(k, 1);
  }
  return Rotation::hadamard(k, fwht_size(k, t.size));
}

/// Statistics of the divided input.
void divide_statistics(LayerStatistics& s, std::span<const float> factors) {
  const std::size_t k = factors.size();
  for (std::size_t i = 0; i < s.hessian.size(); ++i) {
    s.hessian[i] /= double{factors[i / k]} * double{factors[i % k]};
  }
  if (!s.mean_abs.empty()) divide(s.mean_abs, factors);
  if (!s.absmax.empty()) divide(s.absmax, factors);
  if (!s.sample.empty()) divide(s.sample, factors);
}

/// Statistics of the rotated input; magnitudes are those of the sample.
void rotate_statistics(LayerStatistics& s, const Rotation& rotation) {
  const std::size_t k = rotation.size();
  for (int side = 0; side < 2 && !s.hessian.empty(); ++side) {
    for (std::size_t i = 0; i < k; ++i) {
      rotation.apply(std::span(s.hessian).subspan(i * k, k));
      for (std::size_t j = 0; j < i; ++j) std::swap(s.hessian[i * k + j], s.hessian[j * k + i]);
    }
  }
  if (!s.sample.empty()) rotate_inputs(s.sample, rotation);
  s.mean_abs.assign(s.sample.empty() ? 0 : k, 0.0f);
  s.absmax = s.mean_abs;
  const float rows = static_cast<float>(s.sample.size() / k);
  for (std::size_t i = 0; i < s.sample.size(); ++i) {
    const float magnitude = std::fabs(s.sample[i]);
    s.mean_abs[i % k] += magnitude / rows;
    s.absmax[i % k] = std::max(s.absmax[i % k], magnitude);
  }
}

/// A weight on its way: what it has become and what its input has.
struct Prepared {
  std::vector<float> weight;
  std::optional<LayerStatistics> statistics;
  bool act_order = false;

  const LayerStatistics* known() const { return statistics ? &*statistics : nullptr; }
};

Prepared transform(std::span<const float> weight, std::size_t k, const TensorPolicy& policy,
                   const LayerStatistics* statistics, std::span<const float> input_scale,
                   QuantisedWeight& out) {
  Prepared p;
  p.weight.assign(weight.begin(), weight.end());
  if (statistics != nullptr) p.statistics = *statistics;
  p.act_order = policy.quantiser.act_order;
  if (input_scale.empty()) {
    const std::span<const float> one[] = {weight};
    out.input_scale = shared_input_scale(one, k, policy, statistics);
  } else {
    require(input_scale.size() == k, "quantise_weight: one input scale a channel");
    out.input_scale.assign(input_scale.begin(), input_scale.end());
  }
  if (!out.input_scale.empty()) {
    multiply_columns(p.weight, out.input_scale);
    if (p.statistics) divide_statistics(*p.statistics, out.input_scale);
  }
  for (const Transform& t : policy.transforms) {
    if (is_input_transform(t)) {
      const Rotation rotation = rotation_of(t, k);
      rotate_inputs(p.weight, rotation);
      if (p.statistics) rotate_statistics(*p.statistics, rotation);
      out.input_transforms.push_back(t);
    } else if (t.op == TransformOp::perm) {
      require(t.factors == FactorRule::hessian, "PERM of a weight orders columns by the Hessian");
      p.act_order = true;
    } else {
      require(t.op == TransformOp::diag && out.input_transforms.empty(),
              "weight transforms are DIAG, then HAD or ROT, and PERM");
    }
  }
  return p;
}

// --- ranges --------------------------------------------------------------------------------------

/// GPTQ's released symmetric integers (trap 13): the zero is (maxq + 1) / 2, the step 2 absmax /
/// maxq.
BoxParameters released_symmetric(std::span<const float> values, const QuantSpec& spec) {
  float absmax = 0;
  for (const float x : values) absmax = std::max(absmax, std::fabs(x));
  const auto largest = static_cast<float>((1u << bits_of(spec.format)) - 1u);
  BoxParameters p;
  p.scale[0] = store_parameter(spec.scale, 2.0f * absmax / largest);
  p.zero[0] = (largest + 1.0f) / 2.0f;
  return p;
}

bool released_gptq(const TensorPolicy& policy) {
  return policy.quantiser.method == Method::gptq && follows_code(policy.contract) &&
         policy.affine == Affine::symmetric && is_integer(policy.format);
}

/// Codes within +-bound: the range ends there.
BoxParameters protected_box(std::span<const float> values, const ValueCodec& codec, int bound) {
  const QuantSpec& spec = codec.spec();
  require(is_integer(spec.format) && spec.affine == Affine::symmetric,
          "a protective range is for symmetric integers");
  const int largest = symmetric_max(spec.format);
  require(bound >= 1 && bound <= largest, "a protective range within the codes");
  BoxParameters p = find_scale(values, codec);
  p.scale[0] = store_parameter(
      spec.scale, p.scale[0] * static_cast<float>(largest) / static_cast<float>(bound));
  return p;
}

FitBox fit_rule(const TensorPolicy& policy, std::size_t n, std::size_t k, const Prepared& p,
                std::span<const float> weight) {
  if (released_gptq(policy)) {
    return [](std::size_t, std::size_t, std::span<const float> values, const ValueCodec& codec) {
      return released_symmetric(values, codec.spec());
    };
  }
  if (policy.outliers.kind == OutlierKind::protect) {
    const int bound = policy.outliers.high_bound;
    return [bound](std::size_t, std::size_t, std::span<const float> values,
                   const ValueCodec& codec) { return protected_box(values, codec, bound); };
  }
  if (policy.range == RangeRule::output_mse) {
    const LayerStatistics& s =
        needed(p.known(), k, "range output_mse needs calibration of the layer's input");
    const std::size_t group = group_length(k, policy);
    const std::vector<float> clips = awq_clips(weight, n, k, policy, inputs_of(s));
    return
        [clips, group, groups = k / group](std::size_t row, std::size_t first,
                                           std::span<const float> values, const ValueCodec& codec) {
          const float limit = clips[row * groups + first / group];
          return codec.parameters(values, -limit, limit);
        };
  }
  return {};
}

// --- nested scales -------------------------------------------------------------------------------

/// int8 inside a row scale (VS-Quant, BitMoD): s = S * q, q in 1 ... 127.
void nest_int8(std::span<float> scales, std::size_t per_row, Format outer) {
  for (std::size_t first = 0; first < scales.size(); first += per_row) {
    const std::span<float> row = scales.subspan(first, per_row);
    const float largest = *std::max_element(row.begin(), row.end());
    const float step = store_parameter(outer, largest / 127.0f);
    for (float& s : row) {
      const float q =
          step == 0 ? 0.0f
                    : static_cast<float>(elementary::round_to_integer(double{s} / double{step}));
      s = step * std::clamp(q, 1.0f, 127.0f);
    }
  }
}

/// FireQ: a power of two over the tensor, E4M3 below it.
void nest_power_of_two(std::span<float> scales, Format inner) {
  const float largest = *std::max_element(scales.begin(), scales.end());
  int exponent = 14;
  while (exponent > 0 && largest * std::ldexp(1.0f, exponent) > 448.0f) --exponent;
  for (float& s : scales) {
    s = std::ldexp(store_parameter(inner, std::ldexp(s, exponent)), -exponent);
  }
}

void nest_float(std::span<float> scales, std::size_t per_row, Format inner, Format outer) {
  for (std::size_t first = 0; first < scales.size(); first += per_row) {
    const std::span<float> row = scales.subspan(first, per_row);
    const float largest = *std::max_element(row.begin(), row.end());
    const float step = store_parameter(outer, largest / 448.0f);
    for (float& s : row) s = step == 0 ? 0.0f : step * store_parameter(inner, s / step);
  }
}

void nest_scales(WeightBoxes& boxes, const TensorPolicy& policy, std::size_t n) {
  const std::size_t count = policy.levels.size();
  if (count < 2 || info_of(policy.format).kind == FormatClass::block) return;
  const Level& inner = policy.levels[count - 1];
  const Level& outer = policy.levels[count - 2];
  boxes.adjust_scales(0, [&](std::span<float> scales) {
    const std::size_t per_row = scales.size() / n;
    const bool tensor = !outer.box.empty() && outer.box.front() == 0;
    if (inner.scale == Format::int8) {
      nest_int8(scales, per_row, outer.scale);
    } else if (inner.scale == Format::fp8_e4m3 || inner.scale == Format::ue4m3) {
      if (tensor) {
        nest_power_of_two(scales, inner.scale);
      } else {
        nest_float(scales, per_row, inner.scale, outer.scale);
      }
    } else {
      require(is_ieee(inner.scale), "nested scales are int8, E4M3 or floats");
    }
  });
}

// --- parts ---------------------------------------------------------------------------------------

std::vector<std::uint32_t> columns_between(std::size_t first, std::size_t last) {
  std::vector<std::uint32_t> out(last - first);
  std::iota(out.begin(), out.end(), static_cast<std::uint32_t>(first));
  return out;
}

/// The spec that boxes are fitted under: scales of a nested inner level are floats until nested.
QuantSpec box_spec(const TensorPolicy& policy) {
  QuantSpec spec = policy.spec();
  if (policy.range == RangeRule::output_mse) spec.range = RangeRule::automatic;
  if (policy.levels.size() >= 2 && info_of(spec.format).kind != FormatClass::block) {
    spec.scale = Format::fp32;
  }
  if (!is_ieee(spec.scale) && spec.scale == Format::int8) spec.scale = Format::fp32;
  if (released_gptq(policy)) spec.affine = Affine::integer_zero;
  return spec;
}

std::vector<WeightPart> class_parts(const TensorPolicy& policy, std::size_t k, const Prepared& p) {
  const LayerStatistics& s =
      needed(p.known(), k, "channel classes need the inputs' absmax (calibration)");
  require(s.absmax.size() == k, "channel classes need the inputs' absmax (calibration)");
  const double share = policy.outliers.fraction;
  require(share >= 0 && share <= 1, "channel classes: a fraction");
  const auto count =
      static_cast<std::size_t>(elementary::round_to_integer(share * static_cast<double>(k)));
  std::vector<std::uint32_t> high = top_k(s.absmax, count, true);
  std::sort(high.begin(), high.end());
  QuantSpec high_spec = box_spec(policy);
  high_spec.format = policy.outliers.high;
  if (info_of(high_spec.format).kind == FormatClass::integer &&
      info_of(policy.format).kind != FormatClass::integer) {
    high_spec.affine = Affine::integer_zero;
  } else if (info_of(high_spec.format).kind != FormatClass::integer) {
    high_spec.affine = Affine::symmetric;
  }
  std::vector<std::uint32_t> low;
  const std::vector<std::uint32_t> all = columns_between(0, k);
  std::set_difference(all.begin(), all.end(), high.begin(), high.end(), std::back_inserter(low));
  return {{high, high_spec}, {low, box_spec(policy)}};
}

struct Formats {
  std::vector<Format> format;
  std::vector<double> bits;
};

/// The integer format of so many bits.
Format format_of_bits(unsigned bits) {
  return bits == 1 ? Format::int1
                   : static_cast<Format>(static_cast<unsigned>(Format::int2) + bits - 2);
}

/// What a MAP chooses from, bits ascending.
Formats map_formats(const TensorPolicy& policy) {
  Formats out;
  if (policy.schedule.entries.empty()) {
    const int bits = static_cast<int>(elementary::round_to_integer(policy.schedule.mean_bits));
    for (int b = std::max(2, bits - 1); b <= std::min(8, bits + 1); ++b) {
      out.format.push_back(format_of_bits(static_cast<unsigned>(b)));
    }
  }
  for (const ScheduleEntry& e : policy.schedule.entries) out.format.push_back(e.format);
  std::stable_sort(out.format.begin(), out.format.end(),
                   [](Format a, Format b) { return bits_of(a) < bits_of(b); });
  for (const Format f : out.format) out.bits.push_back(bits_of(f));
  return out;
}

/// Columns [first, last) of a weight and of its statistics.
UnitData group_unit(const Prepared& p, std::size_t k, std::size_t first, std::size_t last,
                    std::vector<float>& weight, std::vector<double>& sum_xx) {
  const std::size_t width = last - first, n = p.weight.size() / k;
  weight.resize(n * width);
  for (std::size_t r = 0; r < n; ++r) {
    std::copy_n(p.weight.begin() + static_cast<std::ptrdiff_t>(r * k + first), width,
                weight.begin() + static_cast<std::ptrdiff_t>(r * width));
  }
  UnitData unit;
  if (p.statistics && !p.statistics->hessian.empty()) {
    sum_xx.resize(width * width);
    for (std::size_t i = 0; i < width * width; ++i) {
      sum_xx[i] = p.statistics->hessian[(first + i / width) * k + first + i % width];
    }
    unit.sum_xx = sum_xx;
    unit.tokens = p.statistics->tokens;
  }
  unit.weight = weight;
  unit.k = width;
  return unit;
}

std::vector<WeightPart> mapped_parts(const TensorPolicy& policy, std::size_t k, const Prepared& p,
                                     double& code_bits) {
  const std::size_t group = group_length(k, policy);
  const Formats choices = map_formats(policy);
  const QuantSpec spec = box_spec(policy);
  std::vector<AllocationUnit> units;
  std::vector<float> weight;
  std::vector<double> sum_xx;
  for (std::size_t first = 0; first < k; first += group) {
    const UnitData unit = group_unit(p, k, first, first + group, weight, sum_xx);
    units.push_back({static_cast<double>(weight.size()),
                     unit_losses(policy.schedule.sensitivity, unit, choices.format, spec)});
  }
  const Allocation found = allocate(units, choices.bits, policy.schedule.mean_bits);
  code_bits = found.mean_bits;
  std::vector<WeightPart> parts;
  for (std::size_t g = 0; g < units.size(); ++g) {
    QuantSpec one = spec;
    one.format = choices.format[found.choice[g]];
    parts.push_back({columns_between(g * group, (g + 1) * group), one});
  }
  return parts;
}

bool is_mapped(const TensorPolicy& policy) {
  return policy.schedule.kind == ScheduleKind::map &&
         policy.schedule.sensitivity != Sensitivity::listed &&
         (policy.schedule.unit == MapUnit::group || policy.schedule.unit == MapUnit::column);
}

// --- methods -------------------------------------------------------------------------------------

GptqOptions gptq_options(const TensorPolicy& policy, bool act_order) {
  GptqOptions options;
  options.damp = policy.quantiser.damp;
  options.block = policy.quantiser.block;
  options.act_order = act_order;
  options.stale_ranges = follows_code(policy.contract);
  return options;
}

const LayerStatistics& with_hessian(const Prepared& p, std::size_t k) {
  const LayerStatistics& s = needed(p.known(), k, "this quantiser needs calibration (sum x x^T)");
  require(s.hessian.size() == k * k, "this quantiser needs calibration (sum x x^T)");
  return s;
}

double mean_stored_bits(const TensorPolicy& policy, std::size_t n, std::size_t k) {
  const std::uint64_t shape[] = {n, k};
  return static_cast<double>(stored(policy, shape).total()) /
         (static_cast<double>(n) * static_cast<double>(k));
}

void by_qoq(const TensorPolicy& policy, std::size_t n, std::size_t k, const Prepared& p,
            QuantisedWeight& out) {
  const QoqZero zero = policy.outliers.high_bound >= 120 || follows_code(policy.contract)
                           ? QoqZero::after_scale
                           : QoqZero::before_scale;
  const std::size_t group = group_length(k, policy);
  QoqWeight coded;
  if (p.known() != nullptr && !p.statistics->hessian.empty()) {
    GptqOptions options = gptq_options(policy, p.act_order);
    options.static_groups = p.act_order;
    const LayerStatistics& s = with_hessian(p, k);
    coded = qoq_gptq(p.weight, n, k, group, prepare_hessian(s.hessian, s.tokens, k, options),
                     options, zero);
  } else {
    coded = qoq_quantise(p.weight, n, k, group, zero);
  }
  out.values = coded.values();
  out.stored_bits = coded.stored_bits();
}

/// Adds columns of one format to the shares, which are sorted at the end.
void add_share(std::vector<FormatShare>& shares, Format format, std::uint64_t columns) {
  const auto it = std::ranges::find(shares, format, &FormatShare::format);
  if (it != shares.end()) {
    it->columns += columns;
  } else if (columns > 0) {
    shares.push_back({format, columns});
  }
}

/// By bits; nothing where there is only one.
std::vector<FormatShare> sorted_shares(std::vector<FormatShare> shares) {
  std::ranges::stable_sort(shares, {}, [](const FormatShare& s) { return bits_of(s.format); });
  if (shares.size() == 1) shares.clear();
  return shares;
}

void by_slim(const TensorPolicy& policy, std::size_t n, std::size_t k, const Prepared& p,
             QuantisedWeight& out) {
  const LayerStatistics& s = with_hessian(p, k);
  const SlimResult found =
      slim(p.weight, n, k, s.hessian, s.tokens,
           static_cast<unsigned>(elementary::round_to_integer(policy.schedule.mean_bits)),
           group_length(k, policy), box_spec(policy), gptq_options(policy, p.act_order));
  out.values = found.weight.values;
  out.column_order = found.weight.order;
  out.stored_bits = found.stored_bits;
  for (const std::uint8_t bits : found.bits) {
    add_share(out.shares, format_of_bits(bits), group_length(k, policy));
  }
  out.shares = sorted_shares(std::move(out.shares));
}

void by_baq(const TensorPolicy& policy, std::size_t n, std::size_t k, const Prepared& p,
            QuantisedWeight& out) {
  const LayerStatistics& s = with_hessian(p, k);
  const BaqResult found = baq(p.weight, n, k, s.hessian, s.tokens, policy.schedule.mean_bits,
                              gptq_options(policy, p.act_order));
  out.values = found.weight.values;
  out.column_order = found.weight.order;
  // Codes of each column at their ceiling, minimum and step of each row, 16 bits of levels a
  // column.
  out.stored_bits = found.packed_bits +
                    2.0 * static_cast<double>(bits_of(policy.scale)) / static_cast<double>(k) +
                    16.0 / static_cast<double>(n);
}

std::vector<WeightPart> parts_of(const TensorPolicy& policy, std::size_t k, const Prepared& p,
                                 double& mapped_bits) {
  if (is_mapped(policy)) return mapped_parts(policy, k, p, mapped_bits);
  if (policy.outliers.kind == OutlierKind::channel_class) return class_parts(policy, k, p);
  if (policy.outliers.kind == OutlierKind::split) {
    const std::size_t point = policy.outliers.point == 0 ? k / 2 : policy.outliers.point;
    require(point > 0 && point < k, "SPLIT: a point inside the row");
    return {{columns_between(0, point), box_spec(policy)},
            {columns_between(point, k), box_spec(policy)}};
  }
  return {{columns_between(0, k), box_spec(policy)}};
}

/// Codes of `weight`, errors moved or not.
void round_weight(const TensorPolicy& policy, std::size_t n, std::size_t k, const Prepared& p,
                  std::span<const float> weight, QuantisedWeight& out) {
  double mapped_bits = -1;
  std::vector<WeightPart> parts = parts_of(policy, k, p, mapped_bits);
  const bool one_part = parts.size() == 1;
  for (const WeightPart& part : parts) {
    add_share(out.shares, part.spec.format, part.columns.size());
  }
  out.shares = sorted_shares(std::move(out.shares));
  const bool by_gptq = policy.quantiser.method == Method::gptq;
  const bool fixed =
      !one_part || policy.levels.size() >= 2 || policy.range == RangeRule::output_mse ||
      policy.granularity == Granularity::tensor || !has_value_codec(parts.front().spec.format) ||
      group_length(k, policy) * (k / group_length(k, policy)) != k;
  std::optional<GptqHessian> hessian;
  GptqOptions options = gptq_options(policy, p.act_order);
  if (by_gptq || p.act_order) {
    const LayerStatistics& s = with_hessian(p, k);
    hessian = prepare_hessian(s.hessian, s.tokens, k, options);
    out.column_order =
        one_part && !(by_gptq && fixed) ? hessian->order : std::vector<std::uint32_t>();
    if (!out.column_order.empty()) parts.front().columns = out.column_order;
  }
  WeightBoxes boxes(n, k, std::move(parts), fit_rule(policy, n, k, p, weight));
  if (fixed || !by_gptq) {
    boxes.fit_all(weight);
    nest_scales(boxes, policy, n);
  }
  if (by_gptq) {
    require(boxes.has_values(), "gptq needs a format in which single values have codes");
    gptq(weight, n, k, *hessian, boxes, options);
  } else {
    boxes.encode_all(weight);
  }
  out.values = boxes.values();
  if (one_part) out.codes = std::move(boxes.take().front());
  out.stored_bits = mean_stored_bits(policy, n, k);
  if (mapped_bits >= 0) {
    TensorPolicy any = policy;
    any.format = Format::int4;  // the parameters of a box, whatever its codes
    out.stored_bits = mean_stored_bits(any, n, k) - 4.0 + mapped_bits +
                      2.0 / static_cast<double>(n) *
                          static_cast<double>(k / group_length(k, policy)) / static_cast<double>(k);
  }
}

void add_outliers(const TensorPolicy& policy, std::span<const float> weight,
                  const DenseSparse& parts, QuantisedWeight& out) {
  out.sparse = parts.sparse;
  const std::size_t k = parts.sparse.cols;
  for (std::size_t r = 0; r < parts.sparse.rows; ++r) {
    for (std::size_t i = out.sparse.row_start[r]; i < out.sparse.row_start[r + 1]; ++i) {
      const std::size_t at = r * k + out.sparse.index[i];
      const float rest = weight[at] - out.values[at];
      out.sparse.value[i] = policy.outliers.value_bits == 16 ? round_to(Format::fp16, rest) : rest;
    }
  }
  add_sparse(out.values, out.sparse);
}

/// A codebook of the weight's own vectors: k-means of evenly spread samples, then the nearest
/// codeword of each vector.
void by_codebook(const TensorPolicy& policy, std::size_t n, std::size_t k, const Prepared& p,
                 QuantisedWeight& out) {
  constexpr std::size_t kSamples = 4096;
  constexpr unsigned kIterations = 10;
  const std::size_t length = policy.vector_length;
  require(length != 0 && k % length == 0, "codebook: vector_length divides the row");
  const std::size_t words = policy.QuantSpec::levels == 0 ? std::size_t{1} << bits_of(policy.format)
                                                          : policy.QuantSpec::levels;
  const std::size_t vectors = n * k / length;
  const std::size_t stride = std::max<std::size_t>(1, vectors / std::max(kSamples, 2 * words));
  std::vector<float> samples;
  for (std::size_t v = 0; v < vectors; v += stride) {
    const auto first = p.weight.begin() + static_cast<std::ptrdiff_t>(v * length);
    samples.insert(samples.end(), first, first + static_cast<std::ptrdiff_t>(length));
  }
  std::vector<float> table = kmeans(samples, length, words, 1, kIterations);
  round_to(Format::fp16, table);
  out.codes = encode(p.weight, n, k, policy, table);
  out.values = decode(*out.codes);
  const std::array<std::uint64_t, 2> shape = {n, k};
  out.stored_bits = static_cast<double>(stored(policy, shape).total()) /
                    (static_cast<double>(n) * static_cast<double>(k));
}

void check(std::span<const float> weight, std::size_t n, std::size_t k,
           const TensorPolicy& policy) {
  require(n != 0 && k != 0 && weight.size() / k == n && weight.size() % k == 0,
          "quantise_weight: the weight is not [n, k]");
  for (const float w : weight) {
    if (!std::isfinite(w)) throw std::domain_error("quantise_weight: a weight is not finite");
  }
  require(policy.outliers.kind != OutlierKind::top_channels &&
              policy.outliers.kind != OutlierKind::constant,
          "this outlier policy is not for weights");
}

}  // namespace

std::vector<float> shared_input_scale(std::span<const std::span<const float>> weights,
                                      std::size_t k, const TensorPolicy& policy,
                                      const LayerStatistics* statistics) {
  std::vector<float> scale;
  for (const Transform& t : policy.transforms) {
    if (t.op != TransformOp::diag) continue;
    require(scale.empty(), "a weight has at most one DIAG");
    if (t.factors == FactorRule::none) continue;
    const LayerStatistics& s = needed(statistics, k, "DIAG factors need calibration");
    if (t.factors == FactorRule::smoothquant) {
      scale = smoothquant_factors(s.absmax, column_absmax(weights, k), t.alpha, 1.0 - t.alpha);
    } else {
      require(t.factors == FactorRule::awq, "DIAG factors of a weight: smoothquant or awq");
      scale = awq_scales(weights, k, box_spec(policy), s.mean_abs, inputs_of(s)).factors;
    }
  }
  return scale;
}

QuantisedWeight quantise_weight(std::span<const float> weight, std::size_t n, std::size_t k,
                                const TensorPolicy& policy, const LayerStatistics* statistics,
                                std::span<const float> input_scale) {
  check(weight, n, k, policy);
  QuantisedWeight out;
  const Prepared p = transform(weight, k, policy, statistics, input_scale, out);
  if (is_ieee(policy.format) && !is_mapped(policy)) {
    out.values = p.weight;
    round_to(policy.format, out.values);
    out.stored_bits = bits_of(policy.format);
  } else if (policy.format == Format::codebook) {
    by_codebook(policy, n, k, p, out);
  } else if (policy.quantiser.method == Method::qoq) {
    by_qoq(policy, n, k, p, out);
  } else if (is_mapped(policy) && policy.schedule.unit == MapUnit::column) {
    require(policy.schedule.sensitivity == Sensitivity::baq, "a map of columns is BAQ's");
    by_baq(policy, n, k, p, out);
  } else if (is_mapped(policy) && policy.schedule.sensitivity == Sensitivity::hessian) {
    by_slim(policy, n, k, p, out);
  } else if (policy.outliers.kind == OutlierKind::dense_sparse) {
    const DenseSparse parts = split_outliers(p.weight, n, k, policy.outliers.fraction);
    round_weight(policy, n, k, p, parts.dense, out);
    add_outliers(policy, p.weight, parts, out);
  } else {
    round_weight(policy, n, k, p, p.weight, out);
  }
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    const double d = double{p.weight[i]} - double{out.values[i]};
    out.squared_error += d * d;
  }
  return out;
}

void apply_input(const QuantisedWeight& weight, std::span<float> rows, std::size_t k) {
  require(k != 0 && rows.size() % k == 0, "apply_input: rows are not [*, k]");
  if (!weight.input_scale.empty()) divide(rows, weight.input_scale);
  for (const Transform& t : weight.input_transforms) {
    if (t.op == TransformOp::had) {
      fwht(rows, fwht_size(k, t.size));
    } else {
      rotate_inputs(rows, rotation_of(t, k));
    }
  }
}

}  // namespace systole::quant
