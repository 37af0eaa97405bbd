// Few-bit codecs with calibrated parameters. The contract is in the header.
#include "quant/quantisers/quest.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/primitives/codebook.hpp"
#include "quant/primitives/select.hpp"
#include "quant/quantise.hpp"
#include "quant/quantisers/value_codec.hpp"

namespace systole::quant {

double quest_clip(Format format) {
  if (format == Format::ternary || format == Format::ternary_b3) return kQuestClipTernary;
  require(bits_of(format) <= 8, "sigma: c_b is known for 1 to 8 bits");
  return kQuestClip[bits_of(format)];
}

QuestRow quest_quantise(std::span<const float> row, unsigned bits) {
  require(bits >= 1 && bits <= 8, "quest: 1 to 8 bits");
  QuestRow out;
  if (row.empty()) return out;
  QuantSpec spec;
  spec.format = Format::half;
  spec.granularity = Granularity::channel;
  spec.levels = 1u << bits;
  const ValueCodec codec(spec);
  const BoxParameters p = codec.parameters(row);
  out.step = p.scale[0];
  for (const float x : row) {
    out.codes.push_back(static_cast<std::int8_t>(int{codec.encode(x, p)} - (1 << (bits - 1))));
  }
  return out;
}

// --- any-precision -----------------------------------------------------------------------------

namespace {

struct Split {
  float low = 0, high = 0;
  float border = 0;  ///< values above it go high
};

/// The best two-means of sorted values: every border tried, weighted squared error.
Split split_in_two(std::span<const float> x, std::span<const double> w) {
  const std::size_t n = x.size();
  double total_w = 0, total_wx = 0;
  for (std::size_t i = 0; i < n; ++i) total_w += w[i], total_wx += w[i] * double{x[i]};
  const float middle = static_cast<float>(total_w > 0 ? total_wx / total_w : double{x[n / 2]});
  Split best{middle, middle, x.back()};
  double most = -1, left_w = 0, left_wx = 0;
  for (std::size_t i = 0; i + 1 < n; ++i) {
    left_w += w[i];
    left_wx += w[i] * double{x[i]};
    const double right_w = total_w - left_w, right_wx = total_wx - left_wx;
    if (x[i] == x[i + 1] || !(left_w > 0) || !(right_w > 0)) continue;
    // The error is a constant minus this.
    const double explained = left_wx * left_wx / left_w + right_wx * right_wx / right_w;
    if (explained > most) {
      most = explained;
      best = {static_cast<float>(left_wx / left_w), static_cast<float>(right_wx / right_w), x[i]};
    }
  }
  return best;
}

/// Members of a cluster, ascending.
struct Cluster {
  std::vector<std::uint32_t> members;
  float centre = 0;
};

/// The two halves; an unsplittable cluster keeps its centre twice and all members in the first.
void split(const Cluster& cluster, std::span<const float> row, std::span<const double> weights,
           std::vector<Cluster>& out) {
  Cluster low{{}, cluster.centre}, high = low;
  if (!cluster.members.empty()) {
    std::vector<float> x;
    std::vector<double> w;
    for (const std::uint32_t i : cluster.members) x.push_back(row[i]), w.push_back(weights[i]);
    const Split halves = split_in_two(x, w);
    if (halves.low != halves.high) low.centre = halves.low, high.centre = halves.high;
    for (const std::uint32_t i : cluster.members) {
      (row[i] <= halves.border ? low : high).members.push_back(i);
    }
  }
  out.push_back(std::move(low));
  out.push_back(std::move(high));
}

}  // namespace

float NestedTables::value(std::size_t i, unsigned bits) const {
  require(bits >= seed_bits && bits <= top_bits && i < codes.size(),
          "nested tables: no such value");
  return tables[bits - seed_bits][codes[i] >> (top_bits - bits)];
}

NestedTables nested_tables(std::span<const float> row, std::span<const float> weights,
                           unsigned seed_bits, unsigned top_bits) {
  require(seed_bits >= 1 && seed_bits <= top_bits && top_bits <= 8, "nested tables: 1 to 8 bits");
  require(weights.empty() || weights.size() == row.size(), "nested tables: one weight a value");
  require(!row.empty(), "nested tables: an empty row");
  NestedTables out;
  out.seed_bits = seed_bits;
  out.top_bits = top_bits;
  std::vector<double> w(row.size(), 1.0);
  if (!weights.empty()) w.assign(weights.begin(), weights.end());
  const std::vector<float> seed = kmeans_1d(row, weights, std::size_t{1} << seed_bits);
  std::vector<Cluster> clusters(seed.size());
  for (std::size_t c = 0; c < seed.size(); ++c) clusters[c].centre = seed[c];
  std::vector<std::uint32_t> order(row.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return row[a] < row[b]; });
  for (const std::uint32_t i : order) clusters[nearest_entry(row[i], seed)].members.push_back(i);
  out.tables.push_back(seed);
  for (unsigned b = seed_bits; b < top_bits; ++b) {
    std::vector<Cluster> next;
    for (const Cluster& cluster : clusters) split(cluster, row, w, next);
    clusters = std::move(next);
    std::vector<float> table;
    for (const Cluster& cluster : clusters) table.push_back(cluster.centre);
    out.tables.push_back(std::move(table));
  }
  out.codes.resize(row.size());
  for (std::size_t c = 0; c < clusters.size(); ++c) {
    for (const std::uint32_t i : clusters[c].members) out.codes[i] = static_cast<std::uint8_t>(c);
  }
  return out;
}

// --- PTQ1.61 -----------------------------------------------------------------------------------

namespace {

void binarise_row(std::span<const float> row, std::span<const bool> kept, float& alpha, float& mu,
                  std::span<float> out) {
  double sum = 0, magnitude = 0;
  std::size_t count = 0;
  for (std::size_t j = 0; j < row.size(); ++j) {
    if (kept[j] || row[j] == 0.0f) continue;
    sum += double{row[j]};
    magnitude += std::fabs(double{row[j]});
    ++count;
  }
  if (count != 0) {
    alpha = round_to(Format::fp16, static_cast<float>(magnitude / static_cast<double>(count)));
    mu = round_to(Format::fp16, static_cast<float>(sum / static_cast<double>(count)));
  }
  for (std::size_t j = 0; j < row.size(); ++j) {
    if (!kept[j]) out[j] = row[j] >= mu ? mu + alpha : mu - alpha;
  }
}

}  // namespace

MaskedBinary mask_binarise(std::span<const float> weight, std::size_t n, std::size_t k,
                           std::span<const float> activation_scale, double fraction) {
  require(n != 0 && k != 0 && weight.size() / k == n && weight.size() % k == 0 &&
              activation_scale.size() == k,
          "mask_binarise: sizes disagree");
  require(fraction >= 0 && fraction <= 1, "mask_binarise: a fraction");
  MaskedBinary out;
  const auto count =
      static_cast<std::size_t>(elementary::round_to_integer(fraction * static_cast<double>(k)));
  out.kept = top_k(activation_scale, count, true);
  std::sort(out.kept.begin(), out.kept.end());
  const std::unique_ptr<bool[]> kept(new bool[k]());
  for (const std::uint32_t j : out.kept) kept[j] = true;
  out.alpha.resize(n);
  out.mu.resize(n);
  out.values.resize(n * k);
  QuantSpec spec;
  spec.format = Format::int4;
  spec.granularity = Granularity::channel;
  spec.affine = Affine::integer_zero;
  spec.scale = Format::fp16;
  std::vector<float> part(out.kept.size());
  for (std::size_t r = 0; r < n; ++r) {
    const std::span<const float> row = weight.subspan(r * k, k);
    binarise_row(row, {kept.get(), k}, out.alpha[r], out.mu[r],
                 std::span(out.values).subspan(r * k, k));
    for (std::size_t i = 0; i < part.size(); ++i) part[i] = row[out.kept[i]];
    const std::vector<float> rounded = fake_quantise(part, part.empty() ? 0 : 1, part.size(), spec);
    for (std::size_t i = 0; i < part.size(); ++i) out.values[r * k + out.kept[i]] = rounded[i];
  }
  const double dense = static_cast<double>(count) / static_cast<double>(k);
  out.code_bits = 4.0 * dense + (1.0 - dense) + 1.0 / static_cast<double>(n);
  out.stored_bits = out.code_bits + (16.0 + 4.0 + 32.0) / static_cast<double>(k);
  return out;
}

}  // namespace systole::quant
