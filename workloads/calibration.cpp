// Collecting statistics from a forward pass. The contract is in the header; the cache file is in
// calibration_cache.cpp.
#include "workloads/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant/kernels/parallel.hpp"
#include "quant/kernels/vector.hpp"
#include "quant/quantisers/gptq.hpp"
#include "quant/quantisers/symmetric.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"
#include "workloads/calibration_cache.hpp"
#include "workloads/executor.hpp"

namespace systole::workloads {

using quant::LayerStatistics;

namespace {

/// One site on its way: sums, and which rows are kept.
class SiteCollector {
 public:
  SiteCollector(LayerStatistics& out, std::uint64_t total, std::uint32_t sample_rows)
      : out_(out),
        stride_(std::max<std::uint64_t>(1, sample_rows == 0 ? total : total / sample_rows)),
        wanted_(sample_rows) {}

  /// `weights`: of the rows, or empty.
  void add(std::span<const float> rows, std::size_t cols, std::span<const float> weights,
           unsigned threads) {
    if (out_.cols == 0) {
      out_.cols = cols;
      out_.hessian.assign(cols * cols, 0.0);
      sums_.assign(cols, 0.0);
      out_.absmax.assign(cols, 0.0f);
    }
    add_magnitudes(rows, cols);
    add_samples(rows, cols);
    std::vector<float> weighted;
    if (!weights.empty()) {
      weighted.assign(rows.begin(), rows.end());
      for (std::size_t i = 0; i < weighted.size(); ++i) {
        weighted[i] *= std::sqrt(weights[i / cols]);
      }
      rows = weighted;
    }
    // Bands of rows of the upper triangle, many so that long and short ones even out.
    const std::size_t bands = threads <= 1 ? 1 : std::min<std::size_t>(cols, threads * 8);
    quant::parallel_strided(threads, bands, [&](std::size_t band) {
      quant::accumulate_outer(rows, cols, out_.hessian, band * cols / bands,
                              (band + 1) * cols / bands);
    });
    out_.tokens += rows.size() / cols;
  }

  void finish() {
    quant::mirror_upper(out_.hessian, out_.cols);
    out_.mean_abs.resize(out_.cols);
    for (std::size_t j = 0; j < out_.cols; ++j) {
      out_.mean_abs[j] = static_cast<float>(sums_[j] / static_cast<double>(out_.tokens));
    }
  }

 private:
  void add_magnitudes(std::span<const float> rows, std::size_t cols) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const float magnitude = std::fabs(rows[i]);
      sums_[i % cols] += double{magnitude};
      out_.absmax[i % cols] = std::max(out_.absmax[i % cols], magnitude);
    }
  }
  void add_samples(std::span<const float> rows, std::size_t cols) {
    for (std::size_t first = 0; first < rows.size(); first += cols) {
      const std::uint64_t token = out_.tokens + first / cols;
      if (kept_ == wanted_ || token % stride_ != 0) continue;
      const std::span<const float> row = rows.subspan(first, cols);
      out_.sample.insert(out_.sample.end(), row.begin(), row.end());
      ++kept_;
    }
  }

  LayerStatistics& out_;
  std::uint64_t stride_;
  std::uint32_t wanted_, kept_ = 0;
  std::vector<double> sums_;
};

/// Attention that each token of one sequence receives, summed over queries, heads in order.
std::vector<double> attention_received(std::span<const float> queries, std::span<const float> keys,
                                       const configs::ModelShape& shape, unsigned threads) {
  const std::size_t d = shape.head_dim, q_dim = shape.q_dim(), kv_dim = shape.kv_dim();
  const std::size_t tokens = queries.size() / q_dim, share = shape.heads / shape.kv_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  std::vector<std::vector<double>> by_head(shape.heads);
  quant::parallel_strided(threads, shape.heads, [&](std::size_t head) {
    std::vector<double>& received = by_head[head];
    received.assign(tokens, 0.0);
    std::vector<float> scores;
    for (std::size_t t = 0; t < tokens; ++t) {
      const float* query = queries.data() + t * q_dim + head * d;
      scores.assign(t + 1, 0.0f);
      for (std::size_t s = 0; s <= t; ++s) {
        const float* key = keys.data() + s * kv_dim + head / share * d;
        float sum = 0;
        for (std::size_t i = 0; i < d; ++i) sum += query[i] * key[i];
        scores[s] = sum * scale;
      }
      quant::softmax(scores);
      for (std::size_t s = 0; s <= t; ++s) received[s] += double{scores[s]};
    }
  });
  std::vector<double> total(tokens, 0.0);
  for (const std::vector<double>& received : by_head) {
    for (std::size_t t = 0; t < tokens; ++t) total[t] += received[t];
  }
  return total;
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * double{b[i]};
    aa += double{a[i]} * double{a[i]};
    bb += double{b[i]} * double{b[i]};
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0.0;
}

/// Appends rows while fewer than `limit` of `cols` are there.
void keep_first(std::vector<float>& out, std::span<const float> rows, std::size_t cols,
                std::size_t limit) {
  const std::size_t room = limit * cols - std::min(out.size(), limit * cols);
  const std::size_t count = std::min(room, rows.size());
  out.insert(out.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
}

/// Sees whole sequences: one forward() each, all of a layer's callbacks in order.
class Collector final : public ForwardObserver {
 public:
  Collector(const configs::ModelShape& shape, const CalibrationOptions& options,
            std::uint64_t total, Calibration& out)
      : shape_(shape), options_(options), out_(out) {
    out.layers.resize(shape.layers);
    query_square_.assign(shape.layers, std::vector<double>(shape.kv_dim(), 0.0));
    for (LayerCalibration& layer : out.layers) {
      for (LayerStatistics& site : layer.sites) {
        collectors_.emplace_back(site, total, options.sample_rows);
      }
    }
    collectors_.emplace_back(out.head, total, options.sample_rows);
  }

  void linear_input(std::size_t layer, std::string_view inputs, std::span<const float> rows,
                    std::size_t cols) override {
    if (layer == shape_.layers) {
      collectors_.back().add(rows, cols, {}, options_.threads);
      return;
    }
    const auto name = std::find(kSiteNames.begin(), kSiteNames.end(), inputs);
    SYSTOLE_CHECK(name != kSiteNames.end(), "an input that calibration does not know");
    const auto site = static_cast<std::size_t>(name - kSiteNames.begin());
    if (site == 0) {  // its weights come with the attention that follows
      waiting_.assign(rows.begin(), rows.end());
      return;
    }
    collectors_[layer * 4 + site].add(rows, cols, weights_, options_.threads);
  }

  void attention(std::size_t layer, std::uint64_t start, std::span<const float> query_pre,
                 std::span<const float> query, std::span<const float> key_pre,
                 std::span<const float> key, std::span<const float> value) override {
    SYSTOLE_CHECK(start == 0, "calibration runs whole sequences");
    LayerCalibration& out = out_.layers[layer];
    const std::vector<double> received = attention_received(query, key, shape_, options_.threads);
    weights_.clear();
    if (options_.weighting == quant::TokenWeighting::rsq) {
      weights_ = quant::rsq_token_weights(received);
    }
    collectors_[layer * 4].add(waiting_, shape_.hidden, weights_, options_.threads);
    const std::size_t limit = options_.kv_tokens;
    keep_first(out.queries_before, query_pre, shape_.q_dim(), limit);
    keep_first(out.queries, query, shape_.q_dim(), limit);
    keep_first(out.keys_before, key_pre, shape_.kv_dim(), limit);
    keep_first(out.keys, key, shape_.kv_dim(), limit);
    keep_first(out.values, value, shape_.kv_dim(), limit);
    const std::size_t left = limit - std::min(limit, out.attention_received.size());
    out.attention_received.insert(
        out.attention_received.end(), received.begin(),
        received.begin() + static_cast<std::ptrdiff_t>(std::min(left, received.size())));
    add_query_squares(layer, query);
  }

  void block(std::size_t layer, std::span<const float> before,
             std::span<const float> after) override {
    const std::size_t h = shape_.hidden;
    for (std::size_t first = 0; first < before.size(); first += h) {
      out_.layers[layer].cosine += cosine(before.subspan(first, h), after.subspan(first, h));
    }
  }

  void finish(std::uint64_t tokens) {
    for (SiteCollector& collector : collectors_) collector.finish();
    const std::size_t share = shape_.heads / shape_.kv_heads;
    for (std::size_t i = 0; i < out_.layers.size(); ++i) {
      LayerCalibration& layer = out_.layers[i];
      layer.cosine /= static_cast<double>(tokens);
      const double count = static_cast<double>(tokens * share);
      for (std::size_t c = 0; c < query_square_[i].size(); ++c) {
        const double pair = query_square_[i][c] + query_square_[i][c ^ 1u];
        layer.key_sensitivity.push_back(static_cast<float>(pair / 2 / count));
      }
    }
    out_.tokens = tokens;
  }

 private:
  void add_query_squares(std::size_t layer, std::span<const float> query) {
    const std::size_t d = shape_.head_dim, share = shape_.heads / shape_.kv_heads;
    for (std::size_t i = 0; i < query.size(); ++i) {
      const std::size_t channel = i % shape_.q_dim();
      query_square_[layer][channel / d / share * d + channel % d] +=
          double{query[i]} * double{query[i]};
    }
  }

  const configs::ModelShape& shape_;
  const CalibrationOptions& options_;
  Calibration& out_;
  std::vector<SiteCollector> collectors_;
  std::vector<std::vector<double>> query_square_;
  std::vector<float> waiting_;  ///< inputs of q, k and v of the layer at hand
  std::vector<float> weights_;  ///< of its tokens; empty: all 1
};

}  // namespace

std::vector<std::vector<std::uint32_t>> calibration_sequences(const LlamaModel& model,
                                                              std::span<const std::string> texts,
                                                              const CalibrationOptions& options) {
  if (!model.tokenizer) {
    throw ConfigError(fmt::format("model {}: calibration needs a tokeniser", model.shape.name));
  }
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(options.seed);
  for (std::size_t i = order.size(); i > 1; --i) {
    const auto pick = static_cast<std::size_t>(random.uniform(0, static_cast<std::int64_t>(i) - 1));
    std::swap(order[i - 1], order[pick]);
  }
  const std::uint64_t positions =
      model.shape.max_positions == 0 ? options.tokens : model.shape.max_positions;
  const std::uint64_t window =
      options.window == 0 ? positions : std::min(positions, options.window);
  std::vector<std::vector<std::uint32_t>> sequences;
  std::uint64_t left = options.tokens;
  for (const std::size_t text : order) {
    if (left == 0) break;
    std::vector<std::uint32_t> ids = model.tokenizer->encode(texts[text], true);
    ids.resize(static_cast<std::size_t>(std::min({std::uint64_t{ids.size()}, window, left})));
    left -= ids.size();
    if (!ids.empty()) sequences.push_back(std::move(ids));
  }
  if (sequences.empty()) throw ConfigError("calibration: the texts hold no token");
  return sequences;
}

Calibration calibrate(const LlamaModel& model,
                      std::span<const std::vector<std::uint32_t>> sequences,
                      const CalibrationOptions& options) {
  std::uint64_t total = 0;
  for (const std::vector<std::uint32_t>& ids : sequences) total += ids.size();
  if (total == 0) throw ConfigError("calibration: no token");
  configs::Recipe recipe;
  recipe.name = "calibration";
  FunctionalExecutor executor(model, recipe, options.threads);
  Calibration out;
  Collector collector(model.shape, options, total, out);
  executor.observe(&collector);
  std::uint64_t done = 0;
  for (const std::vector<std::uint32_t>& ids : sequences) {
    if (ids.empty()) continue;
    executor.forward(ids, 0, Logits::all);
    done += ids.size();
    if (options.progress) options.progress(done, total);
  }
  collector.finish(total);
  return out;
}

Calibration calibrate(const LlamaModel& model,
                      std::span<const std::vector<std::uint32_t>> sequences,
                      const CalibrationOptions& options, const std::string& path) {
  if (path.empty()) return calibrate(model, sequences, options);
  const CacheKey key = cache_key(model, sequences, options);
  if (std::optional<Calibration> found = read_calibration(path, key)) {
    found->cache = CacheUse::read;
    return std::move(*found);
  }
  Calibration out = calibrate(model, sequences, options);
  out.cache = write_calibration(path, key, out) ? CacheUse::written : CacheUse::not_written;
  return out;
}

}  // namespace systole::workloads
