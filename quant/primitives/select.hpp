// Reductions over boxes, selection and scoring: extremes, top-k, sparse outliers, salience, Hamming
// distance, running statistics. All normative.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant {

/// One pass over a box. minimum and maximum: the first met of +0 and -0 wins, a NaN only when it is
/// first; sums sequential fp32, index ascending, products rounded. Errors: std::invalid_argument
/// when empty or beyond the data.
struct BoxStatistics {
  float minimum = 0, maximum = 0, absmax = 0;
  float mean = 0;      ///< sum / n
  float mean_abs = 0;  ///< sum |x| / n
  float sigma = 0;     ///< root mean square, sqrt(sum x*x / n)
};
/// Elements x[offset + i * stride], i < count.
BoxStatistics reduce(std::span<const float> x, std::size_t offset, std::size_t stride,
                     std::size_t count);

/// Indices of the k largest (smallest) values (by magnitude when `magnitude`), descending
/// (ascending); ties, and +0 against -0: the lower index first; NaN never wins: it comes behind all
/// numbers. k > size: all.
std::vector<std::uint32_t> top_k(std::span<const float> x, std::size_t k, bool magnitude = false);
std::vector<std::uint32_t> bottom_k(std::span<const float> x, std::size_t k);

/// A list of kept outliers of one token or row, index ascending.
struct SparseRow {
  std::vector<std::uint32_t> index;
  std::vector<float> value;
};
/// The `above` largest and the `below` smallest elements (KVQuant's deployed cap: 21 + 21); an
/// element that is both is listed once.
SparseRow select_outliers(std::span<const float> x, std::size_t above, std::size_t below);
/// Elements outside [low[i], high[i]] (KVQuant's calibrated thresholds).
SparseRow select_outliers(std::span<const float> x, std::span<const float> low,
                          std::span<const float> high);
/// NORMATIVE. acc + sum over entries, index ascending, of value * x[index], fma.
float sparse_dot(const SparseRow& row, std::span<const float> x, float acc);
/// The same with a CSR matrix: out[r] += row r times x.
struct SparseMatrix {
  std::size_t rows = 0, cols = 0;
  std::vector<std::uint32_t> row_start;  ///< [rows + 1]
  std::vector<std::uint32_t> index;
  std::vector<float> value;
};
void sparse_gemv(const SparseMatrix& m, std::span<const float> x, std::span<float> out);

/// A matrix split into what is quantised and what is kept: dense [rows][cols] with +0 at the
/// outliers, sparse with their values.
struct DenseSparse {
  std::vector<float> dense;
  SparseMatrix sparse;
};

/// Adds one query's attention probabilities [tokens] to the tokens' scores, and counts that it
/// could see them. normalised(t) = score / seen (ZipCache); 0 where never seen.
struct Salience {
  std::vector<float> score;
  std::vector<std::uint32_t> seen;
  void add(std::span<const float> probabilities);
  float normalised(std::size_t token) const;
};

/// popcount(a XOR b) over packed words. Errors: std::invalid_argument unless of one size.
std::uint32_t hamming(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b);
/// KVCrush: sorts (stable) items by distance and picks `count` at uniform spacing: the items at 0,
/// step, 2 step, ... of that order, step = items / count rounded down (openvino.genai, kvcrush.cpp,
/// whose sort is not stable: there the order of equal distances is the library's). count beyond the
/// items: all, in that order.
std::vector<std::uint32_t> strided_pick(std::span<const std::uint32_t> distances,
                                        std::size_t count);

/// Running statistics of logits for feedback schedules (PMPD, FlexQuant).
/// -sum of p * float(ln p) in nats, fp32, index ascending; p <= 0 adds nothing; NaN or infinity:
/// NaN.
float entropy(std::span<const float> probabilities);
float confidence(std::span<const float> probabilities);  ///< largest
/// Mean and standard deviation (of the population, divided by n) of the last n values, recomputed
/// oldest first; 0 when there are none.
class RunningWindow {
 public:
  explicit RunningWindow(std::size_t size) : size_(size) {}
  void add(float value);
  float mean() const;
  float deviation() const;
  std::size_t count() const { return values_.size(); }

 private:
  std::size_t size_;
  std::vector<float> values_;
};

}  // namespace systole::quant
