// Reductions, selection and scoring. The contracts are in the header.
#include "quant/primitives/select.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "quant/check.hpp"
#include "quant/elementary.hpp"

namespace systole::quant {

BoxStatistics reduce(std::span<const float> x, std::size_t offset, std::size_t stride,
                     std::size_t count) {
  require(count != 0, "reduce: an empty box");
  require(offset < x.size() && (count == 1 || stride <= (x.size() - 1 - offset) / (count - 1)),
          "reduce: the box reaches beyond the data");
  BoxStatistics s;
  s.minimum = s.maximum = x[offset];
  s.absmax = std::fabs(x[offset]);
  float sum = 0.0f;
  float sum_abs = 0.0f;
  float sum_squares = 0.0f;
  for (std::size_t i = 0; i < count; ++i) {
    const float v = x[offset + i * stride];
    const float magnitude = std::fabs(v);
    if (v < s.minimum) s.minimum = v;
    if (v > s.maximum) s.maximum = v;
    if (magnitude > s.absmax) s.absmax = magnitude;
    sum += v;
    sum_abs += magnitude;
    sum_squares += v * v;
  }
  const float n = static_cast<float>(count);
  s.mean = sum / n;
  s.mean_abs = sum_abs / n;
  s.sigma = std::sqrt(sum_squares / n);
  return s;
}

namespace {

/// The first k indices by `before`, a strict order of two values; NaNs behind everything else, the
/// lower index first among equals.
template <class Before>
std::vector<std::uint32_t> first_k(std::span<const float> x, std::size_t k, Before before) {
  require(x.size() <= std::numeric_limits<std::uint32_t>::max(), "top_k: too many elements");
  std::vector<std::uint32_t> index(x.size());
  std::iota(index.begin(), index.end(), 0u);
  k = std::min(k, x.size());
  const auto order = [&](std::uint32_t i, std::uint32_t j) {
    const float a = x[i];
    const float b = x[j];
    const bool a_nan = std::isnan(a);
    const bool b_nan = std::isnan(b);
    if (a_nan != b_nan) return b_nan;
    if (before(a, b)) return true;
    if (before(b, a)) return false;
    return i < j;
  };
  std::partial_sort(index.begin(), index.begin() + static_cast<std::ptrdiff_t>(k), index.end(),
                    order);
  index.resize(k);
  return index;
}

}  // namespace

std::vector<std::uint32_t> top_k(std::span<const float> x, std::size_t k, bool magnitude) {
  if (magnitude) {
    return first_k(x, k, [](float a, float b) { return std::fabs(a) > std::fabs(b); });
  }
  return first_k(x, k, [](float a, float b) { return a > b; });
}

std::vector<std::uint32_t> bottom_k(std::span<const float> x, std::size_t k) {
  return first_k(x, k, [](float a, float b) { return a < b; });
}

SparseRow select_outliers(std::span<const float> x, std::size_t above, std::size_t below) {
  SparseRow row;
  row.index = top_k(x, above);
  const std::vector<std::uint32_t> low = bottom_k(x, below);
  row.index.insert(row.index.end(), low.begin(), low.end());
  std::sort(row.index.begin(), row.index.end());
  row.index.erase(std::unique(row.index.begin(), row.index.end()), row.index.end());
  for (const std::uint32_t i : row.index) row.value.push_back(x[i]);
  return row;
}

SparseRow select_outliers(std::span<const float> x, std::span<const float> low,
                          std::span<const float> high) {
  require(x.size() == low.size() && x.size() == high.size(),
          "select_outliers: one pair of thresholds an element");
  require(x.size() <= std::numeric_limits<std::uint32_t>::max(), "select_outliers: too many");
  SparseRow row;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] < low[i] || x[i] > high[i]) {
      row.index.push_back(static_cast<std::uint32_t>(i));
      row.value.push_back(x[i]);
    }
  }
  return row;
}

float sparse_dot(const SparseRow& row, std::span<const float> x, float acc) {
  require(row.index.size() == row.value.size(), "sparse_dot: one value an index");
  for (std::size_t i = 0; i < row.index.size(); ++i) {
    require(row.index[i] < x.size(), "sparse_dot: an index beyond the vector");
    acc = std::fma(row.value[i], x[row.index[i]], acc);
  }
  return acc;
}

void sparse_gemv(const SparseMatrix& m, std::span<const float> x, std::span<float> out) {
  require(m.row_start.size() == m.rows + 1 && m.index.size() == m.value.size(),
          "sparse_gemv: the matrix is inconsistent");
  require(x.size() == m.cols && out.size() == m.rows, "sparse_gemv: the sizes differ");
  require(m.row_start.front() == 0 && m.row_start.back() == m.index.size(),
          "sparse_gemv: the row starts do not span the entries");
  for (std::size_t r = 0; r < m.rows; ++r) {
    require(m.row_start[r] <= m.row_start[r + 1] && m.row_start[r + 1] <= m.index.size(),
            "sparse_gemv: the row starts descend");
    for (std::size_t e = m.row_start[r]; e < m.row_start[r + 1]; ++e) {
      require(m.index[e] < x.size(), "sparse_gemv: an index beyond the vector");
      out[r] = std::fma(m.value[e], x[m.index[e]], out[r]);
    }
  }
}

void Salience::add(std::span<const float> probabilities) {
  if (score.size() < probabilities.size()) {
    score.resize(probabilities.size(), 0.0f);
    seen.resize(probabilities.size(), 0u);
  }
  for (std::size_t t = 0; t < probabilities.size(); ++t) {
    score[t] += probabilities[t];
    ++seen[t];
  }
}

float Salience::normalised(std::size_t token) const {
  if (token >= score.size() || seen[token] == 0) return 0.0f;
  return score[token] / static_cast<float>(seen[token]);
}

std::uint32_t hamming(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
  require(a.size() == b.size(), "hamming: the sizes differ");
  std::uint32_t distance = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    distance += static_cast<std::uint32_t>(std::popcount(a[i] ^ b[i]));
  }
  return distance;
}

std::vector<std::uint32_t> strided_pick(std::span<const std::uint32_t> distances,
                                        std::size_t count) {
  require(distances.size() <= std::numeric_limits<std::uint32_t>::max(), "strided_pick: too many");
  std::vector<std::uint32_t> order(distances.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t i, std::uint32_t j) { return distances[i] < distances[j]; });
  if (count >= order.size()) return order;
  std::vector<std::uint32_t> picked(count);
  const std::size_t step = count == 0 ? 0 : order.size() / count;
  for (std::size_t i = 0; i < count; ++i) picked[i] = order[i * step];
  return picked;
}

float entropy(std::span<const float> probabilities) {
  float sum = 0.0f;
  for (const float p : probabilities) {
    if (!(p <= std::numeric_limits<float>::max())) return std::numeric_limits<float>::quiet_NaN();
    if (p <= 0.0f) continue;
    sum += p * static_cast<float>(elementary::log(static_cast<double>(p)));
  }
  return 0.0f - sum;
}

float confidence(std::span<const float> probabilities) {
  float largest = 0.0f;
  for (const float p : probabilities) {
    if (p > largest) largest = p;
  }
  return largest;
}

void RunningWindow::add(float value) {
  require(size_ != 0, "RunningWindow: an empty window");
  if (values_.size() == size_) values_.erase(values_.begin());
  values_.push_back(value);
}

float RunningWindow::mean() const {
  if (values_.empty()) return 0.0f;
  float sum = 0.0f;
  for (const float v : values_) sum += v;
  return sum / static_cast<float>(values_.size());
}

float RunningWindow::deviation() const {
  if (values_.empty()) return 0.0f;
  const float centre = mean();
  float sum = 0.0f;
  for (const float v : values_) sum += (v - centre) * (v - centre);
  return std::sqrt(sum / static_cast<float>(values_.size()));
}

}  // namespace systole::quant
