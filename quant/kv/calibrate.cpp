// The contract is in the header.
#include "quant/kv/calibrate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/kernels/vector.hpp"
#include "quant/primitives/codebook.hpp"
#include "quant/primitives/transform.hpp"

namespace systole::quant {
namespace {

constexpr std::size_t kMostTableSamples = std::size_t{1} << 18;
constexpr std::size_t kFarPosition = 2048;
constexpr double kMetricDamping = 1e-4;

std::vector<float> channel_absmax(std::span<const float> rows, std::size_t width) {
  std::vector<float> most(width, 0.0f);
  for (std::size_t i = 0; i < rows.size(); ++i)
    most[i % width] = std::max(most[i % width], std::fabs(rows[i]));
  return most;
}

void tie_pairs(std::span<float> x) {
  for (std::size_t i = 0; i + 1 < x.size(); i += 2) x[i] = x[i + 1] = std::max(x[i], x[i + 1]);
}

std::vector<float> diag_factors(const KvShape& shape, const Transform& t,
                                std::span<const float> rows, std::span<const float> queries) {
  const std::size_t width = shape.width(), dim = shape.head_dim;
  std::vector<float> factors = channel_absmax(rows, width);
  switch (t.factors) {
    case FactorRule::smooth_key:
    case FactorRule::smoothquant:
      if (t.rope_pair_tied) tie_pairs(factors);
      for (float& f : factors)
        f = f == 0.0f ? 1.0f : static_cast<float>(elementary::pow(static_cast<double>(f), t.alpha));
      return factors;
    case FactorRule::balance: {
      require(!queries.empty(), "kv: the balancer is calibrated with queries");
      const std::vector<float> query = channel_absmax(queries, shape.query_heads * dim);
      const std::size_t share = shape.query_heads / shape.kv_heads;
      for (std::size_t c = 0; c < width; ++c) {
        float most = 0.0f;
        for (std::size_t g = 0; g < share; ++g)
          most = std::max(most, query[(c / dim * share + g) * dim + c % dim]);
        factors[c] = factors[c] == 0.0f || most == 0.0f ? 1.0f : std::sqrt(most / factors[c]);
      }
      return factors;
    }
    case FactorRule::pair_max: {
      std::vector<float> most(width, 0.0f);
      for (std::size_t i = 0; i + 1 < rows.size(); i += 2) {
        const float m = std::sqrt(rows[i] * rows[i] + rows[i + 1] * rows[i + 1]);
        most[i % width] = most[i % width + 1] = std::max(most[i % width], m);
      }
      for (std::size_t c = 0; c < width; ++c)
        factors[c] = most[c] == 0.0f ? 1.0f : static_cast<float>(t.alpha) / most[c];
      return factors;
    }
    default:
      throw std::invalid_argument("kv: this rule of DIAG factors is not of a cache");
  }
}

std::vector<std::uint32_t> order_by_sum(std::span<const float> rows, std::size_t width) {
  std::vector<double> sums(width, 0.0);
  for (std::size_t i = 0; i < rows.size(); ++i) sums[i % width] += static_cast<double>(rows[i]);
  std::vector<std::uint32_t> order(width);
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return sums[a] < sums[b]; });
  return order;
}

/// A coder for the first transforms only, to bring samples where the next one finds them.
void apply_one(const KvPlan& plan, const Transform& t, const SideCalibration& found,
               std::span<float> rows) {
  KvPlan one;
  one.tensor = plan.tensor;
  one.shape = plan.shape;
  one.rule.format = Format::fp32;
  one.arrival = {t};
  SideCalibration own;
  own.diag = found.diag;
  own.order = found.order;
  own.rotation = found.rotation;
  const KvCoder coder(std::move(one), std::move(own));
  OpCounts ignored;
  for (std::size_t i = 0; i < rows.size(); i += plan.shape.width())
    coder.arrive(rows.subspan(i, plan.shape.width()), ignored);
}

std::vector<float> top_channel_factors(const KvShape& shape, std::size_t count,
                                       std::span<const float> rows) {
  const std::size_t dim = shape.head_dim;
  const std::vector<float> most = channel_absmax(rows, shape.width());
  std::vector<float> factors(shape.width(), 1.0f);
  for (std::size_t h = 0; h < shape.kv_heads; ++h) {
    const std::span<const float> head = std::span<const float>(most).subspan(h * dim, dim);
    std::vector<std::uint8_t> chosen(dim, 0);
    for (const std::uint32_t c : top_k(head, count)) chosen[c] = chosen[c ^ 1u] = 1;
    float beta = 0.0f;
    for (std::size_t c = 0; c < dim; ++c)
      if (chosen[c] == 0) beta = std::max(beta, head[c]);
    for (std::size_t c = 0; c < dim; ++c)
      if (chosen[c] != 0 && head[c] > 0.0f && beta > 0.0f) factors[h * dim + c] = beta / head[c];
  }
  return factors;
}

/// Ranges of static boxes, each channel with those of its box.
void find_ranges(const KvPlan& plan, std::span<const float> rows, SideCalibration& found) {
  const std::size_t width = plan.shape.width(), dim = plan.shape.head_dim;
  const std::size_t tokens = rows.size() / width;
  const double tail = plan.policy.outliers.kind == OutlierKind::dense_sparse
                          ? plan.policy.outliers.fraction / 2
                          : 0.0;
  found.low.resize(width);
  found.high.resize(width);
  std::vector<float> box;
  for (std::size_t first_head = 0; first_head < plan.shape.kv_heads; first_head += plan.box_heads) {
    for (std::size_t first = 0; first < dim; first += plan.box_channels) {
      box.clear();
      const auto each = [&](auto&& act) {
        for (std::size_t h = first_head; h < first_head + plan.box_heads; ++h)
          for (std::size_t c = first; c < first + plan.box_channels; ++c) act(h * dim + c);
      };
      each([&](std::size_t c) {
        for (std::size_t t = 0; t < tokens; ++t) box.push_back(rows[t * width + c]);
      });
      std::sort(box.begin(), box.end());
      const auto last = box.size() - 1;
      const auto skip = static_cast<std::size_t>(tail * static_cast<double>(box.size()));
      each([&](std::size_t c) {
        found.low[c] = box[std::min(skip, last)];
        found.high[c] = box[last - std::min(skip, last)];
      });
    }
  }
}

struct Normalised {
  std::vector<float> x, weights;
};

/// Values as the table sees them, outliers left out.
Normalised normalised_values(const KvPlan& plan, const SideCalibration& found,
                             std::span<const float> rows, std::span<const float> weights) {
  const std::size_t width = plan.shape.width(), dim = plan.shape.head_dim;
  Normalised all;
  const auto add = [&](std::size_t i, const KvParameters& p) {
    if (p.scale == 0.0f) return;
    all.x.push_back((rows[i] - p.zero) / p.scale);
    if (!weights.empty()) all.weights.push_back(weights[i]);
  };
  for (std::size_t first = 0; first < rows.size(); first += width) {
    if (plan.fixed_parameters) {
      for (std::size_t c = 0; c < width; ++c) {
        const float lo = found.low[c], hi = found.high[c], v = rows[first + c];
        if (v >= lo && v <= hi) add(first + c, box_parameters_of_range(lo, hi, plan.rule));
      }
      continue;
    }
    std::vector<std::uint8_t> apart(width, 0);
    if (plan.sparse_side != 0) {
      const SparseRow kept =
          select_outliers(rows.subspan(first, width), plan.sparse_side, plan.sparse_side);
      for (const std::uint32_t c : kept.index) apart[c] = 1;
    }
    std::vector<std::vector<std::size_t>> boxes(kv_boxes(plan, 1));
    const std::size_t across = dim / plan.box_channels;
    for (std::size_t c = 0; c < width; ++c) {
      const std::size_t box = c / dim / plan.box_heads * across + c % dim / plan.box_channels;
      if (apart[c] == 0) boxes[box].push_back(first + c);
    }
    for (const auto& box : boxes) {
      std::vector<float> members;
      for (const std::size_t i : box) members.push_back(rows[i]);
      const KvParameters p = box_parameters(members, plan.rule);
      for (const std::size_t i : box) add(i, p);
    }
  }
  const std::size_t stride = (all.x.size() + kMostTableSamples - 1) / kMostTableSamples;
  if (stride > 1) {
    const auto thin = [stride](std::vector<float>& v) {
      std::size_t kept = 0;
      for (std::size_t i = 0; i < v.size(); i += stride) v[kept++] = v[i];
      v.resize(kept);
    };
    thin(all.x);
    if (!all.weights.empty()) thin(all.weights);
  }
  return all;
}

void find_tables(const KvPlan& plan, std::span<const float> rows, std::span<const float> weights,
                 SideCalibration& found) {
  const Normalised n = normalised_values(plan, found, rows, weights);
  const std::size_t entries = std::size_t{1} << plan.rule.bits;
  if (n.x.empty()) {  // nothing varies: any table will do
    for (std::size_t i = 0; i < entries; ++i)
      found.encode_table.push_back(2.0f * static_cast<float>(i) / static_cast<float>(entries - 1) -
                                   1.0f);
    found.decode_table = found.encode_table;
    return;
  }
  found.encode_table = kmeans_1d(n.x, n.weights, entries);
  found.decode_table = found.encode_table;
  if (!plan.policy.quantiser.q_norm) return;
  double mean = 0, mean_coded = 0, square = 0, square_coded = 0;
  for (const float x : n.x) {
    const double v = x, q = found.encode_table[nearest_entry(x, found.encode_table)];
    mean += v;
    square += v * v;
    mean_coded += q;
    square_coded += q * q;
  }
  const auto count = static_cast<double>(n.x.size());
  mean /= count;
  mean_coded /= count;
  const double sigma = std::sqrt(std::max(0.0, square / count - mean * mean));
  const double sigma_coded =
      std::sqrt(std::max(0.0, square_coded / count - mean_coded * mean_coded));
  if (sigma_coded == 0.0) return;
  const double scale = sigma / sigma_coded, shift = mean - mean_coded * scale;
  for (float& entry : found.decode_table)
    entry = static_cast<float>(static_cast<double>(entry) * scale + shift);
}

std::vector<std::uint32_t> classes_by_range(const KvShape& shape, std::span<const float> rows) {
  const std::size_t dim = shape.head_dim;
  std::vector<float> low(dim, 0.0f), high(dim, 0.0f);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t c = i % dim;
    if (i < dim || rows[i] < low[c]) low[c] = rows[i];
    if (i < dim || rows[i] > high[c]) high[c] = rows[i];
  }
  std::vector<std::uint32_t> order(dim);
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return high[a] - low[a] > high[b] - low[b];
  });
  return order;
}

bool uses_nvfp4(const KvPlan& plan) {
  if (plan.rule.format == Format::nvfp4) return true;
  return std::any_of(plan.ages.begin(), plan.ages.end(),
                     [](const ScheduleEntry& e) { return e.format == Format::nvfp4; });
}

SideCalibration calibrate_side(const KvPlan& plan, std::span<const float> samples,
                               std::span<const float> queries, std::span<const float> weights,
                               std::uint64_t seed) {
  SideCalibration found;
  std::vector<float> rows(samples.begin(), samples.end());
  for (const Transform& t : plan.arrival) {
    if (t.op == TransformOp::diag) found.diag = diag_factors(plan.shape, t, rows, queries);
    if (t.op == TransformOp::perm) found.order = order_by_sum(rows, plan.shape.width());
    if (t.op == TransformOp::rot) found.rotation = random_rotation(plan.shape.head_dim, seed);
    apply_one(plan, t, found, rows);
  }
  if (plan.policy.outliers.kind == OutlierKind::top_channels) {
    require(!plan.rope_on_read, "kv: TOPCH is of keys after RoPE");
    if (plan.tensor == KvTensor::key)
      found.top_channels = top_channel_factors(plan.shape, plan.policy.outliers.count, rows);
  }
  if (plan.low_channels != 0) found.channel_classes = classes_by_range(plan.shape, rows);
  if (plan.fixed_parameters) find_ranges(plan, rows, found);
  if (plan.rule.format == Format::lut)
    find_tables(plan, rows, plan.arrival.empty() ? weights : std::span<const float>(), found);
  if (uses_nvfp4(plan)) {
    const std::vector<float> most = channel_absmax(rows, plan.shape.width());
    const float largest = *std::max_element(most.begin(), most.end());
    if (largest > 0.0f) found.tensor_scale = largest / 2688.0f;
  }
  return found;
}

/// L of H = L L^T, lower, in double.
std::vector<double> cholesky(std::vector<double> h, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = 0; i < n; ++i) {
      if (i < j) {
        h[i * n + j] = 0.0;
        continue;
      }
      double sum = h[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= h[i * n + k] * h[j * n + k];
      h[i * n + j] = i == j ? std::sqrt(std::max(sum, kMetricDamping)) : sum / h[j * n + j];
    }
  }
  return h;
}

void find_index(const KvShape& shape, std::size_t wanted, const KvSampleRows& s,
                std::span<const double> frequencies, std::uint64_t seed, KvCalibration& found) {
  const std::size_t dim = shape.head_dim, width = shape.width();
  const std::size_t tokens = s.key_pre.size() / width, share = shape.query_heads / shape.kv_heads;
  require(s.query_pre.size() == tokens * shape.query_heads * dim,
          "kv: a retrieval index is calibrated with queries before RoPE");
  require(wanted >= 1, "kv: a retrieval index needs codewords");
  found.codewords = std::min(wanted, tokens);
  const RopeAngles far = rope_angles(kFarPosition, frequencies);
  std::vector<float> query(dim), white(tokens * dim);
  for (std::size_t head = 0; head < shape.kv_heads; ++head) {
    std::vector<double> h(dim * dim, 0.0);
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t g = 0; g < share; ++g) {
        const std::size_t row = t * shape.query_heads + head * share + g;
        std::copy_n(s.query_pre.begin() + static_cast<std::ptrdiff_t>(row * dim), dim,
                    query.begin());
        rope(query, far);
        for (std::size_t i = 0; i < dim; ++i)
          for (std::size_t j = 0; j < dim; ++j)
            h[i * dim + j] += static_cast<double>(query[i]) * static_cast<double>(query[j]);
      }
    }
    double trace = 0;
    for (std::size_t i = 0; i < dim; ++i) trace += h[i * dim + i];
    const double unit = trace > 0 ? trace / static_cast<double>(dim) : 1.0;
    for (double& v : h) v /= unit;
    for (std::size_t i = 0; i < dim; ++i) h[i * dim + i] += kMetricDamping;
    const std::vector<double> l = cholesky(std::move(h), dim);
    std::vector<float> metric;
    for (const double v : l) metric.push_back(static_cast<float>(v));
    std::fill(white.begin(), white.end(), 0.0f);
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t i = 0; i < dim; ++i)
        for (std::size_t j = 0; j < dim; ++j)
          white[t * dim + j] = std::fma(s.key_pre[t * width + head * dim + i], metric[i * dim + j],
                                        white[t * dim + j]);
    const std::vector<float> book = kmeans(white, dim, found.codewords, seed + head);
    found.metric.insert(found.metric.end(), metric.begin(), metric.end());
    found.index_codebook.insert(found.index_codebook.end(), book.begin(), book.end());
    std::vector<double> word(dim);
    for (std::size_t c = 0; c < found.codewords; ++c) {  // word L = book row, from the last down
      for (std::size_t j = dim; j-- > 0;) {
        double sum = static_cast<double>(book[c * dim + j]);
        for (std::size_t i = j + 1; i < dim; ++i) sum -= word[i] * l[i * dim + j];
        word[j] = sum / l[j * dim + j];
      }
      for (const double v : word) found.index_codewords.push_back(static_cast<float>(v));
    }
  }
}

}  // namespace

KvCalibration calibrate_kv(const KvShape& shape, const TensorPolicy& key, const TensorPolicy& value,
                           const KvSampleRows& samples, std::span<const double> frequencies,
                           std::uint64_t seed) {
  const KvPlan key_plan = make_plan(KvTensor::key, shape, key);
  const KvPlan value_plan = make_plan(KvTensor::value, shape, value);
  const std::size_t width = shape.width();
  require(!samples.value.empty() && samples.value.size() % width == 0 &&
              samples.key_pre.size() == samples.value.size() &&
              samples.key_post.size() == samples.value.size(),
          "kv: calibration needs the same number of keys and values, whole tokens");
  require(
      (samples.key_weights.empty() || samples.key_weights.size() == samples.value.size()) &&
          (samples.value_weights.empty() || samples.value_weights.size() == samples.value.size()),
      "kv: one weight a sample");
  require(samples.query_post.size() % (shape.query_heads * shape.head_dim) == 0,
          "kv: queries are not whole tokens");
  KvCalibration found;
  found.key = calibrate_side(key_plan, key_plan.rope_on_read ? samples.key_pre : samples.key_post,
                             samples.query_post, samples.key_weights, seed);
  found.value = calibrate_side(value_plan, samples.value, {}, samples.value_weights, seed + 1);
  if (key_plan.retrieve && !key_plan.retrieve->by_pages())
    find_index(shape, key_plan.retrieve->codewords, samples, frequencies, seed, found);
  return found;
}

bool kv_needs_calibration(const TensorPolicy& policy) {
  const auto found = [](const Transform& t) {
    return t.op == TransformOp::perm || t.op == TransformOp::chol || t.op == TransformOp::rot ||
           (t.op == TransformOp::diag && t.factors != FactorRule::sqrt_max);
  };
  const auto fixed = [](const Level& level) { return level.parameters == ParameterSource::fixed; };
  const auto indexed = [](const TokenPolicy& t) {
    return t.kind == TokenKind::retrieve && !t.by_pages();
  };
  const OutlierKind kept = policy.outliers.kind;
  return policy.format == Format::lut || policy.format == Format::nvfp4 ||
         std::ranges::any_of(policy.transforms, found) ||
         std::ranges::any_of(policy.levels, fixed) || std::ranges::any_of(policy.tokens, indexed) ||
         kept == OutlierKind::channel_class || kept == OutlierKind::top_channels;
}

double kv_sensitivity(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy,
                      Format format, std::span<const float> rows, std::span<const float> gradient,
                      const SideCalibration& calibration) {
  const std::size_t width = shape.width();
  require(!rows.empty() && rows.size() % width == 0, "kv: samples are not whole tokens");
  require(gradient.empty() || gradient.size() == rows.size(), "kv: one gradient a sample");
  const KvCoder coder(make_plan(tensor, shape, policy, format), calibration);
  const KvPlan& plan = coder.plan();
  OpCounts ignored;
  std::vector<float> stored(rows.begin(), rows.end());
  for (std::size_t i = 0; i < stored.size(); i += width)
    coder.arrive(std::span<float>(stored).subspan(i, width), ignored);
  const std::size_t tokens = rows.size() / width;
  const std::size_t step = plan.class_box ? tokens : plan.box_tokens;
  double sum = 0;
  std::vector<float> back(width);
  for (std::size_t t = 0; t < tokens; t += step) {
    const std::size_t n = std::min(step, tokens - t);
    const auto chunk = coder.encode(std::span<const float>(stored).subspan(t * width, n * width), n,
                                    plan.rule, ignored);
    for (std::size_t r = 0; r < n; ++r) {
      coder.decode(*chunk, r, back);
      for (std::size_t c = 0; c < width; ++c) {
        const std::size_t i = (t + r) * width + c;
        const double error = static_cast<double>(back[c]) - static_cast<double>(stored[i]);
        sum +=
            gradient.empty() ? error * error : std::fabs(error * static_cast<double>(gradient[i]));
      }
    }
  }
  return sum / static_cast<double>(rows.size());
}

}  // namespace systole::quant
