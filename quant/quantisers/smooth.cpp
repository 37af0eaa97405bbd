// Diagonal factors and AWQ's searches. The contract is in the header.
#include "quant/quantisers/smooth.hpp"

#include <algorithm>
#include <cmath>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/quantise.hpp"
#include "quant/quantisers/range_search.hpp"
#include "quant/quantisers/symmetric.hpp"

namespace systole::quant {
namespace {

/// x^exponent of a magnitude; 0 stays 0 (elementary::pow takes normal numbers).
double power(float x, double exponent) {
  return x < 1e-37f ? 0.0 : elementary::pow(double{x}, exponent);
}

}  // namespace

std::vector<float> column_absmax(std::span<const std::span<const float>> weights, std::size_t k) {
  std::vector<float> largest(k, 0.0f);
  for (const std::span<const float> weight : weights) {
    require(k != 0 && weight.size() % k == 0, "column_absmax: a weight is not [*, k]");
    for (std::size_t i = 0; i < weight.size(); ++i) {
      largest[i % k] = std::max(largest[i % k], std::fabs(weight[i]));
    }
  }
  return largest;
}

std::vector<float> smoothquant_factors(std::span<const float> input_absmax,
                                       std::span<const float> weight_absmax, double alpha,
                                       double beta) {
  require(input_absmax.size() == weight_absmax.size(), "smoothquant: one maximum a channel each");
  require(std::fabs(alpha) <= 4 && std::fabs(beta) <= 4, "smoothquant: exponents within 4");
  std::vector<float> factors(input_absmax.size(), 1.0f);
  for (std::size_t j = 0; j < factors.size(); ++j) {
    const double x = power(input_absmax[j], alpha), w = power(weight_absmax[j], beta);
    if (x == 0 || w == 0) continue;
    factors[j] = static_cast<float>(std::max(1e-5, x / w));
  }
  return factors;
}

std::vector<float> smooth_key_factors(std::span<const float> key_absmax, double alpha) {
  require(key_absmax.size() % 2 == 0, "smooth_key: channels come in rotary pairs");
  std::vector<float> factors(key_absmax.size(), 1.0f);
  for (std::size_t i = 0; i < factors.size(); i += 2) {
    const double lambda = power(std::max(key_absmax[i], key_absmax[i + 1]), alpha);
    if (lambda != 0) factors[i] = factors[i + 1] = static_cast<float>(lambda);
  }
  return factors;
}

std::vector<float> pair_max_factors(std::span<const float> keys, std::size_t channels,
                                    double alpha) {
  require(channels != 0 && channels % 2 == 0 && keys.size() % channels == 0,
          "pair_max: keys are not [*, pairs of channels]");
  require(alpha > 0, "pair_max: a positive alpha");
  std::vector<double> largest(channels / 2, 0.0);
  for (std::size_t i = 0; i < keys.size(); i += 2) {
    const double squared = double{keys[i]} * keys[i] + double{keys[i + 1]} * keys[i + 1];
    double& most = largest[i % channels / 2];
    most = std::max(most, squared);
  }
  std::vector<float> factors(channels, 1.0f);
  for (std::size_t p = 0; p < largest.size(); ++p) {
    if (largest[p] == 0) continue;
    factors[2 * p] = factors[2 * p + 1] = static_cast<float>(std::sqrt(largest[p]) / alpha);
  }
  return factors;
}

std::vector<float> balance_factors(std::span<const float> query_absmax,
                                   std::span<const float> key_absmax, std::size_t head_dim) {
  require(head_dim != 0 && !key_absmax.empty() && key_absmax.size() % head_dim == 0 &&
              query_absmax.size() % key_absmax.size() == 0,
          "balance: queries and keys are heads of head_dim");
  const std::size_t share = query_absmax.size() / key_absmax.size();
  std::vector<float> factors(key_absmax.size(), 1.0f);
  for (std::size_t c = 0; c < factors.size(); ++c) {
    float query = 0;
    for (std::size_t s = 0; s < share; ++s) {
      const std::size_t head = c / head_dim * share + s;
      query = std::max(query, query_absmax[head * head_dim + c % head_dim]);
    }
    if (query > 0 && key_absmax[c] > 0) {
      factors[c] = static_cast<float>(std::sqrt(double{key_absmax[c]} / double{query}));
    }
  }
  return factors;
}

std::vector<float> largest_factors(std::span<const std::vector<float>> experts) {
  require(!experts.empty(), "largest_factors: of no expert");
  std::vector<float> largest = experts.front();
  for (const std::vector<float>& expert : experts) {
    require(expert.size() == largest.size(), "largest_factors: experts of one input");
    for (std::size_t j = 0; j < largest.size(); ++j) largest[j] = std::max(largest[j], expert[j]);
  }
  return largest;
}

void multiply_columns(std::span<float> weight, std::span<const float> factors) {
  require(!factors.empty() && weight.size() % factors.size() == 0,
          "multiply_columns: one factor a column");
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] *= factors[i % factors.size()];
}

void divide_rows(std::span<float> weight, std::span<const float> factors) {
  require(!factors.empty() && weight.size() % factors.size() == 0, "divide_rows: one factor a row");
  const std::size_t cols = weight.size() / factors.size();
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] /= factors[i / cols];
}

void multiply_rows(std::span<float> weight, std::span<const float> factors) {
  require(!factors.empty() && weight.size() % factors.size() == 0,
          "multiply_rows: one factor a row");
  const std::size_t cols = weight.size() / factors.size();
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] *= factors[i / cols];
}

void divide(std::span<float> x, std::span<const float> factors) {
  require(!factors.empty() && x.size() % factors.size() == 0, "divide: one factor an element");
  for (std::size_t i = 0; i < x.size(); ++i) x[i] /= factors[i % factors.size()];
}

void fold_key_factors(std::span<float> query_weight, std::span<float> key_weight,
                      std::span<const float> factors, std::size_t head_dim, std::size_t hidden) {
  require(hidden != 0 && head_dim != 0 && !factors.empty() && factors.size() % head_dim == 0 &&
              key_weight.size() == factors.size() * hidden &&
              query_weight.size() % key_weight.size() == 0,
          "fold_key_factors: sizes disagree");
  divide_rows(key_weight, factors);
  const std::size_t share = query_weight.size() / key_weight.size();
  for (std::size_t i = 0; i < query_weight.size(); ++i) {
    const std::size_t row = i / hidden, head = row / head_dim / share;
    query_weight[i] *= factors[head * head_dim + row % head_dim];
  }
}

// --- AWQ ---------------------------------------------------------------------------------------

namespace {

/// [rows][k] -> [k][rows].
std::vector<double> transposed(std::span<const float> rows, std::size_t k) {
  const std::size_t count = rows.size() / k;
  std::vector<double> out(rows.size());
  for (std::size_t t = 0; t < count; ++t) {
    for (std::size_t j = 0; j < k; ++j) out[j * count + t] = double{rows[t * k + j]};
  }
  return out;
}

/// sum over inputs of (e x)^2 for one error row e; inputs as columns [k][count].
double row_error(std::span<const double> e, std::span<const double> inputs, std::size_t count,
                 std::vector<double>& outputs) {
  outputs.assign(count, 0.0);
  for (std::size_t j = 0; j < e.size(); ++j) {
    if (e[j] == 0.0) continue;
    const double* x = inputs.data() + j * count;
    for (std::size_t t = 0; t < count; ++t) outputs[t] += e[j] * x[t];
  }
  double sum = 0;
  for (const double y : outputs) sum += y * y;
  return sum;
}

double rows_error(std::span<const double> e, std::size_t k, std::span<const double> columns) {
  const std::size_t count = columns.size() / k;
  std::vector<double> outputs;
  double total = 0;
  for (std::size_t first = 0; first < e.size(); first += k) {
    total += row_error(e.subspan(first, k), columns, count, outputs);
  }
  return total;
}

void check_inputs(std::size_t k, const LayerInputs& inputs) {
  require(k != 0 && inputs.rows.size() % k == 0, "layer inputs: rows are not [*, k]");
  require(!inputs.rows.empty() || (inputs.sum_xx.size() / k == k && inputs.sum_xx.size() % k == 0),
          "layer inputs: neither rows nor sum x x^T");
}

std::vector<double> difference(std::span<const float> a, std::span<const float> b) {
  require(a.size() == b.size(), "output_error: sizes disagree");
  std::vector<double> e(a.size());
  for (std::size_t i = 0; i < e.size(); ++i) e[i] = double{a[i]} - double{b[i]};
  return e;
}

/// Output errors on inputs prepared once.
class ErrorMeter {
 public:
  ErrorMeter(std::size_t k, const LayerInputs& inputs) : k_(k), sum_xx_(inputs.sum_xx) {
    check_inputs(k, inputs);
    columns_ = transposed(inputs.rows, k);
  }
  double operator()(std::span<const float> a, std::span<const float> b) const {
    const std::vector<double> e = difference(a, b);
    return columns_.empty() ? quadratic_error(e, sum_xx_, k_) : rows_error(e, k_, columns_);
  }
  /// Of the columns [first, first + e.size()) of one row alone.
  double part(std::span<const double> e, std::size_t first) {
    if (!columns_.empty()) {
      const std::size_t count = columns_.size() / k_;
      return row_error(e, std::span(columns_).subspan(first * count, e.size() * count), count,
                       outputs_);
    }
    double total = 0;
    for (std::size_t i = 0; i < e.size(); ++i) {
      if (e[i] == 0.0) continue;
      const double* line = sum_xx_.data() + (first + i) * k_ + first;
      double sum = 0;
      for (std::size_t j = 0; j < e.size(); ++j) sum += line[j] * e[j];
      total += e[i] * sum;
    }
    return total;
  }

 private:
  std::size_t k_;
  std::span<const double> sum_xx_;
  std::vector<double> columns_;
  std::vector<double> outputs_;
};

std::vector<float> awq_factors(std::span<const float> mean_abs, double ratio) {
  std::vector<double> raw(mean_abs.size());
  for (std::size_t j = 0; j < raw.size(); ++j) {
    raw[j] = std::max(ratio == 0 ? 1.0 : power(mean_abs[j], ratio), 1e-4);
  }
  const auto ends = std::minmax_element(raw.begin(), raw.end());
  const double norm = std::sqrt(*ends.first * *ends.second);
  std::vector<float> factors(raw.size());
  for (std::size_t j = 0; j < raw.size(); ++j) factors[j] = static_cast<float>(raw[j] / norm);
  return factors;
}

}  // namespace

double output_error(std::span<const float> a, std::span<const float> b, std::size_t k,
                    const LayerInputs& inputs) {
  return ErrorMeter(k, inputs)(a, b);
}

AwqScales awq_scales(std::span<const std::span<const float>> weights, std::size_t k,
                     const QuantSpec& spec, std::span<const float> mean_abs,
                     const LayerInputs& inputs) {
  require(mean_abs.size() == k, "awq: one mean magnitude a channel");
  const ErrorMeter meter(k, inputs);
  QuantSpec plain = spec;
  if (plain.range == RangeRule::output_mse) plain.range = RangeRule::automatic;  // clips come later
  AwqScales best;
  for (int step = 0; step < 20; ++step) {
    const double ratio = step / 20.0;
    const std::vector<float> factors = awq_factors(mean_abs, ratio);
    double error = 0;
    for (const std::span<const float> weight : weights) {
      std::vector<float> scaled(weight.begin(), weight.end());
      multiply_columns(scaled, factors);
      std::vector<float> rounded = round_by_boxes(scaled, weight.size() / k, k, plain);
      divide(rounded, factors);
      error += meter(weight, rounded);
    }
    if (step == 0) best.error = best.plain_error = error;
    if (error < best.error) best.factors = factors, best.ratio = ratio, best.error = error;
  }
  return best;
}

std::vector<float> awq_clips(std::span<const float> weight, std::size_t n, std::size_t k,
                             const QuantSpec& spec, const LayerInputs& inputs) {
  require(k != 0 && weight.size() / k == n && weight.size() % k == 0,
          "awq_clips: the weight is not [n, k]");
  ErrorMeter meter(k, inputs);
  QuantSpec plain = spec;
  plain.range = RangeRule::automatic;
  const ValueCodec codec(plain);
  const std::size_t group = group_length(k, spec), groups = k / group;
  std::vector<float> clips(n * groups);
  std::vector<double> e(group);
  std::vector<float> rounded(group);
  for (std::size_t box = 0; box < clips.size(); ++box) {
    const std::span<const float> values = weight.subspan(box * group, group);
    const auto ends = std::minmax_element(values.begin(), values.end());
    const float absmax = std::max(std::fabs(*ends.first), std::fabs(*ends.second));
    double least = 0;
    for (int i = 0; i < 10; ++i) {
      const float limit = static_cast<float>(double{absmax} * (1.0 - i / 20.0));
      const BoxParameters p = codec.parameters(values, -limit, limit);
      codec.nearest(values, p, rounded);
      for (std::size_t j = 0; j < group; ++j) e[j] = double{values[j]} - double{rounded[j]};
      const double error = meter.part(e, box % groups * group);
      if (i == 0 || error < least) least = error, clips[box] = limit;
    }
  }
  return clips;
}

}  // namespace systole::quant
