// Cholesky-like factors and quadratic forms. The contract is in the header.
#include "quant/quantisers/symmetric.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "quant/check.hpp"

namespace systole::quant {
namespace {

/// R upper triangular with H = R R^T, in place of the upper triangle of `a`: columns from the last
/// to the first, each step a rank-one update of what is left of it.
void factorise(std::vector<double>& a, std::size_t n) {
  std::vector<double> column(n);
  for (std::size_t j = n; j-- > 0;) {
    const double pivot = a[j * n + j];
    if (!(pivot > 0) || !std::isfinite(pivot)) {
      throw std::domain_error("inverse_factor: the matrix is not positive definite");
    }
    const double root = std::sqrt(pivot);
    a[j * n + j] = root;
    for (std::size_t i = 0; i < j; ++i) column[i] = a[i * n + j] /= root;
    for (std::size_t i = 0; i < j; ++i) {
      const double factor = column[i];
      double* row = &a[i * n];
      for (std::size_t t = i; t < j; ++t) row[t] -= factor * column[t];
    }
  }
}

/// The inverse of upper triangular R: row i of U from the rows below it.
std::vector<double> invert_upper(const std::vector<double>& r, std::size_t n) {
  std::vector<double> u(n * n, 0.0);
  for (std::size_t i = n; i-- > 0;) {
    double* out = &u[i * n];
    for (std::size_t t = i + 1; t < n; ++t) {
      const double factor = r[i * n + t];
      const double* below = &u[t * n];
      for (std::size_t j = t; j < n; ++j) out[j] -= factor * below[j];
    }
    const double diagonal = r[i * n + i];
    for (std::size_t j = i + 1; j < n; ++j) out[j] /= diagonal;
    out[i] = 1.0 / diagonal;
  }
  return u;
}

}  // namespace

std::vector<double> inverse_factor(std::span<const double> h, std::size_t n) {
  require(n == 0 ? h.empty() : h.size() / n == n && h.size() % n == 0,
          "inverse_factor: the matrix is not [n, n]");
  std::vector<double> a(h.begin(), h.end());
  factorise(a, n);
  return invert_upper(a, n);
}

std::vector<double> inverse_diagonal(std::span<const double> factor, std::size_t n) {
  require(factor.size() == n * n, "inverse_diagonal: the factor is not [n, n]");
  std::vector<double> diagonal(n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i; j < n; ++j) diagonal[j] += factor[i * n + j] * factor[i * n + j];
  }
  return diagonal;
}

double quadratic_error(std::span<const double> e, std::span<const double> h, std::size_t n) {
  require(n != 0 && h.size() / n == n && h.size() % n == 0 && e.size() % n == 0,
          "quadratic_error: sizes disagree");
  std::vector<double> image(n);
  double total = 0;
  for (std::size_t first = 0; first < e.size(); first += n) {
    const double* row = e.data() + first;
    image.assign(n, 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      if (row[i] == 0.0) continue;
      const double* line = h.data() + i * n;
      for (std::size_t j = 0; j < n; ++j) image[j] += row[i] * line[j];
    }
    double sum = 0;
    for (std::size_t j = 0; j < n; ++j) sum += image[j] * row[j];
    total += sum;
  }
  return total;
}

double quadratic_error(std::span<const float> a, std::span<const float> b,
                       std::span<const double> h, std::size_t n) {
  require(a.size() == b.size(), "quadratic_error: sizes disagree");
  std::vector<double> e(a.size());
  for (std::size_t i = 0; i < e.size(); ++i) e[i] = double{a[i]} - double{b[i]};
  return quadratic_error(e, h, n);
}

void accumulate_outer(std::span<const float> x, std::size_t n, std::span<double> h,
                      std::size_t first, std::size_t last) {
  require(n != 0 && x.size() % n == 0 && h.size() / n == n && h.size() % n == 0 && last <= n,
          "accumulate_outer: sizes disagree");
  constexpr std::size_t kChunk = 64;  // tokens at a time: a line of h stays in the cache
  std::vector<double> rows;
  for (std::size_t start = 0; start < x.size(); start += kChunk * n) {
    const std::size_t size = std::min(kChunk * n, x.size() - start);
    rows.assign(x.begin() + static_cast<std::ptrdiff_t>(start),
                x.begin() + static_cast<std::ptrdiff_t>(start + size));
    for (std::size_t i = first; i < last; ++i) {
      double* line = h.data() + i * n;
      for (std::size_t token = 0; token < size; token += n) {
        const double* row = rows.data() + token;
        const double factor = row[i];
        for (std::size_t j = i; j < n; ++j) line[j] += factor * row[j];
      }
    }
  }
}

void mirror_upper(std::span<double> h, std::size_t n) {
  require(n == 0 ? h.empty() : h.size() / n == n && h.size() % n == 0,
          "mirror_upper: the matrix is not [n, n]");
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) h[i * n + j] = h[j * n + i];
  }
}

}  // namespace systole::quant
