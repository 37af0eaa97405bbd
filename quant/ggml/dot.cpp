#include "quant/ggml/dot.hpp"

#include <array>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "quant/check.hpp"
#include "quant/ggml/rows.hpp"
#include "quant/ggml/unpack.hpp"

namespace systole::quant {

namespace {

using ggml::Codes256;
using ggml::SubScales;

/// A weight row and its integers, unpacked once for all activation rows.
template <class W>
struct Row {
  using Integers = std::remove_cvref_t<decltype(ggml::integers_of(std::declval<const W&>()))>;
  std::span<const W> blocks;
  std::vector<Integers> integers;

  explicit Row(std::span<const W> w) : blocks(w) {
    integers.reserve(w.size());
    for (const W& block : w) integers.push_back(ggml::integers_of(block));
  }
};

template <class W, class A>
void require_same_length(const Row<W>& w, std::span<const A> a) {
  require(w.blocks.size() * W::kElements == a.size() * A::kElements,
          "a dot product needs rows of the same length");
}

std::int32_t integer_sum(const std::int8_t* w, const std::int8_t* a, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += w[i] * a[i];
  return sum;
}

/// `term(block, activations, integer sum)` of each block, added up.
template <class W, class A, class Term>
float sum_of_blocks(const Row<W>& w, std::span<const A> a, Term term) {
  static_assert(W::kElements == A::kElements);
  require_same_length(w, a);
  float sum = 0.0f;
  for (std::size_t b = 0; b < a.size(); ++b) {
    const std::int32_t isum = integer_sum(w.integers[b].data(), a[b].quants.data(), W::kElements);
    sum += term(w.blocks[b], a[b], static_cast<float>(isum));
  }
  return sum;
}

template <class W, class A>
float affine_term(const W& w, const A& a, float isum) {
  return w.d.decode() * a.d.decode() * isum + w.m.decode() * a.sum.decode();
}

/// Sum of min * (sum of the activations of its sub-block).
template <std::size_t S>
float min_sum(const std::array<int, S>& min, const BlockQ8_K& a) {
  int sum = 0;
  for (std::size_t i = 0; i < 16; ++i) sum += a.sums[i] * min[i * S / 16];
  return static_cast<float>(sum);
}

struct Lanes {
  std::array<float, 8> sum{};
};

/// One block of the formats that ggml sums in eight lanes.
template <std::size_t S>
void add_lanes(Lanes& lanes, float d, const Codes256& w, const std::array<int, S>& scale,
               const BlockQ8_K& a) {
  constexpr std::size_t width = 256 / S;
  std::array<std::int32_t, 8> block{};
  for (std::size_t s = 0; s < S; ++s) {
    std::array<std::int32_t, 8> sub{};
    for (std::size_t i = s * width; i < (s + 1) * width; i += 8) {
      for (std::size_t l = 0; l < 8; ++l) sub[l] += w[i + l] * a.quants[i + l];
    }
    for (std::size_t l = 0; l < 8; ++l) block[l] += scale[s] * sub[l];
  }
  for (std::size_t l = 0; l < 8; ++l) lanes.sum[l] += d * static_cast<float>(block[l]);
}

float add_up(float sum, const Lanes& lanes) {
  for (const float lane : lanes.sum) sum += lane;
  return sum;
}

template <class W>
float symmetric_k_dot(const Row<W>& w, std::span<const BlockQ8_K> a) {
  require_same_length(w, a);
  Lanes lanes;
  for (std::size_t b = 0; b < w.blocks.size(); ++b) {
    add_lanes(lanes, w.blocks[b].d.decode() * a[b].d, w.integers[b], ggml::scales_of(w.blocks[b]),
              a[b]);
  }
  return add_up(0.0f, lanes);
}

template <class W>
float affine_k_dot(const Row<W>& w, std::span<const BlockQ8_K> a) {
  require_same_length(w, a);
  Lanes lanes;
  float sum = 0.0f;
  for (std::size_t b = 0; b < w.blocks.size(); ++b) {
    const SubScales<8> scales = ggml::scales_of(w.blocks[b]);
    add_lanes(lanes, w.blocks[b].d.decode() * a[b].d, w.integers[b], scales.scale, a[b]);
    sum -= w.blocks[b].dmin.decode() * a[b].d * min_sum(scales.min, a[b]);
  }
  return add_up(sum, lanes);
}

float product(const Row<BlockQ4_0>& w, std::span<const BlockQ8_0> a) {
  return sum_of_blocks(w, a, [](const BlockQ4_0& wb, const BlockQ8_0& ab, float isum) {
    return isum * wb.d.decode() * ab.d.decode();
  });
}

float product(const Row<BlockQ4_1>& w, std::span<const BlockQ8_1> a) {
  return sum_of_blocks(w, a, affine_term<BlockQ4_1, BlockQ8_1>);
}

float product(const Row<BlockQ5_0>& w, std::span<const BlockQ8_0> a) {
  return sum_of_blocks(w, a, [](const BlockQ5_0& wb, const BlockQ8_0& ab, float isum) {
    return wb.d.decode() * ab.d.decode() * isum;
  });
}

float product(const Row<BlockQ5_1>& w, std::span<const BlockQ8_1> a) {
  return sum_of_blocks(w, a, affine_term<BlockQ5_1, BlockQ8_1>);
}

float product(const Row<BlockQ8_0>& w, std::span<const BlockQ8_0> a) {
  return sum_of_blocks(w, a, [](const BlockQ8_0& wb, const BlockQ8_0& ab, float isum) {
    return isum * (wb.d.decode() * ab.d.decode());
  });
}

float product(const Row<BlockQ2_K>& w, std::span<const BlockQ8_K> a) {
  require_same_length(w, a);
  float sum = 0.0f;
  for (std::size_t b = 0; b < w.blocks.size(); ++b) {
    const SubScales<16> scales = ggml::scales_of(w.blocks[b]);
    const Codes256& q = w.integers[b];
    int isum = 0;
    for (std::size_t s = 0; s < 16; ++s) {
      isum += scales.scale[s] * integer_sum(q.data() + 16 * s, a[b].quants.data() + 16 * s, 16);
    }
    const float d = a[b].d * w.blocks[b].d.decode();
    const float dmin = a[b].d * w.blocks[b].dmin.decode();
    sum += d * static_cast<float>(isum) - dmin * min_sum(scales.min, a[b]);
  }
  return sum;
}

float product(const Row<BlockQ3_K>& w, std::span<const BlockQ8_K> a) {
  return symmetric_k_dot(w, a);
}
float product(const Row<BlockQ4_K>& w, std::span<const BlockQ8_K> a) { return affine_k_dot(w, a); }
float product(const Row<BlockQ5_K>& w, std::span<const BlockQ8_K> a) { return affine_k_dot(w, a); }
float product(const Row<BlockQ6_K>& w, std::span<const BlockQ8_K> a) {
  return symmetric_k_dot(w, a);
}

float product(const Row<BlockIQ4_NL>& w, std::span<const BlockQ8_0> a) {
  return sum_of_blocks(w, a, [](const BlockIQ4_NL& wb, const BlockQ8_0& ab, float isum) {
    return ab.d.decode() * wb.d.decode() * isum;
  });
}

float product(const Row<BlockIQ4_XS>& w, std::span<const BlockQ8_K> a) {
  require_same_length(w, a);
  float sum = 0.0f;
  for (std::size_t b = 0; b < w.blocks.size(); ++b) {
    const Codes256& q = w.integers[b];
    const std::array<int, 8> scales = ggml::scales_of(w.blocks[b]);
    const float d = w.blocks[b].d.decode() * a[b].d;
    for (std::size_t s = 0; s < 8; ++s) {
      const std::int32_t isum = integer_sum(q.data() + 32 * s, a[b].quants.data() + 32 * s, 32);
      sum += d * static_cast<float>(scales[s]) * static_cast<float>(isum);
    }
  }
  return sum;
}

float product(const Row<BlockTQ1_0>& w, std::span<const BlockQ8_K> a) {
  return sum_of_blocks(w, a, [](const BlockTQ1_0& wb, const BlockQ8_K& ab, float isum) {
    return isum * (wb.d.decode() * ab.d);
  });
}
float product(const Row<BlockTQ2_0>& w, std::span<const BlockQ8_K> a) {
  return sum_of_blocks(w, a, [](const BlockTQ2_0& wb, const BlockQ8_K& ab, float isum) {
    return isum * (wb.d.decode() * ab.d);
  });
}

float product(const Row<BlockMXFP4>& w, std::span<const BlockQ8_0> a) {
  return sum_of_blocks(w, a, [](const BlockMXFP4& wb, const BlockQ8_0& ab, float isum) {
    return ab.d.decode() * decode_e8m0_half(wb.e) * isum;
  });
}

float product(const Row<BlockNVFP4>& w, std::span<const BlockQ8_0> a) {
  require_same_length(w, a);
  float sum = 0.0f;
  for (std::size_t b = 0; b < w.blocks.size(); ++b) {
    const ggml::Codes64& q = w.integers[b];
    for (std::size_t s = 0; s < 4; ++s) {
      const BlockQ8_0& half = a[2 * b + s / 2];
      const std::int32_t isum =
          integer_sum(q.data() + 16 * s, half.quants.data() + 16 * (s % 2), 16);
      sum += half.d.decode() * decode_ue4m3_half(w.blocks[b].scales[s]) * static_cast<float>(isum);
    }
  }
  return sum;
}

}  // namespace

float dot_q4_0_q8_0(std::span<const BlockQ4_0> w, std::span<const BlockQ8_0> a) {
  return product(Row(w), a);
}
float dot_q4_1_q8_1(std::span<const BlockQ4_1> w, std::span<const BlockQ8_1> a) {
  return product(Row(w), a);
}
float dot_q5_0_q8_0(std::span<const BlockQ5_0> w, std::span<const BlockQ8_0> a) {
  return product(Row(w), a);
}
float dot_q5_1_q8_1(std::span<const BlockQ5_1> w, std::span<const BlockQ8_1> a) {
  return product(Row(w), a);
}
float dot_q8_0_q8_0(std::span<const BlockQ8_0> w, std::span<const BlockQ8_0> a) {
  return product(Row(w), a);
}
float dot_q2_k_q8_k(std::span<const BlockQ2_K> w, std::span<const BlockQ8_K> a) {
  return product(Row(w), a);
}
float dot_q3_k_q8_k(std::span<const BlockQ3_K> w, std::span<const BlockQ8_K> a) {
  return product(Row(w), a);
}
float dot_q4_k_q8_k(std::span<const BlockQ4_K> w, std::span<const BlockQ8_K> a) {
  return product(Row(w), a);
}
float dot_q5_k_q8_k(std::span<const BlockQ5_K> w, std::span<const BlockQ8_K> a) {
  return product(Row(w), a);
}
float dot_q6_k_q8_k(std::span<const BlockQ6_K> w, std::span<const BlockQ8_K> a) {
  return product(Row(w), a);
}
float dot_iq4_nl_q8_0(std::span<const BlockIQ4_NL> w, std::span<const BlockQ8_0> a) {
  return product(Row(w), a);
}
float dot_iq4_xs_q8_k(std::span<const BlockIQ4_XS> w, std::span<const BlockQ8_K> a) {
  return product(Row(w), a);
}
float dot_tq1_0_q8_k(std::span<const BlockTQ1_0> w, std::span<const BlockQ8_K> a) {
  return product(Row(w), a);
}
float dot_tq2_0_q8_k(std::span<const BlockTQ2_0> w, std::span<const BlockQ8_K> a) {
  return product(Row(w), a);
}
float dot_mxfp4_q8_0(std::span<const BlockMXFP4> w, std::span<const BlockQ8_0> a) {
  return product(Row(w), a);
}
float dot_nvfp4_q8_0(std::span<const BlockNVFP4> w, std::span<const BlockQ8_0> a) {
  return product(Row(w), a);
}

namespace {

template <class Block>
std::vector<Block> as_blocks(std::span<const std::uint8_t> bytes) {
  std::vector<Block> blocks(bytes.size() / sizeof(Block));
  if (!blocks.empty()) std::memcpy(blocks.data(), bytes.data(), bytes.size());
  return blocks;
}

/// Row products of `n` weight rows and every activation row.
template <class W, class A>
void gemm_of(GgmlType activation, std::span<const std::uint8_t> bytes, std::size_t n, std::size_t k,
             std::span<const float> activations, std::span<float> out) {
  const std::vector<A> rows = as_blocks<A>(encode_rows(activation, activations));
  const std::size_t w_blocks = k / W::kElements;
  const std::size_t a_blocks = k / A::kElements;
  for (std::size_t row = 0; row < n; ++row) {
    const std::vector<W> blocks =
        as_blocks<W>(bytes.subspan(row * w_blocks * sizeof(W), w_blocks * sizeof(W)));
    const Row<W> w{std::span<const W>(blocks)};
    for (std::size_t m = 0; m < rows.size() / a_blocks; ++m) {
      out[m * n + row] = product(w, std::span<const A>(rows).subspan(m * a_blocks, a_blocks));
    }
  }
}

}  // namespace

void ggml_gemm(GgmlType weight, std::span<const std::uint8_t> bytes, std::size_t n, std::size_t k,
               std::span<const float> activations, std::span<float> out) {
  const GgmlType activation = info_of(weight).activation;
  const std::size_t row_bytes = ggml_row_bytes(weight, k);
  require(k > 0 && activations.size() % k == 0, "activations are rows of k elements");
  require(bytes.size() % row_bytes == 0 && bytes.size() / row_bytes == n,
          "the weight is not n rows of k elements");
  const std::size_t m = activations.size() / k;
  require(n == 0 ? out.empty() : out.size() % n == 0 && out.size() / n == m,
          "the result is not m rows of n");
  const auto run = [&]<class W, class A>() {
    gemm_of<W, A>(activation, bytes, n, k, activations, out);
  };
  switch (weight) {
    case GgmlType::q4_0:
      return run.template operator()<BlockQ4_0, BlockQ8_0>();
    case GgmlType::q4_1:
      return run.template operator()<BlockQ4_1, BlockQ8_1>();
    case GgmlType::q5_0:
      return run.template operator()<BlockQ5_0, BlockQ8_0>();
    case GgmlType::q5_1:
      return run.template operator()<BlockQ5_1, BlockQ8_1>();
    case GgmlType::q8_0:
      return run.template operator()<BlockQ8_0, BlockQ8_0>();
    case GgmlType::q2_k:
      return run.template operator()<BlockQ2_K, BlockQ8_K>();
    case GgmlType::q3_k:
      return run.template operator()<BlockQ3_K, BlockQ8_K>();
    case GgmlType::q4_k:
      return run.template operator()<BlockQ4_K, BlockQ8_K>();
    case GgmlType::q5_k:
      return run.template operator()<BlockQ5_K, BlockQ8_K>();
    case GgmlType::q6_k:
      return run.template operator()<BlockQ6_K, BlockQ8_K>();
    case GgmlType::iq4_nl:
      return run.template operator()<BlockIQ4_NL, BlockQ8_0>();
    case GgmlType::iq4_xs:
      return run.template operator()<BlockIQ4_XS, BlockQ8_K>();
    case GgmlType::tq1_0:
      return run.template operator()<BlockTQ1_0, BlockQ8_K>();
    case GgmlType::tq2_0:
      return run.template operator()<BlockTQ2_0, BlockQ8_K>();
    case GgmlType::mxfp4:
      return run.template operator()<BlockMXFP4, BlockQ8_0>();
    case GgmlType::nvfp4:
      return run.template operator()<BlockNVFP4, BlockQ8_0>();
    case GgmlType::f32:
    case GgmlType::f16:
    case GgmlType::bf16:
    case GgmlType::q8_1:
    case GgmlType::q8_k:
      break;
  }
  require(false, "not a weight type with a quantised dot product");
}

void ggml_gemm(Format weight, std::span<const std::uint8_t> bytes, std::size_t n, std::size_t k,
               std::span<const float> activations, std::span<float> out) {
  const std::optional<GgmlType> type = ggml_type_of(weight);
  require(type.has_value(), "not a GGUF format");
  ggml_gemm(*type, bytes, n, k, activations, out);
}

}  // namespace systole::quant
