// Convolution over gathered patches. The contracts are in the header.
#include "quant/kernels/conv2d.hpp"

#include <cmath>

#include "quant/check.hpp"

namespace systole::quant {

namespace {

constexpr std::size_t kLimit = std::size_t{1} << 40;

/// a * b, refused beyond the limit.
std::size_t product(std::size_t a, std::size_t b) {
  require(a != 0 && b != 0 && a <= kLimit / b, "conv2d: an extent is 0 or a size beyond 2^40");
  return a * b;
}

std::size_t out_extent(std::size_t extent, std::size_t kernel, std::size_t stride, std::size_t pad,
                       std::size_t dilation) {
  require(stride != 0 && dilation != 0 && extent != 0 && kernel != 0,
          "conv2d: an extent, stride or dilation of 0");
  require(extent <= kLimit && pad <= kLimit, "conv2d: a size beyond 2^40");
  const std::size_t padded = extent + 2 * pad;
  require(kernel - 1 <= (padded - 1) / dilation, "conv2d: the kernel is larger than the image");
  return (padded - 1 - (kernel - 1) * dilation) / stride + 1;
}

std::size_t out_index(const Conv2dShape& shape, std::size_t m, std::size_t n) {
  if (shape.layout == ImageLayout::nhwc) return m * shape.filters + n;
  const std::size_t plane = shape.out_height() * shape.out_width();
  return (m / plane * shape.filters + n) * plane + m % plane;
}

void check(const Conv2dShape& shape, std::size_t image, std::size_t kernel, std::size_t out) {
  const GemmShape gemm = shape.gemm();
  const std::size_t plane = product(shape.height, shape.width);
  require(image == product(product(shape.batch, shape.channels), plane),
          "conv2d: the image has another size");
  require(kernel == product(gemm.n, gemm.k), "conv2d: the kernel has another size");
  require(out == product(gemm.m, gemm.n), "conv2d: the output has another size");
}

}  // namespace

std::size_t Conv2dShape::out_height() const {
  return out_extent(height, kernel_height, stride_y, pad_y, dilation_y);
}
std::size_t Conv2dShape::out_width() const {
  return out_extent(width, kernel_width, stride_x, pad_x, dilation_x);
}

GemmShape Conv2dShape::gemm() const {
  return {product(product(batch, out_height()), out_width()), filters,
          product(product(channels, kernel_height), kernel_width)};
}

std::size_t patch_element(const Conv2dShape& s, std::size_t m, std::size_t k) {
  const std::size_t out_x = m % s.out_width();
  const std::size_t out_y = m / s.out_width() % s.out_height();
  const std::size_t image = m / s.out_width() / s.out_height();
  const bool nhwc = s.layout == ImageLayout::nhwc;
  const std::size_t taps = s.kernel_height * s.kernel_width;
  const std::size_t channel = nhwc ? k % s.channels : k / taps;
  const std::size_t tap = nhwc ? k / s.channels : k % taps;
  // Positions in the padded image; smaller than the padding wraps to beyond the image.
  const std::size_t y = out_y * s.stride_y + tap / s.kernel_width * s.dilation_y - s.pad_y;
  const std::size_t x = out_x * s.stride_x + tap % s.kernel_width * s.dilation_x - s.pad_x;
  if (y >= s.height || x >= s.width) return kPadding;
  return nhwc ? ((image * s.height + y) * s.width + x) * s.channels + channel
              : ((image * s.channels + channel) * s.height + y) * s.width + x;
}

void conv2d_fp32(std::span<const float> image, std::span<const float> kernel,
                 const Conv2dShape& shape, std::span<float> out) {
  check(shape, image.size(), kernel.size(), out.size());
  const GemmShape gemm = shape.gemm();
  for (std::size_t m = 0; m < gemm.m; ++m) {
    for (std::size_t n = 0; n < gemm.n; ++n) {
      float acc = 0.0f;
      for (std::size_t k = 0; k < gemm.k; ++k) {
        const std::size_t at = patch_element(shape, m, k);
        acc = std::fma(at == kPadding ? 0.0f : image[at], kernel[n * gemm.k + k], acc);
      }
      out[out_index(shape, m, n)] = acc;
    }
  }
}

void conv2d_int8(std::span<const std::int8_t> image, std::span<const std::int8_t> kernel,
                 const Conv2dShape& shape, std::span<std::int32_t> out, Overflow overflow,
                 std::int8_t pad_value) {
  check(shape, image.size(), kernel.size(), out.size());
  const GemmShape gemm = shape.gemm();
  for (std::size_t m = 0; m < gemm.m; ++m) {
    for (std::size_t n = 0; n < gemm.n; ++n) {
      std::int32_t acc = 0;
      for (std::size_t k = 0; k < gemm.k; ++k) {
        const std::size_t at = patch_element(shape, m, k);
        const int value = at == kPadding ? pad_value : image[at];
        accumulate(acc, value * kernel[n * gemm.k + k], overflow);
      }
      out[out_index(shape, m, n)] = acc;
    }
  }
}

}  // namespace systole::quant
