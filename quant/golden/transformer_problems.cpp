// Golden kernels around the matrix products: convolution, attention over a mixed cache,
// Walsh-Hadamard transform, selection, codebooks.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant/golden/problems.hpp"
#include "quant/kernels/conv2d.hpp"
#include "quant/kernels/mixed_attention.hpp"
#include "quant/kernels/packed_gemm.hpp"
#include "quant/kernels/vector.hpp"
#include "quant/primitives/codebook.hpp"
#include "quant/primitives/select.hpp"
#include "quant/primitives/transform.hpp"

namespace systole::quant::golden {

namespace {

/// A 3 x 3 kernel with padding over the smallest square image of at least m positions.
Conv2dShape conv_shape(const KernelCase& c) {
  Conv2dShape shape;
  while (shape.width * shape.width < c.shape.m) ++shape.width;
  shape.height = shape.width;
  shape.channels = c.shape.k;
  shape.filters = c.shape.n;
  shape.kernel_height = shape.kernel_width = 3;
  shape.pad_y = shape.pad_x = 1;
  shape.layout = c.seed % 2 == 0 ? ImageLayout::nhwc : ImageLayout::nchw;
  return shape;
}

/// The image place of element (m, k) by coordinates, without patch_element.
float patch_value(const Conv2dShape& s, const std::vector<float>& image, std::size_t m,
                  std::size_t k) {
  const std::size_t y = m / s.width, x = m % s.width;
  const bool nhwc = s.layout == ImageLayout::nhwc;
  const std::size_t channel = nhwc ? k % s.channels : k / 9;
  const std::size_t tap = nhwc ? k / s.channels : k % 9;
  const std::size_t row = y + tap / 3, col = x + tap % 3;  // one more than in the image
  if (row == 0 || col == 0 || row > s.height || col > s.width) return 0.0f;
  const std::size_t pixel = (row - 1) * s.width + col - 1;
  return nhwc ? image[pixel * s.channels + channel] : image[channel * s.height * s.width + pixel];
}

/// Stride 1 first: sums and differences of neighbours, each transformed by itself.
std::vector<float> fwht_recursive(const std::vector<float>& x) {
  if (x.size() == 1) return x;
  std::vector<float> sums, differences;
  for (std::size_t i = 0; i < x.size(); i += 2) {
    sums.push_back(x[i] + x[i + 1]);
    differences.push_back(x[i] - x[i + 1]);
  }
  sums = fwht_recursive(sums);
  differences = fwht_recursive(differences);
  std::vector<float> out;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    out.push_back(sums[i]);
    out.push_back(differences[i]);
  }
  return out;
}

}  // namespace

Problem convolution(const KernelCase& c) {
  struct Operands {
    Conv2dShape shape;
    std::vector<float> image, kernel;
  };
  Stream random(c.seed);
  auto o = std::make_shared<Operands>();
  o->shape = conv_shape(c);
  const GemmShape gemm = o->shape.gemm();
  o->image = draw(random, gemm.m * c.shape.k, c.values);
  o->kernel = draw(random, gemm.n * gemm.k, c.values);
  const bool nhwc = o->shape.layout == ImageLayout::nhwc;
  const auto result = [gemm, nhwc](const std::vector<float>& out) {
    return Arrays{nhwc ? array_of("out_nhwc", {gemm.m, gemm.n}, std::span<const float>(out))
                       : array_of("out_nchw", {gemm.n, gemm.m}, std::span<const float>(out))};
  };
  Problem problem;
  problem.operands = [o, gemm, c] {
    return Arrays{array_of(o->shape.layout == ImageLayout::nhwc ? "image_nhwc" : "image_nchw",
                           {gemm.m * c.shape.k}, std::span<const float>(o->image)),
                  array_of("kernel", {gemm.n, gemm.k}, std::span<const float>(o->kernel))};
  };
  problem.reference = [o, gemm, result] {
    std::vector<float> out(gemm.m * gemm.n);
    conv2d_fp32(o->image, o->kernel, o->shape, out);
    return result(out);
  };
  add_paths(problem, c, [o, gemm, nhwc, result](Path path, unsigned threads) {
    std::vector<float> patches(gemm.m * gemm.k), out(gemm.m * gemm.n);
    for (std::size_t i = 0; i < patches.size(); ++i) {
      patches[i] = patch_value(o->shape, o->image, i / gemm.k, i % gemm.k);
    }
    gemm_fp32(patches, PackedFloatWeights(o->kernel, gemm.n, gemm.k, Format::fp32, path), gemm.m,
              out, threads);
    if (nhwc) return result(out);
    std::vector<float> turned(out.size());
    for (std::size_t i = 0; i < out.size(); ++i) turned[i % gemm.n * gemm.m + i / gemm.n] = out[i];
    return result(turned);
  });
  problem.trace = [o, gemm, nhwc](std::size_t, std::size_t element) {
    const std::size_t m = nhwc ? element / gemm.n : element % gemm.m;
    const std::size_t n = nhwc ? element % gemm.n : element / gemm.m;
    std::vector<Step> steps;
    float acc = 0.0f;
    for (std::size_t k = 0; k < gemm.k; ++k) {
      const float patch = patch_value(o->shape, o->image, m, k);
      acc = std::fma(patch, o->kernel[n * gemm.k + k], acc);
      steps.push_back(step("k " + std::to_string(k) + ": acc = fma(" + text_of(patch) + ", " +
                               text_of(o->kernel[n * gemm.k + k]) + ", acc)",
                           acc));
    }
    return steps;
  };
  return problem;
}

/// m tokens of k elements for n queries; the first half of the tokens int4, the rest fp16.
Problem attention(const KernelCase& c) {
  struct Operands {
    std::vector<float> queries;
    std::vector<KvSegment> segments;
    float scale = 1.0f;
  };
  Stream random(c.seed);
  auto o = std::make_shared<Operands>();
  const std::size_t dim = c.shape.k;
  o->queries = draw(random, c.shape.n * dim, c.values);
  o->scale = 1.0f / std::sqrt(static_cast<float>(dim));
  const std::size_t quantised = c.shape.m / 2, exact = c.shape.m - quantised;
  if (quantised > 0) {
    QuantSpec spec = usual_weight(Format::int4, dim);
    const auto keys = draw(random, quantised * dim, c.values);
    const auto values = draw(random, quantised * dim, c.values);
    o->segments.push_back(
        kv_segment(quantise(keys, quantised, dim, spec), quantise(values, quantised, dim, spec)));
  }
  const auto keys = draw(random, exact * dim, c.values);
  const auto values = draw(random, exact * dim, c.values);
  o->segments.push_back(kv_segment(keys, values, dim, Format::fp16));

  const auto all = [o](std::vector<float> KvSegment::*part) {
    std::vector<float> joined;
    for (const KvSegment& s : o->segments) {
      joined.insert(joined.end(), (s.*part).begin(), (s.*part).end());
    }
    return joined;
  };
  /// The cache as one matrix: scores by gemm_fp32, softmax, and gemm_fp32 with the values turned.
  const auto by_products = [c, o, all, dim](Path path, unsigned threads) {
    std::vector<float> scores(c.shape.n * c.shape.m), out(c.shape.n * dim);
    gemm_fp32(o->queries,
              PackedFloatWeights(all(&KvSegment::keys), c.shape.m, dim, Format::fp32, path),
              c.shape.n, scores, threads);
    for (float& s : scores) s *= o->scale;
    for (std::size_t n = 0; n < c.shape.n; ++n) {
      softmax(std::span(scores).subspan(n * c.shape.m, c.shape.m));
    }
    const std::vector<float> joined = all(&KvSegment::values);
    std::vector<float> turned(joined.size());
    for (std::size_t i = 0; i < joined.size(); ++i) {
      turned[i % dim * c.shape.m + i / dim] = joined[i];
    }
    gemm_fp32(scores, PackedFloatWeights(turned, dim, c.shape.m, Format::fp32, path), c.shape.n,
              out, threads);
    return Arrays{
        array_of("out", {c.shape.n, dim}, std::span<const float>(out)),
        array_of("probabilities", {c.shape.n, c.shape.m}, std::span<const float>(scores))};
  };
  Problem problem;
  problem.operands = [c, o, all, dim] {
    return Arrays{
        array_of("queries", {c.shape.n, dim}, std::span<const float>(o->queries)),
        array_of("keys", {c.shape.m, dim}, std::span<const float>(all(&KvSegment::keys))),
        array_of("values", {c.shape.m, dim}, std::span<const float>(all(&KvSegment::values)))};
  };
  problem.reference = [c, o, dim] {
    std::vector<float> out(c.shape.n * dim), probabilities;
    for (std::size_t n = 0; n < c.shape.n; ++n) {
      const auto p = mixed_attention(std::span(o->queries).subspan(n * dim, dim), o->segments,
                                     o->scale, std::span(out).subspan(n * dim, dim));
      probabilities.insert(probabilities.end(), p.begin(), p.end());
    }
    return Arrays{
        array_of("out", {c.shape.n, dim}, std::span<const float>(out)),
        array_of("probabilities", {c.shape.n, c.shape.m}, std::span<const float>(probabilities))};
  };
  add_paths(problem, c, by_products);
  problem.trace = [c, o, all, dim](std::size_t result, std::size_t element) {
    const std::size_t n = result == 0 ? element / dim : element / c.shape.m;
    const std::vector<float> k = all(&KvSegment::keys), v = all(&KvSegment::values);
    std::vector<float> p;
    std::vector<Step> steps;
    for (std::size_t t = 0; t < c.shape.m; ++t) {
      float dot = 0.0f;
      for (std::size_t i = 0; i < dim; ++i) {
        dot = std::fma(o->queries[n * dim + i], k[t * dim + i], dot);
      }
      p.push_back(dot * o->scale);
      steps.push_back(step("token " + std::to_string(t) + ": score", p.back()));
    }
    softmax(p);
    if (result == 1) {
      steps.push_back(step("softmax", p[element % c.shape.m]));
      return steps;
    }
    float acc = 0.0f;
    for (std::size_t t = 0; t < c.shape.m; ++t) {
      acc = std::fma(p[t], v[t * dim + element % dim], acc);
      steps.push_back(
          step("token " + std::to_string(t) + ": acc = fma(p = " + text_of(p[t]) + ", value, acc)",
               acc));
    }
    return steps;
  };
  return problem;
}

/// n rows of k elements, blocks of c.chunk.
Problem hadamard(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<std::vector<float>>(draw(random, c.shape.n * c.shape.k, c.values));
  const auto result = [c](const std::vector<float>& out) {
    return Arrays{array_of("out", {c.shape.n, c.shape.k}, std::span<const float>(out))};
  };
  Problem problem;
  problem.operands = [c, x] {
    return Arrays{array_of("x", {c.shape.n, c.shape.k}, std::span<const float>(*x))};
  };
  problem.reference = [c, x, result] {
    std::vector<float> out = *x;
    fwht(out, c.chunk);
    return result(out);
  };
  const float norm = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.chunk)));
  const auto recursive = [c, x, norm] {
    std::vector<float> out;
    for (std::size_t begin = 0; begin < x->size(); begin += c.chunk) {
      const auto from = x->begin() + static_cast<std::ptrdiff_t>(begin);
      for (const float v : fwht_recursive({from, from + static_cast<std::ptrdiff_t>(c.chunk)})) {
        out.push_back(v * norm);
      }
    }
    return out;
  };
  problem.twins.push_back({"recursion", [recursive, result] { return result(recursive()); }});
  problem.trace = [c, x, norm](std::size_t, std::size_t element) {
    // Only the butterflies that lead to the element: at each stage its pair.
    const std::size_t block = element / c.chunk * c.chunk, at = element % c.chunk;
    std::vector<float> v(x->begin() + static_cast<std::ptrdiff_t>(block),
                         x->begin() + static_cast<std::ptrdiff_t>(block + c.chunk));
    std::vector<Step> steps{step("x", v[at])};
    for (std::size_t stride = 1; stride < c.chunk; stride *= 2) {
      std::vector<float> next(v.size());
      for (std::size_t i = 0; i < v.size(); ++i) {
        next[i] = (i & stride) == 0 ? v[i] + v[i + stride] : v[i - stride] - v[i];
      }
      v = std::move(next);
      steps.push_back(step("stage of stride " + std::to_string(stride), v[at]));
    }
    steps.push_back(step("times 1 / sqrt(n)", v[at] * norm));
    return steps;
  };
  return problem;
}

/// The m largest of each of n rows of k elements.
Problem selection(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<std::vector<float>>(draw(random, c.shape.n * c.shape.k, c.values));
  const std::size_t count = std::min(c.shape.m, c.shape.k);
  const auto row = [c, x](std::size_t n) {
    return std::span<const float>(*x).subspan(n * c.shape.k, c.shape.k);
  };
  const auto result = [c, count](const std::vector<std::uint32_t>& index) {
    return Arrays{array_of("index", {c.shape.n, count}, std::span<const std::uint32_t>(index))};
  };
  Problem problem;
  problem.operands = [c, x] {
    return Arrays{array_of("x", {c.shape.n, c.shape.k}, std::span<const float>(*x))};
  };
  problem.reference = [c, row, count, result] {
    std::vector<std::uint32_t> index;
    for (std::size_t n = 0; n < c.shape.n; ++n) {
      const auto best = top_k(row(n), count);
      index.insert(index.end(), best.begin(), best.end());
    }
    return result(index);
  };
  const auto sorted = [c, row](std::size_t n) {
    std::vector<std::uint32_t> order(c.shape.k);
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(
        order.begin(), order.end(),
        [values = row(n)](std::uint32_t a, std::uint32_t b) { return values[a] > values[b]; });
    return order;
  };
  problem.twins.push_back({"stable sort", [c, sorted, count, result] {
                             std::vector<std::uint32_t> index;
                             for (std::size_t n = 0; n < c.shape.n; ++n) {
                               const auto order = sorted(n);
                               index.insert(index.end(), order.begin(),
                                            order.begin() + static_cast<std::ptrdiff_t>(count));
                             }
                             return result(index);
                           }});
  problem.trace = [row, sorted, count](std::size_t, std::size_t element) {
    std::vector<Step> steps;
    const std::size_t n = element / count;
    const auto order = sorted(n);
    for (std::size_t rank = 0; rank <= element % count; ++rank) {
      steps.push_back(step("rank " + std::to_string(rank) + ": " + text_of(row(n)[order[rank]]),
                           static_cast<std::int32_t>(order[rank])));
    }
    return steps;
  };
  return problem;
}

/// m queries of k elements against n codewords: scores, and the nearest.
Problem codebook_search(const KernelCase& c) {
  struct Operands {
    std::vector<float> queries, codebook;
  };
  Stream random(c.seed);
  auto o = std::make_shared<Operands>();
  o->queries = draw(random, c.shape.m * c.shape.k, c.values);
  o->codebook = draw(random, c.shape.n * c.shape.k, c.values);
  const auto result = [c](const std::vector<float>& scores,
                          const std::vector<std::uint32_t>& nearest) {
    return Arrays{array_of("scores", {c.shape.m, c.shape.n}, std::span<const float>(scores)),
                  array_of("nearest", {c.shape.m}, std::span<const std::uint32_t>(nearest))};
  };
  const auto distance = [c, o](std::size_t m, std::size_t n) {
    float sum = 0.0f;
    for (std::size_t k = 0; k < c.shape.k; ++k) {
      const float d = o->queries[m * c.shape.k + k] - o->codebook[n * c.shape.k + k];
      sum += d * d;
    }
    return sum;
  };
  const auto nearest_again = [c, distance](std::size_t m) {
    std::vector<float> distances;
    for (std::size_t n = 0; n < c.shape.n; ++n) distances.push_back(distance(m, n));
    return static_cast<std::uint32_t>(std::ranges::min_element(distances) - distances.begin());
  };
  Problem problem;
  problem.operands = [c, o] {
    return Arrays{
        array_of("queries", {c.shape.m, c.shape.k}, std::span<const float>(o->queries)),
        array_of("codebook", {c.shape.n, c.shape.k}, std::span<const float>(o->codebook))};
  };
  problem.reference = [c, o, result] {
    std::vector<float> scores;
    std::vector<std::uint32_t> nearest;
    for (std::size_t m = 0; m < c.shape.m; ++m) {
      const auto query = std::span<const float>(o->queries).subspan(m * c.shape.k, c.shape.k);
      const auto row = codeword_scores(query, o->codebook);
      scores.insert(scores.end(), row.begin(), row.end());
      nearest.push_back(nearest_codeword(query, o->codebook));
    }
    return result(scores, nearest);
  };
  add_paths(problem, c, [c, o, result, nearest_again](Path path, unsigned threads) {
    std::vector<float> scores(c.shape.m * c.shape.n);
    std::vector<std::uint32_t> nearest;
    gemm_fp32(o->queries, PackedFloatWeights(o->codebook, c.shape.n, c.shape.k, Format::fp32, path),
              c.shape.m, scores, threads);
    for (std::size_t m = 0; m < c.shape.m; ++m) nearest.push_back(nearest_again(m));
    return result(scores, nearest);
  });
  problem.trace = [c, o, distance, nearest_again](std::size_t which, std::size_t element) {
    std::vector<Step> steps;
    if (which == 1) {
      for (std::size_t n = 0; n < c.shape.n; ++n) {
        steps.push_back(
            step("squared distance to codeword " + std::to_string(n), distance(element, n)));
      }
      steps.push_back(step("nearest", static_cast<std::int32_t>(nearest_again(element))));
      return steps;
    }
    const std::size_t m = element / c.shape.n, n = element % c.shape.n;
    float acc = 0.0f;
    for (std::size_t k = 0; k < c.shape.k; ++k) {
      acc = std::fma(o->queries[m * c.shape.k + k], o->codebook[n * c.shape.k + k], acc);
      steps.push_back(step("k " + std::to_string(k) + ": acc = fma(query, codeword, acc)", acc));
    }
    return steps;
  };
  return problem;
}

}  // namespace systole::quant::golden
