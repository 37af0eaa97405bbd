// GPTQ and its relatives. The contract is in the header.
#include "quant/quantisers/gptq.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/quantisers/range_search.hpp"
#include "quant/quantisers/symmetric.hpp"

namespace systole::quant {

GptqCodec::~GptqCodec() = default;

namespace {

void check_weight(std::span<const float> weight, std::size_t n, std::size_t k) {
  require(n != 0 && k != 0 && weight.size() / k == n && weight.size() % k == 0,
          "gptq: the weight is not [n, k]");
  for (const float w : weight) {
    if (!std::isfinite(w)) throw std::domain_error("gptq: a weight is not finite");
  }
}

/// `h` with rows and columns in `order`.
std::vector<double> permuted(std::span<const double> h, std::span<const std::uint32_t> order) {
  const std::size_t k = order.size();
  std::vector<double> out(k * k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) out[i * k + j] = h[order[i] * k + order[j]];
  }
  return out;
}

/// One weight matrix on its way through GPTQ; columns stand in the order of quantisation.
class Walk {
 public:
  Walk(std::span<const float> weight, std::size_t n, std::size_t k, const GptqHessian& hessian,
       GptqCodec& codec, const GptqOptions& options)
      : n_(n),
        k_(k),
        hessian_(hessian),
        codec_(codec),
        options_(options),
        group_(codec.group() == 0 ? k : codec.group()),
        order_(hessian.order) {
    if (order_.empty()) {
      order_.resize(k);
      std::iota(order_.begin(), order_.end(), 0u);
    }
    work_.resize(n * k);
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t j = 0; j < k; ++j) {
        const std::uint32_t column = order_[j];
        work_[r * k + j] = hessian.dead[column] ? 0.0 : double{weight[r * k + column]};
      }
    }
  }

  GptqResult run() {
    GptqResult result;
    result.order = hessian_.order;
    result.values.resize(n_ * k_);
    result.dead_columns =
        static_cast<std::size_t>(std::count(hessian_.dead.begin(), hessian_.dead.end(), true));
    if (options_.static_groups) fit_all();
    for (std::size_t first = 0; first < k_; first += options_.block) {
      const std::size_t last = std::min(k_, first + options_.block);
      for (std::size_t row = 0; row < n_; ++row) block(row, first, last, result);
    }
    return result;
  }

 private:
  /// Boxes of the original order, from the original weights.
  void fit_all() {
    std::vector<std::uint32_t> columns(group_);
    std::vector<float> values(group_);
    std::vector<std::size_t> place(k_);
    for (std::size_t j = 0; j < k_; ++j) place[order_[j]] = j;
    for (std::size_t row = 0; row < n_; ++row) {
      for (std::size_t g = 0; g * group_ < k_; ++g) {
        for (std::size_t i = 0; i < group_; ++i) {
          columns[i] = static_cast<std::uint32_t>(g * group_ + i);
          values[i] = static_cast<float>(work_[row * k_ + place[columns[i]]]);
        }
        codec_.fit(row, g, values, columns);
      }
    }
  }

  /// The box that starts at column j, from the weights as corrected so far: those beyond the block
  /// get the block's `errors` (columns first, first + 1, ...) only now. Stale: `before` in the
  /// block.
  void fit_at(std::size_t row, std::size_t j, std::size_t first, std::size_t end,
              std::span<const double> errors, std::span<const double> before) {
    const std::size_t last = std::min(k_, j + group_);
    std::vector<double> corrected(&work_[row * k_ + j], &work_[row * k_ + j] + (last - j));
    if (options_.stale_ranges) {
      for (std::size_t t = j; t < std::min(end, last); ++t) corrected[t - j] = before[t - first];
    } else {
      for (std::size_t i = 0; i < errors.size(); ++i) {
        const double* u = &hessian_.factor[(first + i) * k_];
        for (std::size_t t = end; t < last; ++t) corrected[t - j] -= errors[i] * u[t];
      }
    }
    std::vector<float> values(corrected.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(corrected[i]);
    codec_.fit(row, j / group_, values, std::span(order_).subspan(j, last - j));
  }

  /// Columns [first, last) of one row; then their errors to all later columns.
  void block(std::size_t row, std::size_t first, std::size_t last, GptqResult& result) {
    double* w = &work_[row * k_];
    std::vector<double> stale;
    if (options_.stale_ranges) stale.assign(w + first, w + last);
    std::vector<double> errors;
    errors.reserve(last - first);
    for (std::size_t j = first; j < last; ++j) {
      if (!options_.static_groups && j % group_ == 0) fit_at(row, j, first, last, errors, stale);
      const std::uint32_t column = order_[j];
      const std::size_t g = (options_.static_groups ? column : j) / group_;
      const float q = codec_.quantise(row, g, column, static_cast<float>(w[j]));
      result.values[row * k_ + column] = q;
      const double* u = &hessian_.factor[j * k_];
      const double error = (w[j] - double{q}) / u[j];
      result.loss += error * error;
      errors.push_back(error);
      for (std::size_t t = j + 1; t < last; ++t) w[t] -= error * u[t];
    }
    for (std::size_t j = first; j < last; ++j) {
      const double error = errors[j - first];
      const double* u = &hessian_.factor[j * k_];
      for (std::size_t t = last; t < k_; ++t) w[t] -= error * u[t];
    }
  }

  std::size_t n_, k_;
  const GptqHessian& hessian_;
  GptqCodec& codec_;
  const GptqOptions& options_;
  std::size_t group_;
  std::vector<std::uint32_t> order_;
  std::vector<double> work_;
};

}  // namespace

GptqHessian prepare_hessian(std::span<const double> sum_xx, std::uint64_t tokens, std::size_t k,
                            const GptqOptions& options) {
  require(k != 0 && sum_xx.size() / k == k && sum_xx.size() % k == 0,
          "gptq: the Hessian is not [k, k]");
  require(tokens != 0, "gptq: a Hessian of no token");
  require(options.damp >= 0 && options.block != 0, "gptq: damp at least 0, block at least 1");
  GptqHessian out;
  out.h.resize(k * k);
  out.dead.resize(k);
  const double factor = 2.0 / static_cast<double>(tokens);
  for (std::size_t i = 0; i < k * k; ++i) out.h[i] = sum_xx[i] * factor;
  double trace = 0;
  for (std::size_t j = 0; j < k; ++j) {
    double& diagonal = out.h[j * k + j];
    out.dead[j] = diagonal == 0.0;
    if (out.dead[j]) diagonal = 1.0;
    trace += diagonal;
  }
  std::vector<double> damped;
  if (options.act_order) {
    out.order.resize(k);
    std::iota(out.order.begin(), out.order.end(), 0u);
    std::stable_sort(out.order.begin(), out.order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return out.h[a * k + a] > out.h[b * k + b];
    });
    damped = permuted(out.h, out.order);
  } else {
    damped = out.h;
  }
  const double damp = options.damp * trace / static_cast<double>(k);
  for (std::size_t j = 0; j < k; ++j) damped[j * k + j] += damp;
  out.factor = inverse_factor(damped, k);
  return out;
}

GptqResult gptq(std::span<const float> weight, std::size_t n, std::size_t k,
                const GptqHessian& hessian, GptqCodec& codec, const GptqOptions& options) {
  check_weight(weight, n, k);
  require(hessian.factor.size() == k * k && hessian.dead.size() == k && options.block != 0,
          "gptq: the Hessian is not [k, k]");
  require(codec.group() == 0 || k % codec.group() == 0, "gptq: groups divide the columns");
  return Walk(weight, n, k, hessian, codec, options).run();
}

GptqResult gptq(std::span<const float> weight, std::size_t n, std::size_t k,
                std::span<const double> sum_xx, std::uint64_t tokens, GptqCodec& codec,
                const GptqOptions& options) {
  return gptq(weight, n, k, prepare_hessian(sum_xx, tokens, k, options), codec, options);
}

// --- a box codec -----------------------------------------------------------------------------

BoxGptqCodec::BoxGptqCodec(ValueCodec codec, std::size_t n, std::size_t k, std::size_t group)
    : codec_(std::move(codec)),
      k_(k),
      group_(group == 0 ? k : group),
      groups_(group_ == 0 ? 0 : k / group_),
      parameters_(n * groups_),
      codes_(n * k) {
  require(k != 0 && k % group_ == 0, "gptq: groups divide the columns");
}

void BoxGptqCodec::set_parameters(std::vector<BoxParameters> parameters) {
  require(parameters.size() == parameters_.size(), "gptq: one set of parameters a box");
  parameters_ = std::move(parameters);
  fixed_ = true;
}

void BoxGptqCodec::fit(std::size_t row, std::size_t group, std::span<const float> values,
                       std::span<const std::uint32_t>) {
  if (!fixed_) parameters_[row * groups_ + group] = find_scale(values, codec_);
}

float BoxGptqCodec::quantise(std::size_t row, std::size_t group, std::uint32_t column, float w) {
  const BoxParameters& p = parameters_[row * groups_ + group];
  const std::uint16_t code = codec_.encode(w, p);
  codes_[row * k_ + column] = code;
  return codec_.decode(code, p);
}

// --- RSQ -------------------------------------------------------------------------------------

std::vector<float> rsq_token_weights(std::span<const double> attention_received, double least) {
  require(least >= 0 && least < 1, "rsq: a least weight from 0 to below 1");
  std::vector<float> weights(attention_received.size(), 1.0f);
  if (weights.empty()) return weights;
  const auto ends = std::minmax_element(attention_received.begin(), attention_received.end());
  const double low = *ends.first, range = *ends.second - low;
  if (!(range > 0)) return weights;
  std::vector<double> raw(weights.size());
  double sum = 0;
  for (std::size_t t = 0; t < raw.size(); ++t) {
    raw[t] = least + (1.0 - least) * ((attention_received[t] - low) / range);
    sum += raw[t];
  }
  const double factor = static_cast<double>(raw.size()) / sum;
  for (std::size_t t = 0; t < raw.size(); ++t) weights[t] = static_cast<float>(raw[t] * factor);
  return weights;
}

// --- SliM-LLM --------------------------------------------------------------------------------

std::vector<double> slim_salience(std::span<const float> weight, std::size_t n, std::size_t k,
                                  const GptqHessian& hessian, std::size_t group) {
  check_weight(weight, n, k);
  require(group != 0 && k % group == 0, "slim: groups divide the columns");
  const std::vector<double> ordered = inverse_diagonal(hessian.factor, k);
  std::vector<double> diagonal(k);
  for (std::size_t j = 0; j < k; ++j) {
    diagonal[hessian.order.empty() ? j : hessian.order[j]] = ordered[j];
  }
  std::vector<double> salience(k / group, 0.0);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t j = 0; j < k; ++j) {
      const double ratio = double{weight[r * k + j]} / diagonal[j];
      salience[j / group] += ratio * ratio;
    }
  }
  return salience;
}

namespace {

/// Boxes whose width depends on the group. One bit: mean +- mean magnitude.
class SlimCodec final : public GptqCodec {
 public:
  SlimCodec(const QuantSpec& spec, unsigned bits, std::vector<std::uint8_t> widths,
            std::size_t rows, std::size_t group)
      : group_(group), widths_(std::move(widths)), parameters_(rows * widths_.size()) {
    for (unsigned b = bits - 1; b <= bits + 1; ++b) {
      QuantSpec one = spec;
      if (b == 1) {
        one.format = Format::sign;
        one.affine = Affine::float_min;
        one.range = RangeRule::automatic;
      } else {
        one.format = static_cast<Format>(static_cast<unsigned>(Format::int2) + b - 2);
        one.affine = Affine::integer_zero;
      }
      codecs_.emplace_back(one);
    }
    first_ = bits - 1;
  }
  std::size_t group() const override { return group_; }
  void fit(std::size_t row, std::size_t group, std::span<const float> values,
           std::span<const std::uint32_t>) override {
    parameters_[row * widths_.size() + group] = find_scale(values, codec(group));
  }
  float quantise(std::size_t row, std::size_t group, std::uint32_t, float w) override {
    return codec(group).nearest(w, parameters_[row * widths_.size() + group]);
  }

 private:
  const ValueCodec& codec(std::size_t group) const { return codecs_[widths_[group] - first_]; }

  std::size_t group_;
  std::vector<std::uint8_t> widths_;
  std::vector<BoxParameters> parameters_;
  std::vector<ValueCodec> codecs_;
  unsigned first_ = 1;
};

/// Rounding errors of every group at one width, [n][k].
std::vector<double> rounding_errors(std::span<const float> weight, std::size_t n, std::size_t k,
                                    SlimCodec& codec) {
  std::vector<double> errors(n * k);
  const std::size_t group = codec.group();
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t g = 0; g < k / group; ++g) {
      codec.fit(r, g, weight.subspan(r * k + g * group, group), {});
      for (std::size_t j = g * group; j < (g + 1) * group; ++j) {
        const float w = weight[r * k + j];
        errors[r * k + j] = double{w} - double{codec.quantise(r, g, 0, w)};
      }
    }
  }
  return errors;
}

}  // namespace

SlimResult slim(std::span<const float> weight, std::size_t n, std::size_t k,
                std::span<const double> sum_xx, std::uint64_t tokens, unsigned bits,
                std::size_t group, const QuantSpec& spec, const GptqOptions& options) {
  check_weight(weight, n, k);
  require(bits >= 2 && bits <= 7, "slim: 2 to 7 bits");
  require(group != 0 && k % group == 0, "slim: groups divide the columns");
  GptqOptions by_group = options;
  by_group.static_groups = by_group.act_order;  // widths belong to the original columns
  const GptqHessian hessian = prepare_hessian(sum_xx, tokens, k, by_group);
  const std::vector<double> salience = slim_salience(weight, n, k, hessian, group);
  const std::size_t groups = salience.size();
  std::vector<std::uint32_t> rank(groups);
  std::iota(rank.begin(), rank.end(), 0u);
  std::stable_sort(rank.begin(), rank.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return salience[a] < salience[b]; });

  const auto codec = [&](std::vector<std::uint8_t> widths) {
    return SlimCodec(spec, bits, std::move(widths), n, group);
  };
  std::vector<std::vector<double>> errors;
  for (unsigned b = bits - 1; b <= bits + 1; ++b) {
    SlimCodec uniform = codec(std::vector<std::uint8_t>(groups, static_cast<std::uint8_t>(b)));
    errors.push_back(rounding_errors(weight, n, k, uniform));
  }
  const auto widths_of = [&](std::size_t moved) {
    std::vector<std::uint8_t> widths(groups, static_cast<std::uint8_t>(bits));
    for (std::size_t i = 0; i < moved; ++i) {
      widths[rank[i]] = static_cast<std::uint8_t>(bits - 1);
      widths[rank[groups - 1 - i]] = static_cast<std::uint8_t>(bits + 1);
    }
    return widths;
  };

  SlimResult result;
  double least = 0;
  std::vector<double> mixed(n * k);
  for (std::size_t moved = 0; moved <= groups / 2; ++moved) {
    const std::vector<std::uint8_t> widths = widths_of(moved);
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      mixed[i] = errors[widths[i % k / group] - (bits - 1)][i];
    }
    const double error = quadratic_error(mixed, hessian.h, k);
    if (moved == 0 || error < least) least = error, result.moved = moved;
  }
  result.bits = widths_of(result.moved);
  SlimCodec chosen = codec(result.bits);
  result.weight = gptq(weight, n, k, hessian, chosen, by_group);
  result.stored_bits = bits + 32.0 / static_cast<double>(group) +
                       2.0 / (static_cast<double>(group) * static_cast<double>(n));
  return result;
}

// --- BAQ -------------------------------------------------------------------------------------

namespace {

constexpr double kLog2E = 0x1.71547652b82fep+0;
double log2_of(double x) { return elementary::log(x) * kLog2E; }

struct RowRange {
  float low = 0, high = 0;
};

RowRange range_of(std::span<const float> row) {
  const auto ends = std::minmax_element(row.begin(), row.end());
  return {*ends.first, *ends.second};
}

/// Columns with their own number of levels over the row's range.
class BaqCodec final : public GptqCodec {
 public:
  BaqCodec(std::size_t rows, std::span<const std::uint32_t> levels)
      : levels_(levels), ranges_(rows) {}
  std::size_t group() const override { return 0; }
  void fit(std::size_t row, std::size_t, std::span<const float> values,
           std::span<const std::uint32_t>) override {
    ranges_[row] = range_of(values);
  }
  float quantise(std::size_t row, std::size_t, std::uint32_t column, float w) override {
    const RowRange& range = ranges_[row];
    if (levels_[column] == 1) return range.low + (range.high - range.low) * 0.5f;
    QuantSpec spec;
    spec.format = Format::levels;
    spec.granularity = Granularity::channel;
    spec.affine = Affine::float_min;
    spec.levels = levels_[column];
    const ValueCodec codec(spec);
    const float ends[] = {range.low, range.high};
    return codec.nearest(w, codec.parameters(ends));
  }

 private:
  std::span<const std::uint32_t> levels_;
  std::vector<RowRange> ranges_;
};

}  // namespace

std::vector<std::uint32_t> baq_levels(std::span<const double> losses, double mean_bits) {
  require(mean_bits >= 0 && mean_bits <= 12, "baq: 0 to 12 bits");
  double log_sum = 0;
  std::size_t counted = 0;
  for (const double loss : losses) {
    if (loss < 1e-300) continue;
    log_sum += elementary::log(loss);
    ++counted;
  }
  std::vector<std::uint32_t> levels(losses.size(), 1);
  if (counted == 0) return levels;
  const double mean = log_sum / static_cast<double>(counted);
  constexpr double kExponent = 1.95;
  for (std::size_t j = 0; j < losses.size(); ++j) {
    if (losses[j] < 1e-300) continue;
    const double log_levels = (elementary::log(losses[j]) - mean) / kExponent + mean_bits / kLog2E;
    const double count = elementary::round_to_integer(elementary::exp(std::min(log_levels, 11.0)));
    levels[j] = static_cast<std::uint32_t>(std::clamp(count, 1.0, 65536.0));
  }
  return levels;
}

std::vector<double> baq_losses(std::span<const float> weight, std::size_t n, std::size_t k,
                               const GptqHessian& hessian) {
  check_weight(weight, n, k);
  double squared_range = 0;
  for (std::size_t r = 0; r < n; ++r) {
    const RowRange range = range_of(weight.subspan(r * k, k));
    const double width = double{range.high} - double{range.low};
    squared_range += width * width;
  }
  squared_range /= static_cast<double>(n);
  std::vector<double> losses(k);
  for (std::size_t j = 0; j < k; ++j) {
    const std::size_t column = hessian.order.empty() ? j : hessian.order[j];
    const double u = hessian.factor[j * k + j];
    losses[column] = hessian.dead[column] ? 0.0 : squared_range / (u * u);
  }
  return losses;
}

BaqResult baq(std::span<const float> weight, std::size_t n, std::size_t k,
              std::span<const double> sum_xx, std::uint64_t tokens, double mean_bits,
              const GptqOptions& options) {
  const GptqHessian hessian = prepare_hessian(sum_xx, tokens, k, options);
  BaqResult result;
  result.levels = baq_levels(baq_losses(weight, n, k, hessian), mean_bits);
  BaqCodec codec(n, result.levels);
  result.weight = gptq(weight, n, k, hessian, codec, options);
  for (const std::uint32_t levels : result.levels) {
    const double bits = log2_of(static_cast<double>(levels));
    result.ideal_bits += bits;
    double ceiling = 0;
    while ((std::uint64_t{1} << static_cast<unsigned>(ceiling)) < levels) ++ceiling;
    result.packed_bits += ceiling;
  }
  result.ideal_bits /= static_cast<double>(k);
  result.packed_bits /= static_cast<double>(k);
  return result;
}

}  // namespace systole::quant
