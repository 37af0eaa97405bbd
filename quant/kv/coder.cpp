// The contract is in the header.
#include "quant/kv/coder.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>

#include "quant/check.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/primitives/codebook.hpp"
#include "quant/primitives/transform.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

constexpr float kNvLargest = 2688.0f;  // 448 * 6: the largest value of NVFP4 under a scale of 1

constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }
constexpr std::uint64_t padded(std::uint64_t bits, std::uint64_t word) {
  return ceil_div(bits, word) * word;
}
std::uint64_t log2_of(std::size_t n) { return static_cast<std::uint64_t>(std::bit_width(n) - 1); }
std::uint64_t ceil_log2(std::size_t n) { return n <= 1 ? 1 : std::bit_width(n - 1); }

/// SmoothAttention and ZipCache divide by their factors; the balancer and FireQ multiply.
bool divides(FactorRule rule) {
  return rule == FactorRule::smooth_key || rule == FactorRule::smoothquant ||
         rule == FactorRule::sqrt_max || rule == FactorRule::awq;
}
void apply_factors(std::span<float> x, std::span<const float> factors, bool divide) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = divide ? x[i] / factors[i] : x[i] * factors[i];
}

/// Whether the inverse of a DIAG goes to the query: it commutes with RoPE.
bool diag_at_query(const KvPlan& plan, const Transform& t) {
  if (plan.tensor != KvTensor::key || t.where == Where::write || t.where == Where::read)
    return false;
  return !plan.rope_on_read || t.rope_pair_tied;
}
bool rotation_at_query(const KvPlan& plan, const Transform& t) {
  return plan.tensor == KvTensor::key && (t.where == Where::query || t.where == Where::fold);
}
bool at_output(const KvPlan& plan, const Transform& t) {
  return plan.tensor == KvTensor::value && t.where == Where::fold;
}
bool free_on_write(const Transform& t) { return t.where == Where::fold || t.where == Where::read; }

/// Whether anything is undone between a decoded token and its use.
bool undone_on_read(const KvPlan& plan) {
  return std::any_of(plan.arrival.begin(), plan.arrival.end(), [&](const Transform& t) {
    return !at_output(plan, t) && !diag_at_query(plan, t) && !rotation_at_query(plan, t);
  });
}

std::size_t hadamard_size(const KvPlan& plan, const Transform& t) {
  const bool over_heads = t.axis == TransformAxis::heads_channel;
  return fwht_size(over_heads ? plan.shape.width() : plan.shape.head_dim, t.size);
}

void rotate_heads(std::span<const float> rotation, std::size_t dim, std::span<float> x,
                  bool transpose) {
  std::vector<float> turned(dim);
  std::vector<float> matrix(rotation.begin(), rotation.end());
  if (transpose) {
    for (std::size_t i = 0; i < dim; ++i)
      for (std::size_t j = 0; j < dim; ++j) matrix[i * dim + j] = rotation[j * dim + i];
  }
  for (std::size_t h = 0; h < x.size() / dim; ++h) {
    rotate(matrix, x.subspan(h * dim, dim), turned);
    std::copy(turned.begin(), turned.end(), x.begin() + static_cast<std::ptrdiff_t>(h * dim));
  }
}

bool has_own_blocks(Format format) { return kv_block_length(format) != 0; }

QuantSpec matrix_spec(const KvPlan& plan, const BoxRule& rule) {
  QuantSpec spec = plan.policy.spec();
  spec.format = rule.format;
  spec.granularity = Granularity::token;
  spec.group = 0;
  spec.scale = rule.scale;
  return spec;
}

/// The FFT of reals as the numbers that say it: a complex pair each (contract reference), or the n
/// that are not redundant, [Re 0, Re n/2, Re 1, Im 1, ...].
void spectrum_to_reals(std::span<const std::complex<float>> z, bool all, std::span<float> out) {
  const std::size_t n = z.size();
  if (all) {
    for (std::size_t i = 0; i < n; ++i) out[2 * i] = z[i].real(), out[2 * i + 1] = z[i].imag();
    return;
  }
  out[0] = z[0].real();
  if (n > 1) out[1] = z[n / 2].real();
  for (std::size_t i = 1; i < n / 2; ++i) out[2 * i] = z[i].real(), out[2 * i + 1] = z[i].imag();
}
void reals_to_spectrum(std::span<const float> x, bool all, std::span<std::complex<float>> z) {
  const std::size_t n = z.size();
  if (all) {
    for (std::size_t i = 0; i < n; ++i) z[i] = {x[2 * i], x[2 * i + 1]};
    return;
  }
  z[0] = {x[0], 0.0f};
  if (n > 1) z[n / 2] = {x[1], 0.0f};
  for (std::size_t i = 1; i < n / 2; ++i) {
    z[i] = {x[2 * i], x[2 * i + 1]};
    z[n - i] = std::conj(z[i]);
  }
}

/// What reading one element's code costs.
void count_element_decode(const KvPlan& plan, const BoxRule& rule, std::uint64_t elements,
                          OpCounts& ops) {
  if (rule.ieee()) return;
  ops.unpack += elements;
  if (has_own_blocks(rule.format)) {  // integer dot, one multiply-add a block
    ops.fma += ceil_div(elements, kv_block_length(rule.format));
    return;
  }
  // One scale a token and head, and nothing between the code and the dot product: it goes to the
  // epilogue, s (q.c - z sum q), or with V into the probability (quantization.md A3).
  const bool whole_head = !plan.fixed_parameters && plan.box_tokens == 1 && !plan.class_box &&
                          plan.box_channels == plan.shape.head_dim;
  const bool folds = whole_head && !plan.rope_on_read && !plan.mean_over_heads &&
                     !plan.channel_scale && !undone_on_read(plan);
  if (rule.format == Format::lut) {
    ops.lookup += elements;
    ops.fma += elements;
  } else if (rule.format == Format::sign || rule.format == Format::int1 ||
             rule.format == Format::ternary || rule.format == Format::ternary_b3) {
    ops.multiply += elements;
  } else if (folds && rule.affine == Affine::float_zero) {
    ops.fma += plan.shape.kv_heads;
    ops.multiply += plan.shape.kv_heads;
  } else if (folds && rule.affine == Affine::symmetric) {
    ops.multiply += plan.shape.kv_heads;
  } else if (rule.affine == Affine::symmetric) {
    ops.multiply += elements;
  } else {
    ops.fma += elements;
  }
}

}  // namespace

std::size_t kv_block_length(Format format) {
  const FormatClass kind = info_of(format).kind;
  if (kind != FormatClass::block && kind != FormatClass::gguf) return 0;
  switch (format) {
    case Format::nvfp4:
      return 16;
    case Format::q2_k:
    case Format::q3_k:
    case Format::q4_k:
    case Format::q5_k:
    case Format::q6_k:
    case Format::iq4_xs:
    case Format::tq1_0:
    case Format::tq2_0:
      return 256;
    default:
      return 32;
  }
}

float kept_whole(Format format, float value) { return store_parameter(format, value); }

std::size_t kv_boxes(const KvPlan& plan, std::size_t rows) {
  const bool per_row = plan.box_tokens == 1 && !plan.class_box;
  const std::size_t row_groups = per_row ? rows : 1;
  if (plan.low_channels != 0) return row_groups * plan.columns();
  return row_groups * (plan.shape.kv_heads / plan.box_heads) *
         (plan.shape.head_dim / plan.box_channels);
}

KvBits& KvBits::operator+=(const KvBits& o) {
  codes += o.codes;
  metadata += o.metadata;
  full += o.full;
  sparse += o.sparse;
  index += o.index;
  padding += o.padding;
  return *this;
}

KvBits kv_chunk_bits(const KvPlan& plan, const BoxRule& rule, std::size_t rows) {
  KvBits bits;
  const std::uint64_t n = rows, width = plan.shape.width(), dim = plan.shape.head_dim,
                      heads = plan.shape.kv_heads;
  const std::uint64_t word = std::max<std::uint32_t>(plan.policy.layout.word_bits, 8);
  if (rule.ieee()) {
    bits.codes = n * width * bits_of(rule.format);
    return bits;
  }
  if (!rule.scalar()) {
    const std::uint64_t lines = has_own_blocks(rule.format) ? n : kv_boxes(plan, rows);
    const std::uint64_t length = has_own_blocks(rule.format)
                                     ? padded(width, kv_block_length(rule.format))
                                     : n * width / lines;
    bits.codes = n * width * bits_of(rule.format);
    std::uint64_t all = stored_bits(lines, length, matrix_spec(plan, rule));
    if (rule.format == Format::nvfp4) all -= 32;  // the scale of the tensor is calibrated
    const std::uint64_t filling = (lines * length - n * width) * bits_of(rule.format);
    bits.padding = filling;
    bits.metadata = all - bits.codes - filling;
    return bits;
  }
  const bool along_tokens = plan.box_tokens > 1 && !plan.class_box;
  if (rule.format == Format::ternary_b3) {  // five in a byte, through all of a head's box
    const std::uint64_t bytes = ceil_div(n * dim, 5) * heads;
    bits.codes = bytes * 8;
  } else if (plan.low_channels != 0) {
    for (const BoxRule* r : {&plan.high_rule, &rule}) {
      const std::uint64_t columns = heads * (r == &rule ? plan.low_columns : plan.high_channels);
      bits.codes += columns * n * r->bits;
      bits.padding += columns * (padded(n * r->bits, word) - n * r->bits);
    }
  } else if (along_tokens) {
    bits.codes = width * n * rule.bits;
    bits.padding = width * padded(n * rule.bits, word) - bits.codes;
  } else {
    bits.codes = width * n * rule.bits;
    bits.padding = n * heads * padded(dim * rule.bits, word) - bits.codes;
  }
  if (!plan.fixed_parameters) {
    if (plan.low_channels != 0) {
      const std::uint64_t groups = kv_boxes(plan, rows) / plan.columns();
      for (const BoxRule* r : {&plan.high_rule, &rule})
        bits.metadata += groups * heads * (r == &rule ? plan.low_columns : plan.high_channels) *
                         (r->scale_bits + r->zero_bits);
    } else {
      bits.metadata = kv_boxes(plan, rows) * (rule.scale_bits + rule.zero_bits);
    }
  }
  if (plan.mean_over_heads) bits.metadata += n * dim * 16;
  if (plan.channel_scale) bits.metadata += width * 16;
  if (plan.sparse_side != 0)
    bits.sparse = n * 2 * plan.sparse_side *
                  (plan.policy.outliers.value_bits + plan.policy.outliers.index_bits);
  return bits;
}

KvCoder::KvCoder(KvPlan plan, SideCalibration calibration)
    : plan_(std::move(plan)), calibration_(std::move(calibration)) {
  check_calibration();
}

void KvCoder::check_calibration() const {
  const std::size_t width = plan_.shape.width(), dim = plan_.shape.head_dim;
  const SideCalibration& c = calibration_;
  const auto optional_size = [](const auto& v, std::size_t n, const char* message) {
    require(v.empty() || v.size() == n, message);
  };
  optional_size(c.diag, width, "kv: DIAG factors are not one a channel");
  for (const float f : c.diag)
    require(std::isfinite(f) && f != 0.0f, "kv: a DIAG factor is 0 or not finite");
  optional_size(c.top_channels, width, "kv: TOPCH factors are not one a channel");
  for (const float f : c.top_channels)
    require(std::isfinite(f) && f != 0.0f, "kv: a TOPCH factor is 0 or not finite");
  require(c.low.size() == c.high.size(), "kv: channel ranges differ in size");
  optional_size(c.low, width, "kv: channel ranges are not one a channel");
  if (plan_.fixed_parameters)
    require(!c.low.empty(), "kv: static parameters need a calibrated range of every channel");
  if (plan_.rule.format == Format::lut) {
    const std::size_t entries = std::size_t{1} << plan_.rule.bits;
    require(c.encode_table.size() == entries && c.decode_table.size() == entries,
            "kv: a lut needs calibrated tables of 2^bits entries");
  }
  if (plan_.low_channels != 0)
    require(c.channel_classes.size() == dim, "kv: channel classes need a calibrated order");
  for (const std::uint32_t channel : c.channel_classes)
    require(channel < dim, "kv: a channel class names no channel");
  for (const Transform& t : plan_.arrival) {
    if (t.op == TransformOp::perm)
      require(c.order.size() == width, "kv: PERM needs a calibrated order of all channels");
    if (t.op == TransformOp::rot) {
      require(t.axis == TransformAxis::channel, "kv: ROT acts within a head");
      require(c.rotation.size() == dim * dim, "kv: ROT needs its [head_dim, head_dim] matrix");
    }
    if (t.op == TransformOp::diag && t.where != Where::fold)
      require(!c.diag.empty(), "kv: a DIAG that is not folded needs its factors");
  }
  if (!c.order.empty()) (void)inverse_permutation(c.order);  // refuses what is none
}

void KvCoder::arrive(std::span<float> row, OpCounts& ops) const {
  require(row.size() == plan_.shape.width(), "kv: a row is not one token wide");
  OpCounts counted;
  for (const Transform& t : plan_.arrival) {
    OpCounts step;
    if (t.op == TransformOp::diag && !calibration_.diag.empty()) {
      apply_factors(row, calibration_.diag, divides(t.factors));
      step.multiply = row.size();
    } else if (t.op == TransformOp::had) {
      const std::size_t n = hadamard_size(plan_, t);
      fwht(row, n);
      step.add = row.size() * log2_of(n);
    } else if (t.op == TransformOp::rot) {
      rotate_heads(calibration_.rotation, plan_.shape.head_dim, row, false);
      step.fma = row.size() * plan_.shape.head_dim;
    } else if (t.op == TransformOp::perm) {
      const std::vector<float> source(row.begin(), row.end());
      permute(source, calibration_.order, row);
      step.gather = row.size();
    }
    if (!free_on_write(t)) counted += step;
  }
  if (!calibration_.top_channels.empty()) {
    apply_factors(row, calibration_.top_channels, false);
    for (const float f : calibration_.top_channels) counted.multiply += f != 1.0f ? 1 : 0;
  }
  ops += counted;
}

void KvCoder::depart(std::span<float> row) const {
  if (!calibration_.top_channels.empty() && plan_.tensor == KvTensor::value)
    apply_factors(row, calibration_.top_channels, true);
  for (auto t = plan_.arrival.rbegin(); t != plan_.arrival.rend(); ++t) {
    if (at_output(plan_, *t)) continue;
    if (t->op == TransformOp::diag && !calibration_.diag.empty() && !diag_at_query(plan_, *t)) {
      apply_factors(row, calibration_.diag, !divides(t->factors));
    } else if (t->op == TransformOp::had && !rotation_at_query(plan_, *t)) {
      fwht(row, hadamard_size(plan_, *t));
    } else if (t->op == TransformOp::rot && !rotation_at_query(plan_, *t)) {
      rotate_heads(calibration_.rotation, plan_.shape.head_dim, row, true);
    } else if (t->op == TransformOp::perm) {
      const std::vector<float> source(row.begin(), row.end());
      permute(source, inverse_permutation(calibration_.order), row);
    }
  }
}

OpCounts kv_depart_ops(const KvPlan& plan, bool diag_here) {
  OpCounts ops;
  const std::size_t width = plan.shape.width();
  for (const Transform& t : plan.arrival) {
    if (at_output(plan, t)) continue;
    if (t.op == TransformOp::diag && diag_here && !diag_at_query(plan, t)) ops.multiply += width;
    if (t.op == TransformOp::had && !rotation_at_query(plan, t))
      ops.add += width * log2_of(hadamard_size(plan, t));  // 1/sqrt(n) goes into the scale
    if (t.op == TransformOp::rot && !rotation_at_query(plan, t))
      ops.fma += width * plan.shape.head_dim;
    if (t.op == TransformOp::perm) ops.gather += width;
  }
  if (plan.rope_on_read) {
    ops.multiply += 2 * width;
    ops.add += width;
    ops.special += plan.shape.head_dim;  // a sine and a cosine a pair, shared by the heads
  }
  return ops;
}

OpCounts KvCoder::depart_ops() const { return kv_depart_ops(plan_, !calibration_.diag.empty()); }

void KvCoder::transform_query(std::span<float> query, OpCounts& ops) const {
  const std::size_t dim = plan_.shape.head_dim;
  const std::size_t share = plan_.shape.query_heads / plan_.shape.kv_heads;
  const auto by_head = [&](std::span<const float> factors, bool divide) {
    for (std::size_t h = 0; h < plan_.shape.query_heads; ++h)
      apply_factors(query.subspan(h * dim, dim), factors.subspan(h / share * dim, dim), divide);
  };
  for (const Transform& t : plan_.arrival) {
    OpCounts step;
    if (t.op == TransformOp::diag && !calibration_.diag.empty() && diag_at_query(plan_, t)) {
      by_head(calibration_.diag, !divides(t.factors));
      step.multiply = query.size();
    } else if (t.op == TransformOp::had && rotation_at_query(plan_, t)) {
      const std::size_t n = hadamard_size(plan_, t);
      fwht(query, n);
      step.add = query.size() * log2_of(n);
    } else if (t.op == TransformOp::rot && rotation_at_query(plan_, t)) {
      rotate_heads(calibration_.rotation, dim, query, false);
      step.fma = query.size() * dim;
    }
    if (t.where != Where::fold) ops += step;
  }
  if (!calibration_.top_channels.empty()) {
    by_head(calibration_.top_channels, true);
    for (const float f : calibration_.top_channels) ops.multiply += f != 1.0f ? share : 0;
  }
}

void KvCoder::transform_output(std::span<float> out) const {
  const std::size_t dim = plan_.shape.head_dim;
  const std::size_t share = plan_.shape.query_heads / plan_.shape.kv_heads;
  for (auto t = plan_.arrival.rbegin(); t != plan_.arrival.rend(); ++t) {
    if (!at_output(plan_, *t)) continue;
    if (t->op == TransformOp::had) fwht(out, hadamard_size(plan_, *t));
    if (t->op == TransformOp::rot) rotate_heads(calibration_.rotation, dim, out, true);
    if (t->op == TransformOp::diag && !calibration_.diag.empty()) {
      for (std::size_t h = 0; h < plan_.shape.query_heads; ++h)
        apply_factors(out.subspan(h * dim, dim),
                      std::span<const float>(calibration_.diag).subspan(h / share * dim, dim),
                      !divides(t->factors));
    }
  }
}

std::size_t KvCoder::box_index(std::size_t row, std::size_t column) const {
  const bool per_row = plan_.box_tokens == 1 && !plan_.class_box;
  const std::size_t group = per_row ? row : 0;
  if (plan_.low_channels != 0) return group * plan_.columns() + column;
  const std::size_t dim = plan_.shape.head_dim;
  const std::size_t across = dim / plan_.box_channels;
  const std::size_t down = plan_.shape.kv_heads / plan_.box_heads;
  return (group * down + column / dim / plan_.box_heads) * across +
         column % dim / plan_.box_channels;
}

float KvCoder::sparse_stored(float value) const {
  return plan_.policy.outliers.value_bits == 16 ? store_parameter(Format::fp16, value) : value;
}

void KvCoder::select_outliers_of(std::span<const float> x, KvChunk& chunk, OpCounts& ops) const {
  if (plan_.sparse_side == 0) return;
  const std::size_t width = plan_.shape.width(), side = plan_.sparse_side;
  chunk.outliers.resize(chunk.rows);
  for (std::size_t r = 0; r < chunk.rows; ++r) {
    const std::span<const float> row = x.subspan(r * width, width);
    SparseRow& kept = chunk.outliers[r];
    if (!plan_.fixed_parameters) {
      kept = select_outliers(row, side, side);
    } else {
      // The largest and smallest normalised values among those beyond their channel's range.
      std::vector<float> above(width, 0.0f), below(width, 0.0f);
      for (std::size_t c = 0; c < width; ++c) {
        const float lo = calibration_.low[c], hi = calibration_.high[c];
        const float range = (hi - lo) / 2.0f;
        const float excess = row[c] > hi ? row[c] - hi : (row[c] < lo ? lo - row[c] : 0.0f);
        const float relative = range > 0.0f ? excess / range : excess;
        (row[c] > hi ? above : below)[c] = relative;
      }
      std::vector<std::uint32_t> chosen;
      for (const auto* list : {&above, &below}) {
        for (const std::uint32_t c : top_k(*list, side)) {
          if ((*list)[c] > 0.0f) chosen.push_back(c);
        }
      }
      std::sort(chosen.begin(), chosen.end());
      kept.index = chosen;
      for (const std::uint32_t c : chosen) kept.value.push_back(row[c]);
    }
    for (float& v : kept.value) v = sparse_stored(v);
    ops.compare += width * ceil_log2(2 * side);
  }
}

std::vector<float> KvCoder::to_columns(std::span<const float> x, std::size_t rows, KvChunk& chunk,
                                       OpCounts& ops) const {
  const std::size_t width = plan_.shape.width(), dim = plan_.shape.head_dim,
                    heads = plan_.shape.kv_heads;
  std::vector<float> y(x.begin(), x.end());
  if (plan_.mean_over_heads) {
    chunk.means.resize(rows * dim);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t j = 0; j < dim; ++j) {
        float sum = 0.0f;
        for (std::size_t h = 0; h < heads; ++h) sum += y[r * width + h * dim + j];
        const float mean = store_parameter(Format::bf16, sum / static_cast<float>(heads));
        chunk.means[r * dim + j] = mean;
        for (std::size_t h = 0; h < heads; ++h) y[r * width + h * dim + j] -= mean;
      }
    }
    ops.add += 2 * rows * width;
    ops.multiply += rows * dim;
  }
  if (plan_.channel_scale) {
    chunk.channel_scales.resize(width);
    for (std::size_t c = 0; c < width; ++c) {
      float most = 0.0f;
      for (std::size_t r = 0; r < rows; ++r) most = std::max(most, std::fabs(y[r * width + c]));
      const float scale = store_parameter(Format::fp16, std::sqrt(most));
      chunk.channel_scales[c] = scale;
      for (std::size_t r = 0; r < rows; ++r)
        y[r * width + c] = scale == 0.0f ? 0.0f : y[r * width + c] / scale;
    }
    ops.compare += rows * width;
    ops.special += width + rows * width;
  }
  if (plan_.low_channels == 0) return y;
  const std::size_t stride = plan_.high_channels + plan_.low_columns, n = plan_.low_channels;
  std::vector<float> columns(rows * plan_.columns());
  std::vector<std::complex<float>> spectrum(n);
  for (std::size_t rh = 0; rh < rows * heads; ++rh) {
    const std::span<const float> head = std::span<const float>(y).subspan(rh * dim, dim);
    const std::span<float> out = std::span<float>(columns).subspan(rh * stride, stride);
    const auto& classes = calibration_.channel_classes;
    for (std::size_t i = 0; i < plan_.high_channels; ++i) out[i] = head[classes[i]];
    const std::span<float> low = out.subspan(plan_.high_channels);
    for (std::size_t i = 0; i < n; ++i) {
      const float v = head[classes[plan_.high_channels + i]];
      plan_.fourier ? void(spectrum[i] = {v, 0.0f}) : void(low[i] = v);
    }
    if (plan_.fourier) {
      fft(spectrum);
      spectrum_to_reals(spectrum, plan_.low_columns == 2 * n, low);
      ops.multiply += n * log2_of(n);
      ops.add += 3 * n * log2_of(n) / 2;
    }
    ops.gather += dim;
  }
  return columns;
}

void KvCoder::encode_boxes(std::span<const float> columns, KvChunk& chunk, OpCounts& ops) const {
  const std::size_t width = plan_.columns(), rows = chunk.rows;
  std::vector<std::uint8_t> kept;
  if (!chunk.outliers.empty()) {
    kept.assign(rows * width, 0);
    for (std::size_t r = 0; r < rows; ++r)
      for (const std::uint32_t c : chunk.outliers[r].index) kept[r * width + c] = 1;
  }
  const auto rule_at = [&](std::size_t column) -> const BoxRule& {
    return plan_.low_channels == 0 ? chunk.rule : plan_.rule_of(column);
  };
  if (!plan_.fixed_parameters) {
    std::vector<std::vector<float>> members(boxes(rows));
    std::vector<std::size_t> column_of(members.size());
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < width; ++c) {
        const std::size_t b = box_index(r, c);
        column_of[b] = c;
        if (kept.empty() || kept[r * width + c] == 0) members[b].push_back(columns[r * width + c]);
      }
    }
    chunk.parameters.resize(members.size());
    for (std::size_t b = 0; b < members.size(); ++b)
      chunk.parameters[b] = box_parameters(members[b], rule_at(column_of[b]));
    ops.special += members.size();
  }
  chunk.codes.resize(rows * width);
  const BoxTables lut = tables();
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < width; ++c) {
      const BoxRule& rule = rule_at(c);
      const KvParameters p =
          plan_.fixed_parameters
              ? box_parameters_of_range(calibration_.low[c], calibration_.high[c], rule)
              : chunk.parameters[box_index(r, c)];
      const std::size_t i = r * width + c;
      // An outlier leaves the zero-point code behind.
      const float neutral = rule.format == Format::lut ? p.zero : 0.0f;
      const bool apart = !kept.empty() && kept[i] != 0;
      chunk.codes[i] = encode_in_box(apart ? neutral : columns[i], p, rule, lut);
    }
  }
  const std::uint64_t n = rows * width;
  if (!plan_.fixed_parameters) {  // the range: one comparison for an absmax, two for a minimum too
    const bool magnitudes =
        chunk.rule.affine == Affine::symmetric && chunk.rule.format != Format::lut;
    ops.compare += (magnitudes ? 1 : 2) * n;
  }
  if (chunk.rule.format == Format::lut) {
    ops.fma += n;
    ops.compare += n << chunk.rule.bits;
  } else if (chunk.rule.affine == Affine::float_zero) {
    ops.multiply += n;
    ops.add += n;
  } else {
    ops.special += n;
    if (chunk.rule.affine != Affine::symmetric) ops.add += n;
  }
}

void KvCoder::encode_matrix(std::span<const float> x, KvChunk& chunk, OpCounts& ops) const {
  const std::size_t width = plan_.shape.width(), rows = chunk.rows;
  const QuantSpec spec = matrix_spec(plan_, chunk.rule);
  std::vector<float> ordered;
  std::size_t lines = 0, length = 0;
  if (has_own_blocks(chunk.rule.format)) {
    lines = rows;
    length = padded(width, kv_block_length(chunk.rule.format));
    ordered.resize(lines * length, 0.0f);
    for (std::size_t r = 0; r < rows; ++r)
      std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(r * width), width,
                  ordered.begin() + static_cast<std::ptrdiff_t>(r * length));
  } else {
    lines = boxes(rows);
    length = rows * width / lines;
    ordered.resize(rows * width);
    std::vector<std::size_t> next(lines, 0);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < width; ++c) {
        const std::size_t b = box_index(r, c);
        ordered[b * length + next[b]++] = x[r * width + c];
      }
  }
  // NVFP4's fp32 scale is calibrated, not that of one token: a last line that holds exactly the
  // largest value makes the codec's own scale 1.
  const bool nv = chunk.rule.format == Format::nvfp4;
  if (nv) {
    for (float& v : ordered) v = std::clamp(v / calibration_.tensor_scale, -kNvLargest, kNvLargest);
    ordered.resize(ordered.size() + length, kNvLargest);
  }
  chunk.matrix = quant::encode(ordered, lines + (nv ? 1 : 0), length, spec);
  std::vector<float> values = quant::decode(chunk.matrix);
  if (nv)
    for (float& v : values) v *= calibration_.tensor_scale;
  chunk.decoded_matrix.resize(rows * width);
  if (has_own_blocks(chunk.rule.format)) {
    for (std::size_t r = 0; r < rows; ++r)
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r * length), width,
                  chunk.decoded_matrix.begin() + static_cast<std::ptrdiff_t>(r * width));
  } else {
    std::vector<std::size_t> next(lines, 0);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < width; ++c) {
        const std::size_t b = box_index(r, c);
        chunk.decoded_matrix[r * width + c] = values[b * length + next[b]++];
      }
  }
  ops.compare += rows * width;
  ops.multiply += rows * width;
  ops.special += lines;
}

std::shared_ptr<const KvChunk> KvCoder::encode(std::span<const float> x, std::size_t rows,
                                               const BoxRule& rule, OpCounts& ops) const {
  require(rows >= 1 && x.size() == rows * plan_.shape.width(), "kv: values are not whole tokens");
  auto chunk = std::make_shared<KvChunk>();
  chunk->rule = rule;
  chunk->rows = rows;
  if (rule.ieee()) {
    chunk->decoded_matrix.assign(x.begin(), x.end());
    for (float& v : chunk->decoded_matrix) v = kept_whole(rule.format, v);
  } else {
    select_outliers_of(x, *chunk, ops);
    const std::vector<float> columns = to_columns(x, rows, *chunk, ops);
    rule.scalar() ? encode_boxes(columns, *chunk, ops) : encode_matrix(columns, *chunk, ops);
  }
  chunk->stored = chunk_bits(rule, rows);
  count_read(*chunk);
  ops.write_bytes += ceil_div(chunk->stored.total(), 8);
  return chunk;
}

void KvCoder::decode(const KvChunk& chunk, std::size_t row, std::span<float> out) const {
  const std::size_t width = plan_.shape.width(), dim = plan_.shape.head_dim;
  if (!chunk.decoded_matrix.empty()) {
    std::copy_n(chunk.decoded_matrix.begin() + static_cast<std::ptrdiff_t>(row * width), width,
                out.begin());
  } else {
    const std::size_t stored = plan_.columns();
    std::vector<float> columns(stored);
    const BoxTables lut = tables();
    for (std::size_t c = 0; c < stored; ++c) {
      const BoxRule& rule = plan_.low_channels == 0 ? chunk.rule : plan_.rule_of(c);
      const KvParameters p =
          plan_.fixed_parameters
              ? box_parameters_of_range(calibration_.low[c], calibration_.high[c], rule)
              : chunk.parameters[box_index(row, c)];
      columns[c] = decode_in_box(chunk.codes[row * stored + c], p, rule, lut);
    }
    if (plan_.low_channels == 0) {
      std::copy(columns.begin(), columns.end(), out.begin());
    } else {
      const std::size_t stride = plan_.high_channels + plan_.low_columns, n = plan_.low_channels;
      std::vector<std::complex<float>> spectrum(n);
      for (std::size_t h = 0; h < plan_.shape.kv_heads; ++h) {
        const std::span<const float> in =
            std::span<const float>(columns).subspan(h * stride, stride);
        const auto& classes = calibration_.channel_classes;
        for (std::size_t i = 0; i < plan_.high_channels; ++i) out[h * dim + classes[i]] = in[i];
        const std::span<const float> low = in.subspan(plan_.high_channels);
        if (plan_.fourier) {
          reals_to_spectrum(low, plan_.low_columns == 2 * n, spectrum);
          inverse_fft(spectrum);
        }
        for (std::size_t i = 0; i < n; ++i)
          out[h * dim + classes[plan_.high_channels + i]] =
              plan_.fourier ? spectrum[i].real() : low[i];
      }
    }
  }
  if (!chunk.channel_scales.empty())
    for (std::size_t c = 0; c < width; ++c) out[c] *= chunk.channel_scales[c];
  if (!chunk.means.empty())
    for (std::size_t c = 0; c < width; ++c) out[c] += chunk.means[row * dim + c % dim];
  if (!chunk.outliers.empty()) {
    const SparseRow& kept = chunk.outliers[row];
    for (std::size_t i = 0; i < kept.index.size(); ++i) out[kept.index[i]] = kept.value[i];
  }
}

std::shared_ptr<const KvChunk> KvCoder::shrink(const KvChunk& chunk, OpCounts& ops) const {
  require(chunk.rule.bits == 16 || chunk.rule.bits == 8 || chunk.rule.bits == 4,
          "kv: only codes of 16, 8 and 4 bits shrink");
  const unsigned n = chunk.rule.bits / 2;
  auto smaller = std::make_shared<KvChunk>(chunk);
  constexpr Format kNarrow[] = {Format::int2, Format::int4, Format::int8};
  smaller->rule = rule_with_format(plan_, kNarrow[log2_of(n) - 1]);
  for (std::uint16_t& code : smaller->codes)
    code = static_cast<std::uint16_t>(shrink_code(code, n));
  for (KvParameters& p : smaller->parameters) p = shrink_parameters(p, n, chunk.rule.scale);
  smaller->stored = chunk_bits(smaller->rule, chunk.rows);
  smaller->read_once = {}, smaller->read_token = {};
  count_read(*smaller);
  const std::uint64_t codes = chunk.codes.size();
  ops.unpack += codes;
  ops.multiply += codes + chunk.parameters.size();
  ops.add += codes;
  ops.shift += codes;
  ops.read_bytes += ceil_div(chunk.stored.total(), 8);
  ops.write_bytes += ceil_div(smaller->stored.total(), 8);
  return smaller;
}

KvBits KvCoder::full_bits(Format format) const {
  KvBits bits;
  bits.full = plan_.shape.width() * bits_of(format);
  return bits;
}

std::uint64_t KvCoder::static_bits() const {
  const SideCalibration& c = calibration_;
  std::uint64_t bits = 0;
  if (plan_.fixed_parameters)
    bits += plan_.shape.width() * (plan_.rule.scale_bits + plan_.rule.zero_bits);
  if (plan_.rule.format == Format::lut) {
    bits += 32 * c.encode_table.size();
    if (c.decode_table != c.encode_table) bits += 32 * c.decode_table.size();
  }
  for (const Transform& t : plan_.arrival) {
    if (t.op == TransformOp::diag && t.where != Where::fold) bits += 16 * c.diag.size();
    if (t.op == TransformOp::perm) bits += 16 * c.order.size();
  }
  if (plan_.low_channels != 0) bits += 8 * c.channel_classes.size();
  for (const float f : c.top_channels) bits += f != 1.0f ? 32 : 0;
  return bits;
}

OpCounts kv_read_ops(const KvPlan& plan, const BoxRule& rule) {
  const std::uint64_t width = plan.shape.width(), heads = plan.shape.kv_heads;
  OpCounts token;
  if (plan.low_channels != 0 && !rule.ieee()) {
    count_element_decode(plan, plan.high_rule, heads * plan.high_channels, token);
    count_element_decode(plan, rule, heads * plan.low_columns, token);
    token.gather += width;
    if (plan.fourier) {  // 2.5 log2 n operations a channel
      const std::uint64_t n = plan.low_channels;
      token.multiply += heads * n * log2_of(n);
      token.add += heads * 3 * n * log2_of(n) / 2;
    }
  } else {
    count_element_decode(plan, rule, width, token);
  }
  if (rule.ieee()) return token;
  if (plan.channel_scale) token.multiply += width;
  if (plan.mean_over_heads) token.add += width;
  if (plan.sparse_side != 0) token.sparse_mac += 2 * plan.sparse_side;
  return token;
}

void KvCoder::count_read(KvChunk& chunk) const {
  const std::uint64_t width = plan_.shape.width(), dim = plan_.shape.head_dim;
  OpCounts& token = chunk.read_token;
  token += kv_read_ops(plan_, chunk.rule);

  // Bytes: what the tokens share is read once, the rest with each of them.
  std::uint64_t shared = 0;
  const bool per_row = plan_.box_tokens == 1 && !plan_.class_box;
  if (!per_row && !chunk.rule.ieee())
    shared = chunk.stored.metadata - (plan_.mean_over_heads ? chunk.rows * dim * 16 : 0);
  else if (!chunk.channel_scales.empty())
    shared = width * 16;
  chunk.read_once.read_bytes = ceil_div(shared, 8);
  token.read_bytes = ceil_div(chunk.stored.total() - shared, 8 * chunk.rows);
}

}  // namespace systole::quant
