// Two-dimensional convolution as a matrix product over patches (implicit GEMM): the image is
// gathered, never copied by a layout of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "quant/kernels/gemm.hpp"
#include "quant/kernels/overflow.hpp"

namespace systole::quant {

/// How images lie in memory, outermost first; kernels and outputs follow.
enum class ImageLayout : std::uint8_t {
  nhwc,  ///< image [batch][y][x][channel], kernel [out][ky][kx][channel], k = (ky, kx, channel)
  nchw,  ///< image [batch][channel][y][x], kernel [out][channel][ky][kx], k = (channel, ky, kx)
};
inline constexpr std::array<std::string_view, 2> kImageLayoutNames = {"nhwc", "nchw"};

struct Conv2dShape {
  std::size_t batch = 1;
  std::size_t channels = 1;  ///< of the input
  std::size_t height = 1, width = 1;
  std::size_t filters = 1;  ///< channels of the output
  std::size_t kernel_height = 1, kernel_width = 1;
  std::size_t stride_y = 1, stride_x = 1;
  std::size_t pad_y = 0, pad_x = 0;  ///< zeros on each side
  std::size_t dilation_y = 1, dilation_x = 1;
  ImageLayout layout = ImageLayout::nhwc;

  std::size_t out_height() const;
  std::size_t out_width() const;
  /// m = batch * out_height * out_width (y, x ascending), n = filters, k = channels * kernel.
  /// Errors: std::invalid_argument for extents, strides and dilations of 0, a kernel larger than
  /// the padded image, or sizes beyond 2^40.
  GemmShape gemm() const;
};

/// Position in the image of element (m, k) of the patch matrix; npos: padding, a zero.
inline constexpr std::size_t kPadding = static_cast<std::size_t>(-1);
std::size_t patch_element(const Conv2dShape& shape, std::size_t m, std::size_t k);

/// NORMATIVE. acc = fma(patch, kernel, acc) from +0, k ascending in the order of the layout,
/// padding included as +0 (so 0 * infinity in a kernel is NaN there); the bits of gemm_fp32 over
/// the gathered patches. Output: nhwc [batch][y][x][filter], nchw [batch][filter][y][x]. Errors:
/// std::invalid_argument on shapes and sizes.
void conv2d_fp32(std::span<const float> image, std::span<const float> kernel,
                 const Conv2dShape& shape, std::span<float> out);

/// NORMATIVE. The same sums in integers: int32 accumulator, one addition a product under
/// `overflow`; padding is `pad_value` (the zero point of an affine activation).
void conv2d_int8(std::span<const std::int8_t> image, std::span<const std::int8_t> kernel,
                 const Conv2dShape& shape, std::span<std::int32_t> out, Overflow overflow,
                 std::int8_t pad_value = 0);

}  // namespace systole::quant
