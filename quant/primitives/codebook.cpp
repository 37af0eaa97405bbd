// Look-up tables and codebooks. The contracts are in the header.
#include "quant/primitives/codebook.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/primitives/random.hpp"

namespace systole::quant {

std::uint32_t nearest_entry(float x, std::span<const float> table) {
  require(!table.empty() && table.size() <= std::numeric_limits<std::uint32_t>::max(),
          "nearest_entry: an empty table");
  std::size_t best = 0;
  float least = std::fabs(x - table[0]);
  for (std::size_t i = 1; i < table.size(); ++i) {
    const float distance = std::fabs(x - table[i]);
    if (distance < least) {
      least = distance;
      best = i;
    }
  }
  return static_cast<std::uint32_t>(best);
}

namespace {

/// Centre c is the value at which the cumulative weight of the sorted data passes (c + 1/2) / n.
std::vector<double> quantile_centres(std::span<const float> x, std::span<const double> weights,
                                     double total, std::size_t centres) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return x[i] < x[j]; });
  std::vector<double> centre(centres);
  std::size_t at = 0;
  double cumulative = weights[order[0]];
  for (std::size_t c = 0; c < centres; ++c) {
    const double target = total * (static_cast<double>(c) + 0.5) / static_cast<double>(centres);
    while (cumulative < target && at + 1 < order.size()) cumulative += weights[order[++at]];
    centre[c] = static_cast<double>(x[order[at]]);
  }
  return centre;
}

}  // namespace

std::vector<float> kmeans_1d(std::span<const float> x, std::span<const float> weights,
                             std::size_t centres, unsigned iterations) {
  require(centres != 0 && !x.empty(), "kmeans_1d: no centres or no data");
  require(weights.empty() || weights.size() == x.size(), "kmeans_1d: one weight a value");
  std::vector<double> w(x.size(), 1.0);
  if (!weights.empty()) w.assign(weights.begin(), weights.end());
  double total = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    require(std::isfinite(x[i]), "kmeans_1d: a value is NaN or infinite");
    require(w[i] >= 0.0 && std::isfinite(w[i]), "kmeans_1d: weights must be finite and >= 0");
    total += w[i];
  }
  require(total > 0.0, "kmeans_1d: all weights are zero");

  std::vector<double> centre = quantile_centres(x, w, total, centres);
  std::vector<double> border(centres - 1);
  for (unsigned iteration = 0; iteration < iterations; ++iteration) {
    for (std::size_t c = 0; c + 1 < centres; ++c) border[c] = 0.5 * (centre[c] + centre[c + 1]);
    std::vector<double> sum(centres, 0.0);
    std::vector<double> mass(centres, 0.0);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double v = static_cast<double>(x[i]);
      // Centres ascend, so the nearest one is found by the borders; a border belongs to the lower.
      const auto c = static_cast<std::size_t>(std::lower_bound(border.begin(), border.end(), v) -
                                              border.begin());
      sum[c] += w[i] * v;
      mass[c] += w[i];
    }
    bool moved = false;
    for (std::size_t c = 0; c < centres; ++c) {
      if (mass[c] == 0.0) continue;  // an empty cluster keeps its centre
      const double next = sum[c] / mass[c];
      moved = moved || next != centre[c];
      centre[c] = next;
    }
    std::sort(centre.begin(), centre.end());
    if (!moved) break;
  }
  std::vector<float> result(centres);
  for (std::size_t c = 0; c < centres; ++c) result[c] = static_cast<float>(centre[c]);
  return result;
}

namespace {

double squared_distance(const float* a, const double* b, std::size_t length) {
  double sum = 0.0;
  for (std::size_t i = 0; i < length; ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    sum += d * d;
  }
  return sum;
}

/// k-means++: each further centre is a vector drawn with probability proportional to its squared
/// distance to the nearest centre so far (Arthur and Vassilvitskii, SODA 2007).
std::vector<double> spread_centres(std::span<const float> x, std::size_t length,
                                   std::size_t centres, std::uint64_t seed) {
  const std::size_t n = x.size() / length;
  SplitMix random(seed);
  std::vector<double> centre(centres * length);
  std::vector<double> nearest(n, std::numeric_limits<double>::infinity());
  std::size_t pick = static_cast<std::size_t>(random.uniform() * static_cast<double>(n));
  for (std::size_t c = 0; c < centres; ++c) {
    for (std::size_t i = 0; i < length; ++i) {
      centre[c * length + i] = static_cast<double>(x[pick * length + i]);
    }
    double total = 0.0;
    for (std::size_t v = 0; v < n; ++v) {
      nearest[v] =
          std::min(nearest[v], squared_distance(&x[v * length], &centre[c * length], length));
      total += nearest[v];
    }
    const double target = random.uniform() * total;
    double cumulative = 0.0;
    pick = n - 1;
    for (std::size_t v = 0; v < n; ++v) {
      cumulative += nearest[v];
      if (cumulative > target) {
        pick = v;
        break;
      }
    }
  }
  return centre;
}

}  // namespace

std::vector<float> kmeans(std::span<const float> x, std::size_t length, std::size_t centres,
                          std::uint64_t seed, unsigned iterations) {
  require(length != 0 && centres != 0 && !x.empty() && x.size() % length == 0,
          "kmeans: the data are not vectors of that length");
  for (const float v : x) require(std::isfinite(v), "kmeans: a value is NaN or infinite");
  const std::size_t n = x.size() / length;
  std::vector<double> centre = spread_centres(x, length, centres, seed);
  std::vector<std::size_t> member(n, centres);
  for (unsigned iteration = 0; iteration < iterations; ++iteration) {
    bool changed = false;
    std::vector<double> sum(centres * length, 0.0);
    std::vector<std::size_t> count(centres, 0);
    for (std::size_t v = 0; v < n; ++v) {
      std::size_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t c = 0; c < centres; ++c) {
        const double distance = squared_distance(&x[v * length], &centre[c * length], length);
        if (distance < least) {
          least = distance;
          best = c;
        }
      }
      changed = changed || member[v] != best;
      member[v] = best;
      ++count[best];
      for (std::size_t i = 0; i < length; ++i) {
        sum[best * length + i] += static_cast<double>(x[v * length + i]);
      }
    }
    if (!changed) break;
    for (std::size_t c = 0; c < centres; ++c) {
      if (count[c] == 0) continue;  // an empty cluster keeps its centre
      for (std::size_t i = 0; i < length; ++i) {
        centre[c * length + i] = sum[c * length + i] / static_cast<double>(count[c]);
      }
    }
  }
  std::vector<float> result(centres * length);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<float>(centre[i]);
  return result;
}

std::uint32_t nearest_codeword(std::span<const float> x, std::span<const float> codebook) {
  require(!x.empty() && !codebook.empty() && codebook.size() % x.size() == 0,
          "nearest_codeword: the codebook is not codewords of the vector's length");
  std::size_t best = 0;
  float least = std::numeric_limits<float>::infinity();
  for (std::size_t c = 0; c < codebook.size() / x.size(); ++c) {
    float distance = 0.0f;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float d = x[i] - codebook[c * x.size() + i];
      distance += d * d;
    }
    if (distance < least) {
      least = distance;
      best = c;
    }
  }
  return static_cast<std::uint32_t>(best);
}

std::vector<float> codeword_scores(std::span<const float> query, std::span<const float> codebook) {
  require(!query.empty() && codebook.size() % query.size() == 0,
          "codeword_scores: the codebook is not codewords of the query's length");
  std::vector<float> scores(codebook.size() / query.size());
  for (std::size_t c = 0; c < scores.size(); ++c) {
    float acc = 0.0f;
    for (std::size_t i = 0; i < query.size(); ++i) {
      acc = std::fma(query[i], codebook[c * query.size() + i], acc);
    }
    scores[c] = acc;
  }
  return scores;
}

std::uint32_t shrink_code(std::uint32_t code, unsigned n) {
  require(n == 1 || n == 2 || n == 4 || n == 8, "shrink_code: n must be 1, 2, 4 or 8");
  require(code >> (2 * n) == 0, "shrink_code: a code of more than 2n bits");
  const auto power = [](unsigned e) { return std::uint64_t{1} << e; };
  const std::uint64_t product = code * (power(2 * n) - power(n) + 1);
  return static_cast<std::uint32_t>(
      (product + power(3 * n - 1) - power(2 * n - 1) + power(n - 1)) >> (3 * n));
}

float power_of_two(int f, unsigned r, unsigned table_bits, bool negative) {
  require(table_bits <= 8 && r < (1u << table_bits), "power_of_two: r is beyond the table");
  const double fraction = static_cast<double>(r) / static_cast<double>(1u << table_bits);
  const double entry = elementary::round_to_integer(elementary::pow(2.0, fraction) * 0x1p16);
  const int shift = std::clamp(f, -400, 400) - 16;  // beyond: zero or infinity all the same
  const float value = static_cast<float>(entry * elementary::power_of_two(shift));
  return negative ? -value : value;
}

}  // namespace systole::quant
