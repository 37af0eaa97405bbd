// Values and cycles of the dequantiser.
#include "pe/dequantiser.hpp"

#include <cmath>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::pe {

using quant::Affine;

DequantiseWork dequantise_work(std::uint64_t outputs, std::uint64_t groups, Affine affine) {
  if (groups == 0) return {};
  DequantiseWork work;
  const bool float_correction = affine == Affine::float_min || affine == Affine::float_zero;
  work.multiply_adds = outputs * groups * (float_correction ? 2 : 1);
  work.corrections = affine == Affine::integer_zero ? outputs * groups : 0;
  work.multiplies = outputs;
  return work;
}

std::uint64_t dequantise_cycles(const configs::DequantiserConfig& config,
                                const DequantiseWork& work) {
  SYSTOLE_CHECK(config.lanes > 0, "a dequantiser has lanes");
  if (work.operations() == 0) return 0;
  return ceil_div(work.operations(), config.lanes) + config.latency_cycles;
}

int array_offset(const quant::QuantSpec& spec) { return quant::middle_code(spec); }

std::vector<OperandWord> operand_words(const quant::QuantizedMatrix& matrix) {
  const int offset = array_offset(matrix.spec);
  std::vector<OperandWord> words;
  words.reserve(matrix.codes.size());
  for (std::size_t r = 0; r < matrix.rows; ++r) {
    for (std::size_t c = 0; c < matrix.cols; ++c) {
      words.push_back(operand_word(matrix.code(r, c) - offset));
    }
  }
  return words;
}

std::vector<std::int32_t> moving_sums(const quant::QuantizedMatrix& moving, std::size_t group) {
  SYSTOLE_CHECK(group > 0 && moving.cols % group == 0, "groups divide the row");
  std::vector<std::int32_t> sums;
  for (std::size_t r = 0; r < moving.rows; ++r) {
    for (std::size_t begin = 0; begin < moving.cols; begin += group) {
      std::int32_t sum = 0;
      for (std::size_t k = begin; k < begin + group; ++k) sum += moving.code(r, k);
      sums.push_back(sum);
    }
  }
  return sums;
}

std::vector<float> dequantise_sums(std::span<const ResultWord> sums,
                                   const quant::QuantizedMatrix& moving,
                                   const quant::QuantizedMatrix& stationary) {
  const std::size_t groups = stationary.groups;
  SYSTOLE_CHECK(moving.cols == stationary.cols, "operands agree in K");
  SYSTOLE_CHECK(sums.size() == moving.rows * stationary.rows * groups, "sums are [M, N, groups]");
  std::vector<float> out(moving.rows * stationary.rows, 0.0f);
  if (sums.empty()) return out;
  const std::vector<std::int32_t> moving_sum = moving_sums(moving, stationary.group);
  const std::int64_t offset = array_offset(stationary.spec);
  const Affine affine = stationary.spec.affine;
  std::size_t next = 0;
  for (std::size_t m = 0; m < moving.rows; ++m) {
    for (std::size_t n = 0; n < stationary.rows; ++n) {
      float acc = 0.0f;
      for (std::size_t g = 0; g < groups; ++g) {
        const std::int32_t asum = moving_sum[m * groups + g];
        std::int64_t isum = static_cast<std::int32_t>(sums[next++]) + offset * asum;
        const float scale = stationary.scale(n, g);
        const float zero = stationary.zero(n, g);
        if (affine == Affine::integer_zero) isum -= static_cast<std::int64_t>(zero) * asum;
        acc = std::fma(static_cast<float>(static_cast<std::int32_t>(isum)), scale, acc);
        if (affine == Affine::float_min) acc = std::fma(static_cast<float>(asum), zero, acc);
        if (affine == Affine::float_zero) {
          acc = std::fma(static_cast<float>(asum), -(zero * scale), acc);
        }
      }
      out[m * stationary.rows + n] = acc * moving.scale(m, 0);
    }
  }
  return out;
}

std::vector<float> dequantise_sums(std::span<const ResultWord> sums,
                                   const quant::GridMatrix& moving,
                                   const quant::GridMatrix& stationary) {
  const std::size_t groups = stationary.groups;
  SYSTOLE_CHECK(moving.cols == stationary.cols, "operands agree in K");
  SYSTOLE_CHECK(sums.size() == moving.rows * stationary.rows * groups, "sums are [M, N, groups]");
  SYSTOLE_CHECK(moving.groups == 1, "a moving row has one scale");
  std::vector<float> out;
  out.reserve(moving.rows * stationary.rows);
  const float unit = moving.unit * stationary.unit;
  std::size_t next = 0;
  for (std::size_t m = 0; m < moving.rows; ++m) {
    for (std::size_t n = 0; n < stationary.rows; ++n) {
      float acc = 0.0f;
      for (std::size_t g = 0; g < groups; ++g) {
        const auto isum = static_cast<float>(static_cast<std::int32_t>(sums[next++]));
        acc = std::fma(isum * unit, stationary.scales[n * groups + g], acc);
      }
      out.push_back(acc * moving.scales[m]);
    }
  }
  return out;
}

}  // namespace systole::pe
