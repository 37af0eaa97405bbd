// KVQuant's calibration and dense-and-sparse splits. The contract is in the header.
#include "quant/quantisers/kvquant.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/primitives/codebook.hpp"

namespace systole::quant {
namespace {

void check(std::span<const float> x, std::size_t channels, std::span<const float> sensitivity,
           const KvQuantOptions& options) {
  require(channels != 0 && !x.empty() && x.size() % channels == 0,
          "kvquant: values are not [tokens, channels]");
  require(sensitivity.empty() || sensitivity.size() == x.size(), "kvquant: one weight a value");
  require(options.bits >= 1 && options.bits <= 8, "kvquant: 1 to 8 bits");
  require(options.sparsity >= 0 && options.sparsity < 1, "kvquant: a sparsity below 1");
}

/// Linear between neighbours, of ascending values.
float quantile(std::span<const float> sorted, double p) {
  const double h = static_cast<double>(sorted.size() - 1) * p;
  const auto i = static_cast<std::size_t>(h);
  if (i + 1 >= sorted.size()) return sorted.back();
  const double low = double{sorted[i]}, high = double{sorted[i + 1]};
  return static_cast<float>(low + (high - low) * (h - static_cast<double>(i)));
}

/// Normalised values that are no outliers, and their weights.
struct Samples {
  std::vector<float> x, weight;
  void add(float value, float offset, float range, std::span<const float> sensitivity,
           std::size_t index) {
    x.push_back(range > 0 ? std::clamp((value - offset) / range, -1.0f, 1.0f) : 0.0f);
    if (!sensitivity.empty()) weight.push_back(sensitivity[index]);
  }
};

void fit_tables(const Samples& samples, const KvQuantOptions& options, KvQuantTables& out) {
  require(!samples.x.empty(), "kvquant: nothing but outliers");
  out.table =
      kmeans_1d(samples.x, samples.weight, std::size_t{1} << options.bits, options.iterations);
  out.decode_table = options.q_norm ? q_norm(out.table, samples.x) : out.table;
}

struct Moments {
  double mean = 0, deviation = 0;
};

Moments moments(std::span<const float> x) {
  Moments m;
  const double n = static_cast<double>(x.size());
  for (const float v : x) m.mean += double{v};
  m.mean /= n;
  for (const float v : x) m.deviation += (double{v} - m.mean) * (double{v} - m.mean);
  m.deviation = std::sqrt(m.deviation / n);
  return m;
}

std::size_t rounded_count(double x) {
  return static_cast<std::size_t>(elementary::round_to_integer(x));
}

}  // namespace

KvQuantTables kvquant_keys(std::span<const float> keys, std::size_t channels,
                           std::span<const float> sensitivity, const KvQuantOptions& options) {
  check(keys, channels, sensitivity, options);
  const std::size_t tokens = keys.size() / channels;
  KvQuantTables out;
  std::vector<float> column(tokens);
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t t = 0; t < tokens; ++t) column[t] = keys[t * channels + c];
    std::sort(column.begin(), column.end());
    out.low.push_back(quantile(column, options.sparsity / 2));
    out.high.push_back(quantile(column, 1.0 - options.sparsity / 2));
  }
  Samples samples;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::size_t c = i % channels;
    if (keys[i] < out.low[c] || keys[i] > out.high[c]) continue;
    samples.add(keys[i], out.offset(c), out.range(c), sensitivity, i);
  }
  fit_tables(samples, options, out);
  return out;
}

KvQuantTables kvquant_values(std::span<const float> values, std::size_t channels,
                             std::span<const float> sensitivity, const KvQuantOptions& options) {
  check(values, channels, sensitivity, options);
  KvQuantTables out;
  out.above = out.below = rounded_count(options.sparsity / 2 * static_cast<double>(channels));
  Samples samples;
  for (std::size_t first = 0; first < values.size(); first += channels) {
    const std::span<const float> token = values.subspan(first, channels);
    const SparseRow outliers = select_outliers(token, out.above, out.below);
    std::vector<bool> apart(channels, false);
    for (const std::uint32_t c : outliers.index) apart[c] = true;
    float low = 0, high = 0;
    bool any = false;
    for (std::size_t c = 0; c < channels; ++c) {
      if (apart[c]) continue;
      low = any ? std::min(low, token[c]) : token[c];
      high = any ? std::max(high, token[c]) : token[c];
      any = true;
    }
    for (std::size_t c = 0; c < channels; ++c) {
      if (apart[c]) continue;
      samples.add(token[c], (high + low) * 0.5f, (high - low) * 0.5f, sensitivity, first + c);
    }
  }
  fit_tables(samples, options, out);
  return out;
}

std::vector<float> q_norm(std::span<const float> table, std::span<const float> original) {
  std::vector<float> decoded;
  for (const float x : original) decoded.push_back(table[nearest_entry(x, table)]);
  std::vector<float> out(table.begin(), table.end());
  if (decoded.empty()) return out;
  const Moments before = moments(original), after = moments(decoded);
  if (after.deviation == 0) return out;
  const double scale = before.deviation / after.deviation;
  const double shift = before.mean - after.mean * scale;
  for (float& entry : out) entry = static_cast<float>(double{entry} * scale + shift);
  return out;
}

DenseSparse split_outliers(std::span<const float> weight, std::size_t n, std::size_t k,
                           double fraction) {
  require(n != 0 && k != 0 && weight.size() / k == n && weight.size() % k == 0,
          "split_outliers: the weight is not [n, k]");
  require(k <= 0xFFFFFFFFu && weight.size() <= 0xFFFFFFFFu, "split_outliers: 32-bit indices");
  require(fraction >= 0 && fraction <= 1, "split_outliers: a fraction");
  const std::size_t count = rounded_count(fraction * static_cast<double>(weight.size()));
  std::vector<std::uint32_t> order(weight.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto larger = [&](std::uint32_t a, std::uint32_t b) {
    const float x = std::fabs(weight[a]), y = std::fabs(weight[b]);
    return x != y ? x > y : a < b;
  };
  if (count < order.size()) {
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                     larger);
    order.resize(count);
  }
  std::sort(order.begin(), order.end());
  DenseSparse out;
  out.dense.assign(weight.begin(), weight.end());
  out.sparse.rows = n;
  out.sparse.cols = k;
  out.sparse.row_start.assign(n + 1, 0);
  for (const std::uint32_t i : order) {
    out.sparse.index.push_back(static_cast<std::uint32_t>(i % k));
    out.sparse.value.push_back(weight[i]);
    ++out.sparse.row_start[i / k + 1];
    out.dense[i] = 0;
  }
  std::partial_sum(out.sparse.row_start.begin(), out.sparse.row_start.end(),
                   out.sparse.row_start.begin());
  return out;
}

void add_sparse(std::span<float> dense, const SparseMatrix& sparse) {
  require(dense.size() == sparse.rows * sparse.cols && sparse.row_start.size() == sparse.rows + 1 &&
              sparse.index.size() == sparse.value.size(),
          "add_sparse: sizes disagree");
  for (std::size_t r = 0; r < sparse.rows; ++r) {
    require(sparse.row_start[r] <= sparse.row_start[r + 1] &&
                sparse.row_start[r + 1] <= sparse.index.size(),
            "add_sparse: row starts");
    for (std::size_t i = sparse.row_start[r]; i < sparse.row_start[r + 1]; ++i) {
      require(sparse.index[i] < sparse.cols, "add_sparse: a column");
      dense[r * sparse.cols + sparse.index[i]] += sparse.value[i];
    }
  }
}

}  // namespace systole::quant
