// Implicit GEMM against the six loops that define a convolution.
#include "quant/kernels/conv2d.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "operands.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

/// Direct convolution in the order of the layout: (ky, kx, channel) or (channel, ky, kx).
template <class T, class Acc, class Step>
std::vector<Acc> direct(const Conv2dShape& s, const std::vector<T>& image,
                        const std::vector<T>& kernel, T pad, Step step) {
  const bool nhwc = s.layout == ImageLayout::nhwc;
  std::vector<Acc> out(s.batch * s.out_height() * s.out_width() * s.filters);
  const auto tap = [&](std::size_t b, std::size_t oy, std::size_t ox, std::size_t f, std::size_t c,
                       std::size_t ky, std::size_t kx, Acc acc) {
    const auto y = static_cast<std::ptrdiff_t>(oy * s.stride_y + ky * s.dilation_y) -
                   static_cast<std::ptrdiff_t>(s.pad_y);
    const auto x = static_cast<std::ptrdiff_t>(ox * s.stride_x + kx * s.dilation_x) -
                   static_cast<std::ptrdiff_t>(s.pad_x);
    T value = pad;
    if (y >= 0 && x >= 0 && y < static_cast<std::ptrdiff_t>(s.height) &&
        x < static_cast<std::ptrdiff_t>(s.width)) {
      const auto uy = static_cast<std::size_t>(y);
      const auto ux = static_cast<std::size_t>(x);
      value = nhwc ? image[((b * s.height + uy) * s.width + ux) * s.channels + c]
                   : image[((b * s.channels + c) * s.height + uy) * s.width + ux];
    }
    const T weight =
        nhwc ? kernel[((f * s.kernel_height + ky) * s.kernel_width + kx) * s.channels + c]
             : kernel[((f * s.channels + c) * s.kernel_height + ky) * s.kernel_width + kx];
    return step(acc, value, weight);
  };
  for (std::size_t b = 0; b < s.batch; ++b)
    for (std::size_t oy = 0; oy < s.out_height(); ++oy)
      for (std::size_t ox = 0; ox < s.out_width(); ++ox)
        for (std::size_t f = 0; f < s.filters; ++f) {
          Acc acc{};
          if (nhwc) {
            for (std::size_t ky = 0; ky < s.kernel_height; ++ky)
              for (std::size_t kx = 0; kx < s.kernel_width; ++kx)
                for (std::size_t c = 0; c < s.channels; ++c)
                  acc = tap(b, oy, ox, f, c, ky, kx, acc);
            out[((b * s.out_height() + oy) * s.out_width() + ox) * s.filters + f] = acc;
          } else {
            for (std::size_t c = 0; c < s.channels; ++c)
              for (std::size_t ky = 0; ky < s.kernel_height; ++ky)
                for (std::size_t kx = 0; kx < s.kernel_width; ++kx)
                  acc = tap(b, oy, ox, f, c, ky, kx, acc);
            out[((b * s.filters + f) * s.out_height() + oy) * s.out_width() + ox] = acc;
          }
        }
  return out;
}

Conv2dShape random_shape(SplitMix& random) {
  Conv2dShape s;
  const auto draw = [&](int low, int high) {
    return static_cast<std::size_t>(pick(random, low, high));
  };
  do {
    s.batch = draw(1, 2), s.channels = draw(1, 3), s.height = draw(1, 8), s.width = draw(1, 8);
    s.filters = draw(1, 3), s.kernel_height = draw(1, 4), s.kernel_width = draw(1, 4);
    s.stride_y = draw(1, 3), s.stride_x = draw(1, 3), s.pad_y = draw(0, 2), s.pad_x = draw(0, 2);
    s.dilation_y = draw(1, 2), s.dilation_x = draw(1, 2);
    s.layout = random.next() % 2 == 0 ? ImageLayout::nhwc : ImageLayout::nchw;
  } while ((s.kernel_height - 1) * s.dilation_y + 1 > s.height + 2 * s.pad_y ||
           (s.kernel_width - 1) * s.dilation_x + 1 > s.width + 2 * s.pad_x);
  return s;
}

TEST(Conv2d, EqualsTheDirectConvolutionBitForBit) {
  SYSTOLE_SEEDED(random);
  for (int i = 0; i < 300; ++i) {
    const Conv2dShape s = random_shape(random);
    const GemmShape gemm = s.gemm();
    const auto image = normals(random, s.batch * s.channels * s.height * s.width);
    const auto kernel = normals(random, gemm.n * gemm.k);
    std::vector<float> out(gemm.m * gemm.n);
    conv2d_fp32(image, kernel, s, out);
    const auto expected = direct<float, float>(
        s, image, kernel, 0.0f, [](float acc, float v, float w) { return std::fma(v, w, acc); });
    ASSERT_TRUE(same_bits(out, expected));

    const auto image8 = integers<std::int8_t>(random, image.size(), -128, 127);
    const auto kernel8 = integers<std::int8_t>(random, kernel.size(), -128, 127);
    std::vector<std::int32_t> out8(out.size());
    conv2d_int8(image8, kernel8, s, out8, Overflow::error, 7);
    const auto step = [](std::int32_t acc, std::int8_t v, std::int8_t w) { return acc + v * w; };
    ASSERT_EQ(out8, (direct<std::int8_t, std::int32_t>(s, image8, kernel8, std::int8_t{7}, step)));
  }
}

TEST(Conv2d, IsTheGemmOverGatheredPatches) {
  SYSTOLE_SEEDED(random);
  const Conv2dShape s = random_shape(random);
  const GemmShape gemm = s.gemm();
  Conv2dShape nhwc = s;
  nhwc.layout = ImageLayout::nhwc;
  const auto image = normals(random, s.batch * s.channels * s.height * s.width);
  const auto kernel = normals(random, gemm.n * gemm.k);
  std::vector<float> patches(gemm.m * gemm.k);
  for (std::size_t i = 0; i < patches.size(); ++i) {
    const std::size_t at = patch_element(nhwc, i / gemm.k, i % gemm.k);
    patches[i] = at == kPadding ? 0.0f : image[at];
  }
  std::vector<float> expected(gemm.m * gemm.n);
  std::vector<float> out(gemm.m * gemm.n);
  gemm_fp32(patches, kernel, gemm, expected);
  conv2d_fp32(image, kernel, nhwc, out);
  EXPECT_TRUE(same_bits(out, expected));
}

TEST(Conv2d, HasThePublishedExtentOfThePatchEmbedding) {
  Conv2dShape s;  // ViT: 16 x 16 patches of 224 x 224 x 3 to 768 (accelerators.md 3.3)
  s.channels = 3, s.height = s.width = 224, s.filters = 768;
  s.kernel_height = s.kernel_width = s.stride_y = s.stride_x = 16;
  EXPECT_EQ(s.gemm().m, 196u);
  EXPECT_EQ(s.gemm().k, 768u);
}

TEST(Conv2d, RefusesShapesThatDoNotExist) {
  std::vector<float> image(4);
  std::vector<float> kernel(9);
  std::vector<float> out(1);
  Conv2dShape s;
  s.height = s.width = 2;
  s.kernel_height = s.kernel_width = 3;
  EXPECT_THROW(conv2d_fp32(image, kernel, s, out), std::invalid_argument);
  s.pad_x = s.pad_y = 1;
  out.resize(4);
  EXPECT_NO_THROW(conv2d_fp32(image, kernel, s, out));
  s.stride_x = 0;
  EXPECT_THROW(conv2d_fp32(image, kernel, s, out), std::invalid_argument);
  s.stride_x = 1, s.dilation_y = SIZE_MAX;
  EXPECT_THROW(conv2d_fp32(image, kernel, s, out), std::invalid_argument);
  s.dilation_y = 1, s.batch = SIZE_MAX;
  EXPECT_THROW(conv2d_fp32(image, kernel, s, out), std::invalid_argument);
  s.batch = 1;
  EXPECT_THROW(conv2d_fp32(image, kernel, s, std::span(out).first(3)), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
