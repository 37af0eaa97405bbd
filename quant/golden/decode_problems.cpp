// Golden kernels of a decode step: float activations against weights or keys that are dequantised
// on the fly, from codes, tables, bit planes, or codes beside kept outliers.
#include <algorithm>
#include <cmath>

#include "quant/coded_matrix.hpp"
#include "quant/golden/problems.hpp"
#include "quant/kernels/any_precision_gemv.hpp"
#include "quant/kernels/dense_sparse_gemm.hpp"
#include "quant/kernels/gemv_dequantise.hpp"
#include "quant/kernels/packed_gemm.hpp"

namespace systole::quant::golden {

namespace {

Array matrix_of(std::string name, std::size_t rows, std::size_t cols, std::span<const float> x) {
  return array_of(std::move(name), {rows, cols}, x);
}

/// One output of gemm_fp32, each step told to `record`.
float dot(std::span<const float> a, std::span<const float> w, const Recorder& record) {
  float acc = 0.0f;
  for (std::size_t k = 0; k < a.size(); ++k) {
    acc = std::fma(a[k], w[k], acc);
    record(
        [&] {
          return "k " + std::to_string(k) + ": acc = fma(" + text_of(a[k]) + ", " + text_of(w[k]) +
                 ", acc)";
        },
        acc);
  }
  return acc;
}

std::span<const float> row_of(const std::vector<float>& x, std::size_t row, std::size_t cols) {
  return std::span(x).subspan(row * cols, cols);
}

/// Sets the trace of a product [m, k] by [n, k] whose weight has been decoded, and as twins the
/// packed fp32 product of it.
void add_decoded(Problem& problem, const KernelCase& c, std::shared_ptr<const std::vector<float>> a,
                 const std::function<std::vector<float>()>& decoded) {
  add_paths(problem, c, [c, a, decoded](Path path, unsigned threads) {
    std::vector<float> out(c.shape.m * c.shape.n);
    gemm_fp32(*a, PackedFloatWeights(decoded(), c.shape.n, c.shape.k, Format::fp32, path),
              c.shape.m, out, threads);
    return out_of(c, out);
  });
  problem.trace = [c, a, decoded](std::size_t, std::size_t element) {
    std::vector<Step> steps;
    dot(row_of(*a, element / c.shape.n, c.shape.k),
        row_of(decoded(), element % c.shape.n, c.shape.k), Recorder{&steps});
    return steps;
  };
}

/// Values of a matrix in a table format by look-up: the entries as a group with scale 1 and no
/// offset decodes to, or the matrix's own table.
std::vector<float> looked_up(const CodedMatrix& w) {
  std::vector<float> entries = w.table;
  if (entries.empty()) {
    CodedMatrix table = w;
    table.rows = table.groups = 1;
    table.scales = {1.0f};
    table.codes.clear();
    for (unsigned code = 0; code < 1u << bits_of(w.spec.format); ++code) {
      table.codes.push_back(static_cast<std::uint16_t>(code));
    }
    table.cols = table.group = table.codes.size();
    entries = decode(table);
  }
  std::vector<float> values;
  for (std::size_t i = 0; i < w.codes.size(); ++i) {
    const std::size_t box = i / w.cols * w.groups + i % w.cols / w.group;
    const float entry = entries[w.codes[i]];
    values.push_back(w.zeros.empty() ? entry * w.scales[box]
                                     : std::fma(entry, w.scales[box], w.zeros[box]));
  }
  return values;
}

CodedMatrix encode_table(std::span<const float> values, const KernelCase& c) {
  // Not evenly spaced, no entry 0: what a calibration gives.
  static const std::vector<float> entries = {-1.0f,  -0.71f, -0.52f, -0.4f, -0.29f, -0.19f,
                                             -0.11f, -0.02f, 0.07f,  0.15f, 0.23f,  0.34f,
                                             0.45f,  0.58f,  0.74f,  1.0f};
  const bool lut = c.weight.format == Format::lut;
  return encode(values, c.shape.n, c.shape.k, c.weight,
                lut ? std::span<const float>(entries) : std::span<const float>());
}

Arrays table_arrays(const CodedMatrix& w) {
  Arrays arrays{array_of("w_codes", {w.rows, w.cols}, std::span<const std::uint16_t>(w.codes)),
                array_of("w_scales", {w.rows, w.groups}, std::span<const float>(w.scales))};
  if (!w.zeros.empty()) arrays.push_back(matrix_of("w_offsets", w.rows, w.groups, w.zeros));
  if (!w.table.empty()) arrays.push_back(matrix_of("w_table", 1, w.table.size(), w.table));
  return arrays;
}

/// Magnitudes above this are kept out of the dense matrix: one in twenty of the usual values.
constexpr float kKept = 2.0f;

/// The kept outliers as a matrix with +0 elsewhere.
std::vector<float> kept(const std::vector<float>& weight) {
  std::vector<float> values = weight;
  for (float& v : values) {
    if (!(std::fabs(v) > kKept)) v = 0.0f;
  }
  return values;
}

/// Any dense part: `reference` against a packed product of `decoded` and the outliers after it.
Problem dense_sparse_problem(const KernelCase& c, std::shared_ptr<const std::vector<float>> a,
                             std::shared_ptr<const std::vector<float>> weight,
                             const std::function<std::vector<float>()>& decoded) {
  Problem problem;
  const auto add_kept = [c, a, outliers = kept(*weight)](float acc, std::size_t m, std::size_t n,
                                                         const Recorder& record) {
    for (std::size_t k = 0; k < c.shape.k; ++k) {
      const float value = outliers[n * c.shape.k + k];
      if (value == 0.0f) continue;
      acc = std::fma(value, (*a)[m * c.shape.k + k], acc);
      record([&] { return "outlier at k " + std::to_string(k) + ": acc = fma(w, a, acc)"; }, acc);
    }
    return acc;
  };
  add_paths(problem, c, [c, a, decoded, add_kept](Path path, unsigned threads) {
    std::vector<float> out(c.shape.m * c.shape.n);
    gemm_fp32(*a, PackedFloatWeights(decoded(), c.shape.n, c.shape.k, Format::fp32, path),
              c.shape.m, out, threads);
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = add_kept(out[i], i / c.shape.n, i % c.shape.n, Recorder{});
    }
    return out_of(c, out);
  });
  problem.trace = [c, a, decoded, add_kept](std::size_t, std::size_t element) {
    const std::size_t m = element / c.shape.n, n = element % c.shape.n;
    std::vector<Step> steps;
    const float dense =
        dot(row_of(*a, m, c.shape.k), row_of(decoded(), n, c.shape.k), Recorder{&steps});
    add_kept(dense, m, n, Recorder{&steps});
    return steps;
  };
  return problem;
}

void append(Arrays& to, Arrays from) {
  for (Array& array : from) to.push_back(std::move(array));
}

struct DenseSparseOperands {
  std::shared_ptr<std::vector<float>> a, weight;
  DenseSparse parts;
};

DenseSparseOperands draw_dense_sparse(const KernelCase& c) {
  Stream random(c.seed);
  DenseSparseOperands o;
  o.a = std::make_shared<std::vector<float>>(draw(random, c.shape.m * c.shape.k, c.values));
  o.weight = std::make_shared<std::vector<float>>(draw(random, c.shape.n * c.shape.k, c.values));
  o.parts = split_outliers(*o.weight, c.shape.n, c.shape.k, kKept);
  return o;
}

}  // namespace

Problem table_product(const KernelCase& c) {
  Stream random(c.seed);
  auto a = std::make_shared<std::vector<float>>(draw(random, c.shape.m * c.shape.k, c.values));
  auto w =
      std::make_shared<CodedMatrix>(encode_table(draw(random, c.shape.n * c.shape.k, c.values), c));
  Problem problem;
  problem.operands = [c, a, w] {
    Arrays arrays{matrix_of("a", c.shape.m, c.shape.k, *a)};
    append(arrays, table_arrays(*w));
    return arrays;
  };
  problem.reference = [c, a, w] {
    std::vector<float> out(c.shape.m * c.shape.n);
    gemm_fp32(*a, decode(*w), c.shape, out);
    return out_of(c, out);
  };
  add_decoded(problem, c, a, [w] { return looked_up(*w); });
  return problem;
}

Problem dense_sparse_product(const KernelCase& c) {
  const DenseSparseOperands o = draw_dense_sparse(c);
  auto w =
      std::make_shared<QuantizedMatrix>(quantise(o.parts.dense, c.shape.n, c.shape.k, c.weight));
  Problem problem = dense_sparse_problem(c, o.a, o.weight, [w] { return dequantise(*w); });
  problem.operands = [c, o, w] {
    Arrays arrays{matrix_of("a", c.shape.m, c.shape.k, *o.a)};
    append(arrays, arrays_of("w", *w));
    arrays.push_back(matrix_of("w_outliers", c.shape.n, c.shape.k, kept(*o.weight)));
    return arrays;
  };
  problem.reference = [c, o, w] {
    std::vector<float> out(c.shape.m * c.shape.n);
    dense_sparse_gemm(*o.a, *w, o.parts.sparse, out);
    return out_of(c, out);
  };
  return problem;
}

Problem dense_sparse_table_product(const KernelCase& c) {
  const DenseSparseOperands o = draw_dense_sparse(c);
  auto w = std::make_shared<CodedMatrix>(encode_table(o.parts.dense, c));
  Problem problem = dense_sparse_problem(c, o.a, o.weight, [w] { return looked_up(*w); });
  problem.operands = [c, o, w] {
    Arrays arrays{matrix_of("a", c.shape.m, c.shape.k, *o.a)};
    append(arrays, table_arrays(*w));
    arrays.push_back(matrix_of("w_outliers", c.shape.n, c.shape.k, kept(*o.weight)));
    return arrays;
  };
  problem.reference = [c, o, w] {
    std::vector<float> out(c.shape.m * c.shape.n);
    dense_sparse_gemm(*o.a, *w, o.parts.sparse, out);
    return out_of(c, out);
  };
  return problem;
}

/// 8 planes stored, those of the weight's format read.
Problem any_precision_product(const KernelCase& c) {
  struct Operands {
    std::vector<std::uint8_t> codes;
    PlaneNested planes;
  };
  constexpr unsigned kStored = 8;
  const unsigned bits = bits_of(c.weight.format);
  Stream random(c.seed);
  auto x = std::make_shared<std::vector<float>>(draw(random, c.shape.m * c.shape.k, c.values));
  auto o = std::make_shared<Operands>();
  for (std::size_t i = 0; i < c.shape.n * c.shape.k; ++i) {
    o->codes.push_back(static_cast<std::uint8_t>(random.below(256)));
  }
  o->planes = nest_planes(o->codes, c.shape.n, c.shape.k, kStored);
  o->planes.luts[bits] = draw(random, c.shape.n << bits, c.values);
  Problem problem;
  problem.operands = [c, x, o, bits] {
    return Arrays{
        matrix_of("x", c.shape.m, c.shape.k, *x),
        array_of("w_codes", {c.shape.n, c.shape.k}, std::span<const std::uint8_t>(o->codes)),
        matrix_of("w_table", c.shape.n, std::size_t{1} << bits, o->planes.luts[bits])};
  };
  problem.reference = [c, x, o, bits] {
    std::vector<float> out(c.shape.m * c.shape.n);
    for (std::size_t m = 0; m < c.shape.m; ++m) {
      any_precision_gemv(o->planes, bits, row_of(*x, m, c.shape.k),
                         std::span(out).subspan(m * c.shape.n, c.shape.n));
    }
    return out_of(c, out);
  };
  add_decoded(problem, c, x, [c, o, bits] {
    std::vector<float> w;
    for (std::size_t i = 0; i < o->codes.size(); ++i) {
      const std::size_t entry = o->codes[i] >> (kStored - bits);
      w.push_back(o->planes.luts[bits][(i / c.shape.k << bits) + entry]);
    }
    return w;
  });
  return problem;
}

namespace {

struct FoldedOperands {
  std::vector<float> x;
  QuantizedMatrix w;
};

/// What joins a group's sums to acc.
float fold(const QuantizedMatrix& w, std::size_t n, std::size_t g, float sum, float xsum,
           float acc) {
  const float s = w.scale(n, g), z = w.zero(n, g);
  acc = std::fma(sum, s, acc);
  if (w.spec.affine == Affine::symmetric) return acc;
  return std::fma(xsum, w.spec.affine == Affine::float_min ? z : -(z * s), acc);
}

/// Each group a packed product of x with the codes and, for the sum of x, with ones.
std::vector<float> folded_by_products(const FoldedOperands& o, std::size_t rows, Path path,
                                      unsigned threads) {
  const QuantizedMatrix& w = o.w;
  std::vector<float> out(rows * w.rows);
  for (std::size_t g = 0; g < w.groups; ++g) {
    std::vector<float> x, codes, sums(rows * (w.rows + 1));
    for (std::size_t m = 0; m < rows; ++m) {
      const auto part = row_of(o.x, m, w.cols).subspan(g * w.group, w.group);
      x.insert(x.end(), part.begin(), part.end());
    }
    for (std::size_t i = 0; i < w.rows * w.group; ++i) {
      codes.push_back(static_cast<float>(w.code(i / w.group, g * w.group + i % w.group)));
    }
    codes.insert(codes.end(), w.group, 1.0f);
    gemm_fp32(x, PackedFloatWeights(codes, w.rows + 1, w.group, Format::fp32, path), rows, sums,
              threads);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const float* row = sums.data() + i / w.rows * (w.rows + 1);
      out[i] = fold(w, i % w.rows, g, row[i % w.rows], row[w.rows], out[i]);
    }
  }
  return out;
}

std::vector<Step> trace_folded(const FoldedOperands& o, std::size_t element) {
  const std::size_t m = element / o.w.rows, n = element % o.w.rows;
  std::vector<Step> steps;
  float acc = 0.0f;
  for (std::size_t g = 0; g < o.w.groups; ++g) {
    float sum = 0.0f, xsum = 0.0f;
    for (std::size_t k = g * o.w.group; k < (g + 1) * o.w.group; ++k) {
      const float x = o.x[m * o.w.cols + k];
      sum = std::fma(x, static_cast<float>(o.w.code(n, k)), sum);
      xsum += x;
      steps.push_back(step("k " + std::to_string(k) + ": dot = fma(" + text_of(x) + ", " +
                               std::to_string(o.w.code(n, k)) + ", dot)",
                           sum));
    }
    acc = fold(o.w, n, g, sum, xsum, acc);
    steps.push_back(step("group " + std::to_string(g) + ": acc with dot and the sum of x", acc));
  }
  return steps;
}

}  // namespace

Problem folded_gemv(const KernelCase& c) {
  Stream random(c.seed);
  auto o = std::make_shared<FoldedOperands>();
  o->x = draw(random, c.shape.m * c.shape.k, c.values);
  o->w = quantise(draw(random, c.shape.n * c.shape.k, c.values), c.shape.n, c.shape.k, c.weight);
  Problem problem;
  problem.operands = [c, o] {
    Arrays arrays{matrix_of("x", c.shape.m, c.shape.k, o->x)};
    append(arrays, arrays_of("w", o->w));
    return arrays;
  };
  problem.reference = [c, o] {
    std::vector<float> out(c.shape.m * c.shape.n);
    for (std::size_t m = 0; m < c.shape.m; ++m) {
      gemv_folded(o->w, row_of(o->x, m, c.shape.k),
                  std::span(out).subspan(m * c.shape.n, c.shape.n));
    }
    return out_of(c, out);
  };
  add_paths(problem, c, [c, o](Path path, unsigned threads) {
    return out_of(c, folded_by_products(*o, c.shape.m, path, threads));
  });
  problem.trace = [o](std::size_t, std::size_t element) { return trace_folded(*o, element); };
  return problem;
}

namespace {

struct KeyOperands {
  std::vector<float> queries;
  ChannelGroups keys;
};

/// n tokens of k channels in groups of c.chunk tokens, 4 bits, and m queries.
std::shared_ptr<KeyOperands> draw_keys(const KernelCase& c) {
  Stream random(c.seed);
  auto o = std::make_shared<KeyOperands>();
  o->queries = draw(random, c.shape.m * c.shape.k, c.values);
  const std::vector<float> x = draw(random, c.shape.n * c.shape.k, c.values);
  ChannelGroups& keys = o->keys;
  keys.tokens = c.shape.n;
  keys.channels = c.shape.k;
  keys.group = c.chunk;
  keys.codes.resize(x.size());
  for (std::size_t begin = 0; begin < keys.tokens; begin += keys.group) {
    const std::size_t end = std::min(begin + keys.group, keys.tokens);
    for (std::size_t channel = 0; channel < keys.channels; ++channel) {
      float low = x[begin * keys.channels + channel], high = low;
      for (std::size_t t = begin; t < end; ++t) {
        low = std::min(low, x[t * keys.channels + channel]);
        high = std::max(high, x[t * keys.channels + channel]);
      }
      const float scale = (high - low) / 15.0f;
      keys.scales.push_back(scale);
      keys.minima.push_back(low);
      for (std::size_t t = begin; t < end && scale > 0.0f; ++t) {
        const float code = std::nearbyint((x[t * keys.channels + channel] - low) / scale);
        keys.codes[t * keys.channels + channel] =
            static_cast<std::uint8_t>(std::clamp(code, 0.0f, 15.0f));
      }
    }
  }
  return o;
}

Problem key_problem(const KernelCase& c, const std::shared_ptr<KeyOperands>& o,
                    void (*scores)(const ChannelGroups&, std::span<const float>,
                                   std::span<float>)) {
  Problem problem;
  problem.operands = [c, o] {
    const std::size_t groups = o->keys.scales.size() / c.shape.k;
    return Arrays{
        matrix_of("queries", c.shape.m, c.shape.k, o->queries),
        array_of("key_codes", {c.shape.n, c.shape.k}, std::span<const std::uint8_t>(o->keys.codes)),
        matrix_of("key_scales", groups, c.shape.k, o->keys.scales),
        matrix_of("key_minima", groups, c.shape.k, o->keys.minima)};
  };
  problem.reference = [c, o, scores] {
    std::vector<float> out(c.shape.m * c.shape.n);
    for (std::size_t m = 0; m < c.shape.m; ++m) {
      scores(o->keys, row_of(o->queries, m, c.shape.k),
             std::span(out).subspan(m * c.shape.n, c.shape.n));
    }
    return out_of(c, out);
  };
  return problem;
}

}  // namespace

Problem channel_score_product(const KernelCase& c) {
  const auto o = draw_keys(c);
  Problem problem = key_problem(c, o, channel_scores);
  const auto queries = std::make_shared<const std::vector<float>>(o->queries);
  add_decoded(problem, c, queries, [c, o] {
    std::vector<float> keys;
    for (std::size_t i = 0; i < o->keys.codes.size(); ++i) {
      const std::size_t p = i / c.shape.k / c.chunk * c.shape.k + i % c.shape.k;
      keys.push_back(
          std::fma(static_cast<float>(o->keys.codes[i]), o->keys.scales[p], o->keys.minima[p]));
    }
    return keys;
  });
  return problem;
}

Problem folded_channel_score_product(const KernelCase& c) {
  const auto o = draw_keys(c);
  Problem problem = key_problem(c, o, channel_scores_folded);
  add_second_computation(
      problem, c, "second computation",
      [c, o](std::size_t m, std::size_t t, const Recorder& record) {
        const auto q = row_of(o->queries, m, c.shape.k);
        const auto scales = row_of(o->keys.scales, t / c.chunk, c.shape.k);
        float acc = dot(q, row_of(o->keys.minima, t / c.chunk, c.shape.k), record);
        for (std::size_t k = 0; k < c.shape.k; ++k) {
          const float folded = q[k] * scales[k];
          acc = std::fma(folded, static_cast<float>(o->keys.codes[t * c.shape.k + k]), acc);
          record(
              [&] {
                return "channel " + std::to_string(k) + ": acc = fma(q * s = " + text_of(folded) +
                       ", code, acc)";
              },
              acc);
        }
        return acc;
      });
  return problem;
}

}  // namespace systole::quant::golden
