// Classes of channels and the shifting accumulator. The contracts are in the header.
#include "quant/kernels/tender_gemm.hpp"

#include <algorithm>
#include <cmath>

#include "quant/check.hpp"
#include "quant/elementary.hpp"

namespace systole::quant {

float TenderClasses::scale(unsigned g, unsigned bits) const {
  const float first = largest / static_cast<float>((1 << (bits - 1)) - 1);
  return std::ldexp(first, -static_cast<int>(g));
}

TenderClasses tender_classes(std::span<const float> minima, std::span<const float> maxima,
                             unsigned classes) {
  require(minima.size() == maxima.size(), "tender: one minimum and one maximum a channel");
  require(classes >= 1 && classes <= 32, "tender: 1 to 32 classes");
  TenderClasses result;
  result.classes = classes;
  std::vector<float> extent(minima.size());
  for (std::size_t i = 0; i < extent.size(); ++i) {
    const float sum = maxima[i] + minima[i];
    extent[i] = 0.5f * (maxima[i] - minima[i]);
    require(std::isfinite(sum) && std::isfinite(extent[i]) && extent[i] >= 0.0f,
            "tender: a channel's range is not finite or reversed");
    result.bias.push_back(0.5f * sum);
    result.largest = std::max(result.largest, extent[i]);
  }
  for (const float channel : extent) {
    unsigned g = 0;
    while (g + 1 < classes && channel <= std::ldexp(result.largest, -static_cast<int>(g) - 1)) ++g;
    result.channel_class.push_back(static_cast<std::uint8_t>(g));
  }
  return result;
}

std::vector<std::int8_t> tender_quantise(std::span<const float> x, std::size_t rows,
                                         const TenderClasses& classes, unsigned bits) {
  const std::size_t channels = classes.bias.size();
  require(bits >= 2 && bits <= 8, "tender: 2 to 8 bits");
  require(x.size() == rows * channels, "tender: x is not [rows, channels]");
  const auto highest = static_cast<double>((1 << (bits - 1)) - 1);
  std::vector<std::int8_t> codes(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t channel = i % channels;
    const float s = classes.scale(classes.channel_class[channel], bits);
    require(std::isfinite(x[i]), "tender: a value is NaN or infinite");
    if (s == 0.0f) continue;
    const float scaled = (x[i] - classes.bias[channel]) / s;
    const double clamped = std::clamp(static_cast<double>(scaled), -highest, highest);
    codes[i] = static_cast<std::int8_t>(elementary::round_to_integer(clamped));
  }
  return codes;
}

std::int32_t tender_dot(std::span<const std::int8_t> a, std::span<const std::int8_t> w,
                        const TenderClasses& classes, Overflow overflow) {
  require(a.size() == w.size() && a.size() == classes.channel_class.size(),
          "tender: one class a channel");
  std::int32_t acc = 0;
  for (unsigned g = 0; g < classes.classes; ++g) {
    if (g != 0) accumulate(acc, acc, overflow);  // acc << 1
    for (std::size_t k = 0; k < a.size(); ++k) {
      if (classes.channel_class[k] == g) accumulate(acc, a[k] * w[k], overflow);
    }
  }
  return acc;
}

void tender_gemm(std::span<const std::int8_t> a, const TenderClasses& classes, unsigned a_bits,
                 const QuantizedMatrix& w, std::span<float> out, Overflow overflow) {
  require(w.spec.affine == Affine::symmetric && w.groups <= 1,
          "tender: the weight must be symmetric with one scale a row");
  require(a_bits >= 2 && a_bits <= 8, "tender: 2 to 8 bits");
  require(w.cols != 0 && w.cols == classes.bias.size() && a.size() % w.cols == 0,
          "tender: the shapes disagree");
  const std::size_t rows = a.size() / w.cols;
  require(out.size() == rows * w.rows, "tender: out is not [m, n]");
  const float s_last = classes.scale(classes.classes - 1, a_bits);
  for (std::size_t n = 0; n < w.rows; ++n) {
    const auto w_row = std::span(w.codes).subspan(n * w.cols, w.cols);
    float bias = 0.0f;
    for (std::size_t k = 0; k < w.cols; ++k) {
      bias = std::fma(classes.bias[k], static_cast<float>(w_row[k]), bias);
    }
    for (std::size_t m = 0; m < rows; ++m) {
      const std::int32_t acc = tender_dot(a.subspan(m * w.cols, w.cols), w_row, classes, overflow);
      out[m * w.rows + n] = std::fma(static_cast<float>(acc), s_last, bias) * w.scale(n, 0);
    }
  }
}

}  // namespace systole::quant
