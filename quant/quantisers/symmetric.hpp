// Dense symmetric matrices in double: what second-order quantisers need of linear algebra. Every
// loop has one fixed order, so results do not depend on threads or the CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant {

/// The upper triangular U with positive diagonal and U^T U = H^-1, for a symmetric positive
/// definite H [n][n] (only its upper triangle is read): the factor that GPTQ walks over. Computed
/// as the inverse of the upper triangular R with H = R R^T, so H^-1 itself is never formed. Errors:
/// std::invalid_argument when sizes disagree; std::domain_error when H is not positive definite
/// (raise the damping).
std::vector<double> inverse_factor(std::span<const double> h, std::size_t n);

/// diag(H^-1) from that factor: element j is the sum over i <= j of U[i][j]^2.
std::vector<double> inverse_diagonal(std::span<const double> factor, std::size_t n);

/// sum over rows of e H e^T for e [rows][n]: the squared output error of a layer whose weight is
/// off by e, when H is the sum of x x^T over its inputs.
double quadratic_error(std::span<const double> e, std::span<const double> h, std::size_t n);
/// The same of a - b.
double quadratic_error(std::span<const float> a, std::span<const float> b,
                       std::span<const double> h, std::size_t n);

/// h[i][j] += x[i] * x[j], j >= i, for every row of x [rows][n], rows in order: the upper triangle.
/// `first`, `last`: only the rows [first, last) of h, so that threads can split the work.
void accumulate_outer(std::span<const float> x, std::size_t n, std::span<double> h,
                      std::size_t first, std::size_t last);
/// The lower triangle from the upper one.
void mirror_upper(std::span<double> h, std::size_t n);

}  // namespace systole::quant
