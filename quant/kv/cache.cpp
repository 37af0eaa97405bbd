// The contract is in the header.
#include "quant/kv/cache.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <unordered_set>

#include "quant/check.hpp"
#include "quant/clones.hpp"
#include "quant/kernels/vector.hpp"
#include "quant/primitives/codebook.hpp"
#include "quant/primitives/random.hpp"
#include "quant/primitives/select.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

constexpr std::size_t kKey = 0, kValue = 1;
constexpr std::size_t kFirstCapacity = 64;
constexpr std::size_t kFarPosition = 2048;  // A2ATS: relative position of what the index scores
constexpr std::uint32_t kAgeBlock = 16;     // tokens demoted together where no page size is given

// Vectorised over independent outputs by the compiler, once for each instruction set; each output
// keeps its own chain of fused steps, so the bits are those of the definition.

/// out[t] = fma(weight, row[t], out[t]).
SYSTOLE_FUSED_CLONES
void accumulate(float weight, const float* __restrict row, std::size_t count,
                float* __restrict out) {
  for (std::size_t t = 0; t < count; ++t) out[t] = __builtin_fmaf(weight, row[t], out[t]);
}

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }
std::uint64_t ceil_log2(std::size_t n) { return n <= 1 ? 1 : std::bit_width(n - 1); }
std::size_t share_of(double share, std::size_t n) {
  return std::min(n, static_cast<std::size_t>(std::ceil(share * static_cast<double>(n))));
}

void check_finite(std::span<const float> x, const char* what) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]))
      throw std::domain_error("kv: element " + std::to_string(i) + " of the " + what +
                              " is not finite");
  }
}

const std::optional<TokenPolicy>& first_of(const std::optional<TokenPolicy>& a,
                                           const std::optional<TokenPolicy>& b) {
  return a ? a : b;
}

OpCounts scaled(const OpCounts& o, std::uint64_t part, std::uint64_t whole) {
  OpCounts r = o;
  for (std::uint64_t* field :
       {&r.unpack, &r.multiply, &r.add, &r.fma, &r.lookup, &r.compare, &r.sparse_mac, &r.shift,
        &r.popcount, &r.gather, &r.special, &r.read_bytes, &r.write_bytes})
    *field = *field * part / whole;
  return r;
}

}  // namespace

KvCache::KvCache(const KvShape& shape, const TensorPolicy& key, const TensorPolicy& value,
                 std::vector<double> rope_frequencies, KvCalibration calibration)
    : shape_(shape),
      frequencies_(std::move(rope_frequencies)),
      calibration_(std::move(calibration)) {
  KvPlan key_plan = make_plan(KvTensor::key, shape, key, calibration_.key.format);
  KvPlan value_plan = make_plan(KvTensor::value, shape, value, calibration_.value.format);
  require(frequencies_.size() == shape.head_dim / 2, "kv: one RoPE frequency a pair");
  const BoxRule key_rule = key_plan.rule, value_rule = value_plan.rule;
  sides_.push_back({KvCoder(std::move(key_plan), calibration_.key), key_rule, {}, {}});
  sides_.push_back({KvCoder(std::move(value_plan), calibration_.value), value_rule, {}, {}});
  if (plan(KvTensor::key).retrieve && !plan(KvTensor::key).retrieve->by_pages()) {
    const std::size_t dim = shape.head_dim, heads = shape.kv_heads;
    const std::size_t entries = calibration_.codewords * dim * heads;
    require(calibration_.codewords >= 1 && calibration_.codewords <= 65536 &&
                calibration_.metric.size() == heads * dim * dim &&
                calibration_.index_codebook.size() == entries &&
                calibration_.index_codewords.size() == entries,
            "kv: retrieval needs a calibrated metric and codebook of every KV head");
  }
}

KvCache::KvCache(const KvShape& shape, const TensorPolicy& key, const TensorPolicy& value,
                 double rope_theta, KvCalibration calibration)
    : KvCache(shape, key, value, systole::quant::rope_frequencies(shape.head_dim, rope_theta),
              std::move(calibration)) {}

void KvCache::protect(std::vector<std::uint64_t> positions) {
  protected_ = std::move(positions);
  std::sort(protected_.begin(), protected_.end());
}

// --- writing -------------------------------------------------------------------------------------

void KvCache::append(std::span<const float> key_pre, std::span<const float> key_post,
                     std::span<const float> value, std::uint64_t position) {
  const std::size_t width = shape_.width();
  require(key_pre.size() == key_post.size() && key_pre.size() == value.size() &&
              value.size() % width == 0,
          "kv: keys and values are not whole tokens of one number");
  require(tokens_.empty() || position > tokens_.back().position, "kv: positions must ascend");
  check_finite(key_pre, "keys");
  check_finite(key_post, "rotated keys");
  check_finite(value, "values");
  const bool unrotated = plan(KvTensor::key).rope_on_read;
  for (std::size_t t = 0; t < value.size() / width; ++t) {
    append_token((unrotated ? key_pre : key_post).subspan(t * width, width),
                 key_pre.subspan(t * width, width), value.subspan(t * width, width), position + t);
  }
}

void KvCache::append_token(std::span<const float> key, std::span<const float> key_pre,
                           std::span<const float> value, std::uint64_t position) {
  grow(tokens_.size() + 1);
  Token token;
  token.position = position;
  const bool named = std::binary_search(protected_.begin(), protected_.end(), position);
  for (std::size_t s : {kKey, kValue}) {
    const KvPlan& p = sides_[s].coder.plan();
    const bool by_name = p.sink_scorer == Scorer::hidden_max && !protected_.empty();
    if (p.sinks != 0 && (by_name ? named : sinks_held_ < p.sinks)) token.sink = true;
    if (p.salient && p.salient->scorer == Scorer::text_similarity && named) token.salient = true;
  }
  if (token.sink) ++sinks_held_;
  for (std::size_t s : {kKey, kValue}) {
    const KvPlan& p = sides_[s].coder.plan();
    Slot& slot = token.slot[s];
    const std::span<const float> row = s == kKey ? key : value;
    slot.whole.assign(row.begin(), row.end());
    sides_[s].coder.arrive(slot.whole, write_ops_);
    const bool waits = token.sink || p.window != 0 || p.box_tokens > 1 || p.class_box ||
                       p.salient || !p.ages.empty() || p.rule.ieee();
    slot.format = waits ? p.full : Format::fp32;  // else it is coded at once, from what it is
    if (p.salient && p.salient->scorer == Scorer::accumulated && is_ieee(p.salient->high))
      slot.format = p.salient->high;
    for (float& v : slot.whole) v = kept_whole(slot.format, v);
    if (waits) write_ops_.write_bytes += ceil_div(sides_[s].coder.full_bits(slot.format).full, 8);
    sides_[s].clean.push_back(0);
  }
  if (const auto& r = plan(KvTensor::key).retrieve; r && !r->by_pages()) {
    const std::size_t dim = shape_.head_dim, words = calibration_.codewords;
    std::vector<float> white(dim);
    for (std::size_t h = 0; h < shape_.kv_heads; ++h) {
      const float* metric = calibration_.metric.data() + h * dim * dim;
      std::fill(white.begin(), white.end(), 0.0f);
      for (std::size_t i = 0; i < dim; ++i)
        for (std::size_t j = 0; j < dim; ++j)
          white[j] = std::fma(key_pre[h * dim + i], metric[i * dim + j], white[j]);
      const std::span<const float> book(calibration_.index_codebook);
      token.codewords.push_back(static_cast<std::uint16_t>(
          nearest_codeword(white, book.subspan(h * words * dim, words * dim))));
    }
    write_ops_.fma += shape_.kv_heads * dim * (dim + words);
    write_ops_.compare += shape_.kv_heads * words;
    write_ops_.write_bytes += ceil_div(shape_.kv_heads * ceil_log2(words), 8);
    (void)r;
  }
  tokens_.push_back(std::move(token));
  ++unclassified_;
  read_cache_valid_ = false;
  maintain();
}

std::vector<float> KvCache::stored_values(std::size_t s, std::size_t t) const {
  const Slot& slot = tokens_[t].slot[s];
  if (!slot.coded()) return slot.whole;
  std::vector<float> row(shape_.width());
  sides_[s].coder.decode(*slot.chunk, slot.row, row);
  return row;
}

void KvCache::touch(std::size_t s, std::size_t t) {
  sides_[s].clean[t] = 0;
  read_cache_valid_ = false;
}

/// Codes these tokens together, from whatever they are now.
void KvCache::recode(std::size_t s, std::span<const std::size_t> tokens, const BoxRule& rule,
                     OpCounts& ops) {
  if (tokens.empty()) return;
  std::vector<float> values;
  values.reserve(tokens.size() * shape_.width());
  for (const std::size_t t : tokens) {
    const std::vector<float> row = stored_values(s, t);
    values.insert(values.end(), row.begin(), row.end());
  }
  const auto chunk = sides_[s].coder.encode(values, tokens.size(), rule, ops);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    Slot& slot = tokens_[tokens[i]].slot[s];
    slot.whole = {};
    slot.chunk = chunk;
    slot.row = i;
    touch(s, tokens[i]);
  }
}

// --- maintenance ---------------------------------------------------------------------------------

void KvCache::maintain() {
  const auto& key = plan(KvTensor::key);
  const auto& salient = first_of(key.salient, plan(KvTensor::value).salient);
  if (salient && salient->scorer == Scorer::accumulated) {
    demote();
  } else if (salient && salient->refresh != 0) {
    if (unclassified_ >= salient->refresh) recompress();
  } else {
    settle(kKey);
    settle(kValue);
  }
  if (first_of(key.evict, plan(KvTensor::value).evict)) evict();
}

void KvCache::settle(std::size_t s) {
  const KvPlan& p = sides_[s].coder.plan();
  if (!p.ages.empty()) return settle_ages(s);
  settle_window(s);
  if (p.budget_bytes != 0) settle_budget(s);
}

/// WIN: `block` codes the window at once when it is full, `slide` the oldest when it overflows.
void KvCache::settle_window(std::size_t s) {
  Side& store = sides_[s];
  const KvPlan& p = store.coder.plan();
  if (p.retrieve) return;  // keys and values stay whole behind the index
  std::vector<std::size_t> waiting;
  for (std::size_t t = 0; t < tokens_.size(); ++t)
    if (!tokens_[t].sink && !tokens_[t].slot[s].coded()) waiting.push_back(t);
  const std::size_t keep = p.flush == Flush::slide ? p.window : 0;
  const std::size_t due =
      p.flush == Flush::slide ? p.window + p.box_tokens : std::max(p.window, p.box_tokens);
  while (waiting.size() >= due) {
    const std::size_t now =
        p.flush == Flush::slide ? (waiting.size() - keep) / p.box_tokens * p.box_tokens : due;
    std::vector<std::size_t> classes[2];
    const bool two = p.salient && p.salient->scorer == Scorer::text_similarity;
    for (std::size_t i = 0; i < now; ++i)
      classes[two && tokens_[waiting[i]].salient ? 1 : 0].push_back(waiting[i]);
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(now));
    if (p.window != 0 || p.box_tokens > 1)  // what waited is read again
      write_ops_.read_bytes += now * ceil_div(store.coder.full_bits(p.full).full, 8);
    for (std::size_t c = 0; c < 2; ++c) {
      if (classes[c].empty()) continue;
      const BoxRule rule = c == 1 ? rule_with_format(p, p.salient->high) : p.rule;
      for (std::size_t i = 0; i < classes[c].size(); i += p.box_tokens) {
        const std::size_t n = std::min(p.box_tokens, classes[c].size() - i);
        recode(s, std::span<const std::size_t>(classes[c]).subspan(i, n), rule, write_ops_);
      }
      for (const std::size_t t : classes[c]) {  // reaches the present width step by step
        Slot& slot = tokens_[t].slot[s];
        while (p.budget_bytes != 0 && slot.chunk->rule.bits > store.rule.bits)
          slot.chunk = store.coder.shrink(*slot.chunk, maintenance_ops_);
      }
    }
  }
}

/// PM-KVQ: when the codes exceed the budget, all of them are shrunk. Code bytes only.
void KvCache::settle_budget(std::size_t s) {
  Side& store = sides_[s];
  const KvPlan& p = store.coder.plan();
  std::uint64_t coded = 0;
  for (const Token& t : tokens_) coded += t.slot[s].coded() ? 1 : 0;
  while (store.rule.bits > 2 && coded * shape_.width() * store.rule.bits > 8 * p.budget_bytes) {
    for (std::size_t t = 0; t < tokens_.size(); ++t) {
      Slot& slot = tokens_[t].slot[s];
      if (!slot.coded()) continue;
      slot.chunk = store.coder.shrink(*slot.chunk, maintenance_ops_);
      store.rule = slot.chunk->rule;
      touch(s, t);
    }
  }
}

/// AGE: a completed block moves to the tier of its age, through every tier between.
void KvCache::settle_ages(std::size_t s) {
  const KvPlan& p = sides_[s].coder.plan();
  const std::size_t n = tokens_.size();
  const std::uint32_t block =
      p.policy.layout.page_tokens != 0 ? p.policy.layout.page_tokens : kAgeBlock;
  for (std::size_t end = block; end <= n; end += block) {
    std::uint32_t tier = 0;
    double newer_share = 0;
    for (std::uint32_t i = 1; i < p.ages.size(); ++i) {
      newer_share += p.ages[i - 1].at;
      if (n - end >= share_of(newer_share, n)) tier = i;
    }
    for (std::size_t t = end - block; t < end; ++t) {
      Slot& slot = tokens_[t].slot[s];
      while (!tokens_[t].sink && slot.tier < tier) {
        ++slot.tier;
        maintenance_ops_.read_bytes +=
            slot.coded() ? slot.chunk->read_token.read_bytes
                         : ceil_div(sides_[s].coder.full_bits(slot.format).full, 8);
        recode(s, std::array<std::size_t, 1>{t}, rule_with_format(p, p.ages[slot.tier].format),
               maintenance_ops_);
      }
    }
  }
}

/// MiKV: the share `ratio` stays in the high format; half of it is for the newest tokens, as H2O
/// has it, the rest for those that received most attention.
void KvCache::demote() {
  const auto& salient = first_of(plan(KvTensor::key).salient, plan(KvTensor::value).salient);
  std::vector<std::size_t> high;
  for (std::size_t t = 0; t < tokens_.size(); ++t) {
    if (tokens_[t].sink) continue;
    if (!tokens_[t].classified) {
      tokens_[t].classified = tokens_[t].salient = true;
      for (std::size_t s : {kKey, kValue}) {
        const KvPlan& p = sides_[s].coder.plan();
        const Format format = p.salient ? p.salient->high : salient->high;
        if (!is_ieee(format))
          recode(s, std::array<std::size_t, 1>{t}, rule_with_format(p, format), write_ops_);
      }
    }
    if (tokens_[t].salient) high.push_back(t);
  }
  const std::size_t budget = share_of(salient->ratio, tokens_.size());
  while (high.size() > budget) {
    const std::size_t newest =
        std::min(high.size() - 1, std::max<std::size_t>(budget / 2, plan(KvTensor::key).window));
    std::size_t least = 0;
    for (std::size_t i = 1; i + newest < high.size(); ++i)
      if (tokens_[high[i]].score < tokens_[high[least]].score) least = i;
    maintenance_ops_.compare += high.size() - newest;
    const std::size_t t = high[least];
    for (std::size_t s : {kKey, kValue}) {
      const Slot& slot = tokens_[t].slot[s];
      maintenance_ops_.read_bytes += slot.coded()
                                         ? slot.chunk->read_token.read_bytes
                                         : ceil_div(sides_[s].coder.full_bits(slot.format).full, 8);
      recode(s, std::array<std::size_t, 1>{t}, sides_[s].coder.plan().rule, maintenance_ops_);
    }
    tokens_[t].salient = false;
    high.erase(high.begin() + static_cast<std::ptrdiff_t>(least));
  }
}

/// ZipCache's scores of the tokens. Probe rows: the last half of `probe` and as many at random
/// (from a hash of the position) of the queries since the last refresh, softmax exact, summed over
/// heads and rows, over the number of rows that can see the token. Contract reference, after the
/// first compression: the newest row alone, not divided (trap 7).
std::vector<float> KvCache::probe_scores() {
  const auto& salient = first_of(plan(KvTensor::key).salient, plan(KvTensor::value).salient);
  const std::size_t rows = queries_.size();
  const bool single = compressed_before_ && follows_code(plan(KvTensor::key).policy.contract);
  std::vector<std::size_t> probes;
  if (rows != 0) {
    const std::size_t half =
        single ? 1 : std::max<std::size_t>(1, share_of(salient->probe / 2, rows));
    for (std::size_t i = rows - half; i < rows; ++i) probes.push_back(i);
    std::vector<std::pair<std::uint64_t, std::size_t>> rest;
    for (std::size_t i = 0; !single && i + half < rows; ++i)
      rest.emplace_back(SplitMix(queries_[i].position).next(), i);
    std::sort(rest.begin(), rest.end());
    for (std::size_t i = 0; i < std::min(half, rest.size()); ++i) probes.push_back(rest[i].second);
    std::sort(probes.begin(), probes.end());
  }
  refresh_decoded(kKey);
  Salience salience;
  salience.score.resize(tokens_.size());
  salience.seen.resize(tokens_.size());
  const std::size_t dim = shape_.head_dim;
  for (const std::size_t row : probes) {
    std::size_t visible = 0;
    while (visible < tokens_.size() && tokens_[visible].position <= queries_[row].position)
      ++visible;
    if (visible == 0) continue;
    std::vector<float> received(visible, 0.0f), p(visible);
    for (std::size_t h = 0; h < shape_.query_heads; ++h) {
      head_scores(h, std::span<const float>(queries_[row].rows).subspan(h * dim, dim), visible, p);
      softmax(p);
      for (std::size_t t = 0; t < visible; ++t) received[t] += p[t];
    }
    salience.add(received);
    maintenance_ops_.fma += shape_.query_heads * visible * dim;
    maintenance_ops_.special += shape_.query_heads * visible;
    maintenance_ops_.add += shape_.query_heads * visible;
  }
  std::vector<float> scores(tokens_.size());
  for (std::size_t t = 0; t < scores.size(); ++t)
    scores[t] = single ? salience.score[t] : salience.normalised(t);
  return scores;
}

/// ZipCache: classifies what came since the last time and codes everything again, class by class.
void KvCache::recompress() {
  const auto& salient = first_of(plan(KvTensor::key).salient, plan(KvTensor::value).salient);
  const std::vector<float> scores = probe_scores();
  std::vector<std::size_t> fresh;
  std::vector<float> fresh_scores;
  for (std::size_t t = 0; t < tokens_.size(); ++t) {
    if (tokens_[t].classified || tokens_[t].sink) continue;
    fresh.push_back(t);
    fresh_scores.push_back(scores[t]);
  }
  const auto low_count =
      static_cast<std::size_t>((1.0 - salient->ratio) * static_cast<double>(fresh.size()) + 1e-9);
  for (const std::size_t t : fresh) tokens_[t].classified = tokens_[t].salient = true;
  for (const std::uint32_t i : bottom_k(fresh_scores, low_count)) tokens_[fresh[i]].salient = false;
  maintenance_ops_.compare += fresh.size() * ceil_log2(std::max<std::size_t>(low_count, 2));

  for (std::size_t s : {kKey, kValue}) {
    const KvPlan& p = sides_[s].coder.plan();
    maintenance_ops_.read_bytes +=
        ceil_div(stored_bits_of(s == kKey ? KvTensor::key : KvTensor::value).total(), 8);
    std::vector<std::size_t> classes[2];
    for (std::size_t t = 0; t < tokens_.size(); ++t)
      if (!tokens_[t].sink) classes[tokens_[t].salient ? 1 : 0].push_back(t);
    const Format high = p.salient ? p.salient->high : p.rule.format;
    recode(s, classes[0], p.rule, maintenance_ops_);
    recode(s, classes[1], rule_with_format(p, high), maintenance_ops_);
  }
  compressed_before_ = true;
  unclassified_ = 0;
  queries_.clear();
}

/// KVCrush: blocks between the first tokens and the recent ones; the best by score stay, and of the
/// others representatives at uniform spacing of their distance to the anchor.
void KvCache::evict() {
  const TokenPolicy& policy = *first_of(plan(KvTensor::key).evict, plan(KvTensor::value).evict);
  const std::size_t block = policy.block, n = tokens_.size();
  if (n <= policy.sinks + policy.recent) return;
  const std::size_t first = policy.sinks;
  const std::size_t blocks = (n - policy.sinks - policy.recent) / block;
  const std::size_t budget = policy.count / block;
  if (blocks <= budget) return;

  std::vector<float> score(blocks * block), block_score(blocks, 0.0f);
  for (std::size_t i = 0; i < score.size(); ++i) {
    const Token& t = tokens_[first + i];
    if (policy.scorer == Scorer::snap) {
      for (const float p : t.recent) score[i] += p;
      if (!t.recent.empty()) score[i] /= static_cast<float>(t.recent.size());
    } else {
      score[i] = t.score;
    }
    block_score[i / block] += score[i];
  }
  maintenance_ops_.add += score.size();
  const bool crush = policy.keep == Keep::representative;
  const std::size_t apart = crush ? std::min<std::size_t>(policy.representatives, budget) : 0;
  std::vector<std::uint8_t> stays(blocks, 0);
  for (const std::uint32_t b : top_k(block_score, budget - apart)) stays[b] = 1;
  maintenance_ops_.compare += blocks * ceil_log2(budget);
  if (apart != 0) {
    std::vector<std::uint32_t> out;
    for (std::uint32_t b = 0; b < blocks; ++b)
      if (stays[b] == 0) out.push_back(b);
    const std::size_t words = ceil_div(block, 64);
    std::vector<std::uint64_t> signature(blocks * words, 0);
    for (const std::uint32_t i : top_k(score, score.size() / 2))
      signature[i / block * words + i % block / 64] |= std::uint64_t{1} << (i % block % 64);
    std::vector<std::uint64_t> anchor(words, 0);
    for (std::size_t bit = 0; bit < block; ++bit) {
      std::size_t set = 0;
      for (const std::uint32_t b : out) set += signature[b * words + bit / 64] >> (bit % 64) & 1u;
      bool one = false;
      switch (policy.anchor) {
        case Anchor::random:
          one = (SplitMix(bit).next() & 1u) != 0;
          break;
        case Anchor::zeros:
          break;
        case Anchor::ones:
          one = true;
          break;
        case Anchor::mean:
          one = 2 * set >= out.size();
          break;
        case Anchor::alternating:
          one = bit % 2 == 1;
          break;
      }
      if (one) anchor[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
    std::vector<std::uint32_t> distances;
    for (const std::uint32_t b : out)
      distances.push_back(
          hamming(std::span<const std::uint64_t>(signature).subspan(b * words, words), anchor));
    for (const std::uint32_t i : strided_pick(distances, apart)) stays[out[i]] = 1;
    maintenance_ops_.popcount += out.size() * words;
    maintenance_ops_.compare += score.size() + out.size() * ceil_log2(out.size());
  }
  std::vector<std::uint8_t> gone(n, 0);
  for (std::size_t i = 0; i < score.size(); ++i)
    if (stays[i / block] == 0 && !tokens_[first + i].sink) gone[first + i] = 1;
  erase(gone);
}

void KvCache::erase(const std::vector<std::uint8_t>& gone) {
  std::size_t kept = 0;
  std::size_t first_gone = gone.size();
  for (std::size_t t = 0; t < tokens_.size(); ++t) {
    if (gone[t] != 0) {
      first_gone = std::min(first_gone, t);
      continue;
    }
    if (kept != t) tokens_[kept] = std::move(tokens_[t]);
    ++kept;
  }
  tokens_.resize(kept);
  for (Side& s : sides_) {
    s.clean.resize(kept);
    for (std::size_t t = first_gone; t < kept; ++t) s.clean[t] = 0;
  }
  read_cache_valid_ = false;
}

void KvCache::truncate(std::size_t tokens) {
  if (tokens >= tokens_.size()) return;
  tokens_.resize(tokens);
  for (Side& s : sides_) s.clean.resize(tokens);
  sinks_held_ = 0;
  unclassified_ = 0;
  for (const Token& t : tokens_) {
    sinks_held_ += t.sink ? 1 : 0;
    unclassified_ += t.classified ? 0 : 1;
  }
  const std::uint64_t last = tokens_.empty() ? 0 : tokens_.back().position;
  std::erase_if(queries_, [&](const Query& q) { return tokens_.empty() || q.position > last; });
  read_cache_valid_ = false;
}

void KvCache::reset() {
  tokens_.clear();
  queries_.clear();
  protected_.clear();
  for (Side& s : sides_) {
    s.clean.clear();
    s.rule = s.coder.plan().rule;
  }
  sinks_held_ = unclassified_ = 0;
  compressed_before_ = read_cache_valid_ = false;
  fetched_.clear();
  write_ops_ = read_ops_ = maintenance_ops_ = {};
}

// --- reading -------------------------------------------------------------------------------------

void KvCache::grow(std::size_t tokens) {
  if (tokens <= capacity_) return;
  const std::size_t capacity = std::max({tokens, 2 * capacity_, kFirstCapacity});
  const std::size_t held = tokens_.size(), dim = shape_.head_dim, heads = shape_.kv_heads;
  for (std::size_t s : {kKey, kValue}) {
    std::vector<float> wider(shape_.width() * capacity);
    for (std::size_t h = 0; h < heads && held > 0; ++h) {
      const float* from = sides_[s].decoded.data() + h * dim * capacity_;
      float* to = wider.data() + h * dim * capacity;
      if (s == kValue) {
        std::copy_n(from, held * dim, to);
      } else {
        for (std::size_t i = 0; i < dim; ++i)
          std::copy_n(from + i * capacity_, held, to + i * capacity);
      }
    }
    sides_[s].decoded = std::move(wider);
  }
  capacity_ = capacity;
}

std::vector<float> KvCache::decode_token(std::size_t s, std::size_t t) const {
  std::vector<float> row = stored_values(s, t);
  sides_[s].coder.depart(row);
  if (s == kKey && plan(KvTensor::key).rope_on_read) {
    const RopeAngles angles = rope_angles(tokens_[t].position, frequencies_);
    for (std::size_t h = 0; h < shape_.kv_heads; ++h)
      rope(std::span<float>(row).subspan(h * shape_.head_dim, shape_.head_dim), angles);
  }
  return row;
}

void KvCache::store_decoded(std::size_t s, std::size_t t, std::span<const float> row) {
  const std::size_t dim = shape_.head_dim;
  for (std::size_t h = 0; h < shape_.kv_heads; ++h) {
    float* head = sides_[s].decoded.data() + h * dim * capacity_;
    for (std::size_t i = 0; i < dim; ++i)
      head[s == kKey ? i * capacity_ + t : t * dim + i] = row[h * dim + i];
  }
}

void KvCache::refresh_decoded(std::size_t s) {
  for (std::size_t t = 0; t < tokens_.size(); ++t) {
    if (sides_[s].clean[t] != 0 && !reference_) continue;
    store_decoded(s, t, decode_token(s, t));
    sides_[s].clean[t] = 1;
  }
}

void KvCache::head_scores(std::size_t head, std::span<const float> query, std::size_t count,
                          std::span<float> scores) const {
  const std::size_t dim = shape_.head_dim;
  const std::size_t h = head / (shape_.query_heads / shape_.kv_heads);
  const float* keys = sides_[kKey].decoded.data() + h * dim * capacity_;
  const float inverse_root = 1.0f / std::sqrt(static_cast<float>(dim));
  if (reference_) {
    for (std::size_t t = 0; t < count; ++t) {
      float sum = 0.0f;
      for (std::size_t i = 0; i < dim; ++i) sum = std::fma(query[i], keys[i * capacity_ + t], sum);
      scores[t] = sum * inverse_root;
    }
    return;
  }
  std::fill_n(scores.begin(), count, 0.0f);
  for (std::size_t i = 0; i < dim; ++i)
    accumulate(query[i], keys + i * capacity_, count, scores.data());
  for (std::size_t t = 0; t < count; ++t) scores[t] *= inverse_root;
}

void KvCache::head_context(std::size_t head, std::span<const float> p, std::span<float> out) const {
  const std::size_t dim = shape_.head_dim;
  const std::size_t h = head / (shape_.query_heads / shape_.kv_heads);
  const float* values = sides_[kValue].decoded.data() + h * dim * capacity_;
  if (reference_) {
    for (std::size_t j = 0; j < dim; ++j) {
      float sum = 0.0f;
      for (std::size_t t = 0; t < p.size(); ++t) sum = std::fma(p[t], values[t * dim + j], sum);
      out[j] = sum;
    }
    return;
  }
  std::fill(out.begin(), out.end(), 0.0f);
  for (std::size_t t = 0; t < p.size(); ++t) accumulate(p[t], values + t * dim, dim, out.data());
}

/// A2ATS: which tokens each KV head reads: the first, the recent, and those the index ranks highest
/// for any query head of its group.
std::vector<std::vector<std::uint8_t>> KvCache::retrieve(std::span<const float> query_pre,
                                                         std::size_t visible, OpCounts& ops) {
  const TokenPolicy& policy = *plan(KvTensor::key).retrieve;
  const std::size_t dim = shape_.head_dim, words = calibration_.codewords;
  const std::size_t share = shape_.query_heads / shape_.kv_heads;
  require(query_pre.size() == shape_.query_heads * dim, "kv: retrieval needs queries before RoPE");
  const std::size_t first = std::min<std::size_t>(policy.sinks, visible);
  const std::size_t last = visible - std::min<std::size_t>(policy.count, visible);
  std::vector<std::vector<std::uint8_t>> selected(shape_.kv_heads,
                                                  std::vector<std::uint8_t>(visible, 1));
  fetched_.clear();
  if (last <= first) return selected;
  const RopeAngles far = rope_angles(kFarPosition, frequencies_);
  const std::size_t wanted = share_of(policy.ratio, visible);
  std::vector<std::uint8_t> anywhere(visible, 0);
  for (std::size_t h = 0; h < shape_.kv_heads; ++h)
    std::fill(selected[h].begin() + static_cast<std::ptrdiff_t>(first),
              selected[h].begin() + static_cast<std::ptrdiff_t>(last), std::uint8_t{0});
  for (std::size_t head = 0; head < shape_.query_heads; ++head) {
    const std::size_t h = head / share;
    std::vector<float> query(query_pre.begin() + static_cast<std::ptrdiff_t>(head * dim),
                             query_pre.begin() + static_cast<std::ptrdiff_t>((head + 1) * dim));
    rope(query, far);
    const std::span<const float> book(calibration_.index_codewords);
    const std::vector<float> by_word =
        codeword_scores(query, book.subspan(h * words * dim, words * dim));
    std::vector<float> scores;
    for (std::size_t t = first; t < last; ++t) scores.push_back(by_word[tokens_[t].codewords[h]]);
    for (const std::uint32_t i : top_k(scores, wanted))
      selected[h][first + i] = anywhere[first + i] = 1;
    ops.fma += words * dim;
    ops.lookup += scores.size();
    ops.compare += scores.size() * ceil_log2(std::max<std::size_t>(wanted, 2));
  }
  ops.multiply += 2 * query_pre.size();  // the windowed RoPE of the query
  ops.add += query_pre.size();
  ops.read_bytes +=
      ceil_div(visible * shape_.kv_heads * ceil_log2(words), 8) + 2 * shape_.kv_heads * words * dim;
  for (std::size_t t = 0; t < visible; ++t)
    if (anywhere[t] != 0) fetched_.push_back(tokens_[t].position);
  return selected;
}

/// Quest (Tang et al., arXiv 2406.10774, algorithm 1): no key of a page can score more than the sum
/// over the channels of the larger of q x min and q x max of its keys, in fp32, channels ascending.
/// Each KV head reads the pages with the largest such bounds for any query head of its group, and
/// the last page, which counts among the `ratio` of all. Where all pages are read nothing is
/// scored.
std::vector<std::vector<std::uint8_t>> KvCache::retrieve_pages(std::span<const float> query,
                                                               std::size_t visible, OpCounts& ops) {
  const TokenPolicy& policy = *plan(KvTensor::key).retrieve;
  const std::size_t dim = shape_.head_dim, block = policy.block;
  const std::size_t share = shape_.query_heads / shape_.kv_heads;
  const std::size_t pages = ceil_div(visible, block), scored = pages - 1;
  const std::size_t wanted = std::max<std::size_t>(1, share_of(policy.ratio, pages)) - 1;
  std::vector<std::vector<std::uint8_t>> selected(shape_.kv_heads,
                                                  std::vector<std::uint8_t>(visible, 1));
  fetched_.clear();
  if (wanted >= scored) return selected;
  std::vector<std::uint8_t> anywhere(visible, 0);
  std::fill(anywhere.begin() + static_cast<std::ptrdiff_t>(scored * block), anywhere.end(),
            std::uint8_t{1});
  std::vector<float> least(scored * dim), most(scored * dim), bounds(scored);
  for (std::size_t h = 0; h < shape_.kv_heads; ++h) {
    const float* keys = sides_[kKey].decoded.data() + h * dim * capacity_;
    for (std::size_t i = 0; i < dim; ++i) {
      for (std::size_t p = 0; p < scored; ++p) {
        const auto [low, high] = std::minmax_element(keys + i * capacity_ + p * block,
                                                     keys + i * capacity_ + (p + 1) * block);
        least[p * dim + i] = *low;
        most[p * dim + i] = *high;
      }
    }
    std::fill_n(selected[h].begin(), scored * block, std::uint8_t{0});
    for (std::size_t head = h * share; head < (h + 1) * share; ++head) {
      const float* q = query.data() + head * dim;
      for (std::size_t p = 0; p < scored; ++p) {
        float sum = 0.0f;
        for (std::size_t i = 0; i < dim; ++i)
          sum += std::max(q[i] * least[p * dim + i], q[i] * most[p * dim + i]);
        bounds[p] = sum;
      }
      for (const std::uint32_t p : top_k(bounds, wanted)) {
        std::fill_n(selected[h].begin() + static_cast<std::ptrdiff_t>(p * block), block,
                    std::uint8_t{1});
        std::fill_n(anywhere.begin() + static_cast<std::ptrdiff_t>(p * block), block,
                    std::uint8_t{1});
      }
    }
  }
  const std::uint64_t all = shape_.query_heads * scored;
  ops.multiply += 2 * all * dim;
  ops.add += all * dim;
  ops.compare += all * (dim + ceil_log2(std::max<std::size_t>(wanted, 2)));
  ops.read_bytes += scored * shape_.kv_heads * 2 * dim * 2;
  for (std::size_t t = 0; t < visible; ++t)
    if (anywhere[t] != 0) fetched_.push_back(tokens_[t].position);
  return selected;
}

void KvCache::count_read(std::size_t visible,
                         const std::vector<std::vector<std::uint8_t>>& selected) {
  const bool everything = selected.empty() && visible == tokens_.size();
  if (everything && read_cache_valid_) {
    read_ops_ += read_cache_;
    return;
  }
  OpCounts ops;
  for (std::size_t s : {kKey, kValue}) {
    const OpCounts depart = sides_[s].coder.depart_ops();
    std::unordered_set<const KvChunk*> met;
    for (std::size_t t = 0; t < visible; ++t) {
      const Slot& slot = tokens_[t].slot[s];
      OpCounts token = depart;
      if (!slot.coded()) {
        token.read_bytes += ceil_div(sides_[s].coder.full_bits(slot.format).full, 8);
      } else {
        token += slot.chunk->read_token;
        if (slot.chunk->rows == 1 || met.insert(slot.chunk.get()).second)
          token += slot.chunk->read_once;
      }
      std::uint64_t heads = shape_.kv_heads;
      if (!selected.empty()) {
        heads = 0;
        for (const auto& head : selected) heads += head[t];
      }
      ops += heads == shape_.kv_heads ? token : scaled(token, heads, shape_.kv_heads);
    }
  }
  read_ops_ += ops;
  if (everything) {
    read_cache_ = ops;
    read_cache_valid_ = true;
  }
}

void KvCache::attend(std::span<const float> query_pre, std::span<const float> query_post,
                     std::uint64_t position, std::span<float> out) {
  const std::size_t dim = shape_.head_dim, width = shape_.query_heads * dim;
  require(query_post.size() == width && out.size() == width, "kv: queries are not one token wide");
  std::size_t visible = tokens_.size();
  while (visible > 0 && tokens_[visible - 1].position > position) --visible;
  require(visible != 0, "kv: no token is visible to this query");
  refresh_decoded(kKey);
  refresh_decoded(kValue);

  std::vector<float> query(query_post.begin(), query_post.end());
  sides_[kKey].coder.transform_query(query, read_ops_);
  std::vector<std::vector<std::uint8_t>> selected;
  if (const auto& r = plan(KvTensor::key).retrieve) {
    selected = r->by_pages() ? retrieve_pages(query, visible, read_ops_)
                             : retrieve(query_pre, visible, read_ops_);
  }

  const auto& salient = first_of(plan(KvTensor::key).salient, plan(KvTensor::value).salient);
  const auto& evicting = first_of(plan(KvTensor::key).evict, plan(KvTensor::value).evict);
  std::vector<float> received(visible, 0.0f), p(visible);
  for (std::size_t h = 0; h < shape_.query_heads; ++h) {
    head_scores(h, std::span<const float>(query).subspan(h * dim, dim), visible, p);
    if (!selected.empty()) {
      const auto& reads = selected[h / (shape_.query_heads / shape_.kv_heads)];
      for (std::size_t t = 0; t < visible; ++t)
        if (reads[t] == 0) p[t] = -std::numeric_limits<float>::infinity();
    }
    softmax(p);
    for (std::size_t t = 0; t < visible; ++t) received[t] += p[t];
    head_context(h, p, out.subspan(h * dim, dim));
  }
  sides_[kValue].coder.transform_output(out);

  const bool accumulates = (salient && salient->scorer == Scorer::accumulated) || evicting;
  for (std::size_t t = 0; accumulates && t < visible; ++t) {
    Token& token = tokens_[t];
    token.score += received[t];
    ++token.seen;
    if (evicting && evicting->scorer == Scorer::snap) {
      if (token.recent.size() >= std::max(evicting->queries, 1u))
        token.recent.erase(token.recent.begin());
      token.recent.push_back(received[t]);
    }
  }
  if (accumulates) read_ops_.add += visible * shape_.query_heads;
  if (salient && salient->scorer == Scorer::normalised) queries_.push_back({position, query});
  count_read(visible, selected);
}

// --- what is held --------------------------------------------------------------------------------

KvTokenView KvCache::token(std::size_t i) const {
  require(i < tokens_.size(), "kv: no such token");
  const Token& t = tokens_[i];
  const auto format = [](const Slot& s) { return s.coded() ? s.chunk->rule.format : s.format; };
  return {t.position, t.sink, t.salient, format(t.slot[kKey]), format(t.slot[kValue])};
}

std::vector<float> KvCache::decoded_key(std::size_t i) const {
  require(i < tokens_.size(), "kv: no such token");
  return decode_token(kKey, i);
}
std::vector<float> KvCache::decoded_value(std::size_t i) const {
  require(i < tokens_.size(), "kv: no such token");
  return decode_token(kValue, i);
}

std::vector<std::uint16_t> KvCache::codes(KvTensor tensor, std::size_t i) const {
  require(i < tokens_.size(), "kv: no such token");
  const Slot& slot = tokens_[i].slot[tensor == KvTensor::key ? kKey : kValue];
  if (!slot.coded() || slot.chunk->codes.empty()) return {};
  const std::size_t columns = slot.chunk->codes.size() / slot.chunk->rows;
  const auto first = slot.chunk->codes.begin() + static_cast<std::ptrdiff_t>(slot.row * columns);
  return {first, first + static_cast<std::ptrdiff_t>(columns)};
}

KvBits KvCache::stored_bits_of(KvTensor tensor) const {
  const std::size_t s = tensor == KvTensor::key ? kKey : kValue;
  const KvCoder& coder = sides_[s].coder;
  const KvPlan& p = coder.plan();
  KvBits bits;
  std::unordered_set<const KvChunk*> met;
  std::uint64_t coded = 0;
  for (const Token& t : tokens_) {
    const Slot& slot = t.slot[s];
    if (!slot.coded()) {
      bits += coder.full_bits(slot.format);
    } else {
      ++coded;
      if (met.insert(slot.chunk.get()).second) bits += slot.chunk->stored;
    }
  }
  if (p.salient) bits.index += tokens_.size();
  if (p.retrieve && p.retrieve->by_pages() && tensor == KvTensor::key)
    bits.index += tokens_.size() / p.retrieve->block * shape_.width() * 2 * 16;
  else if (p.retrieve && tensor == KvTensor::key)
    bits.index += tokens_.size() * shape_.kv_heads * ceil_log2(calibration_.codewords);
  const std::uint64_t page = p.policy.layout.page_tokens;
  if (page != 0 && coded != 0 && p.box_tokens == 1 && !p.salient && p.ages.empty()) {
    const std::uint64_t token_bits = coder.chunk_bits(sides_[s].rule, 1).total();
    const std::uint64_t pages = ceil_div(coded, page), align = 8ull * p.policy.layout.align_bytes;
    bits.padding += (pages * page - coded) * token_bits;
    bits.padding += pages * (ceil_div(page * token_bits, align) * align - page * token_bits);
  }
  return bits;
}

StoredBytes KvCache::stored() const {
  KvBits bits = stored_bits_of(KvTensor::key);
  bits += stored_bits_of(KvTensor::value);
  StoredBytes bytes;
  bytes.codes = ceil_div(bits.codes, 8);
  bytes.metadata = ceil_div(bits.metadata, 8);
  bytes.full = ceil_div(bits.full, 8);
  bytes.sparse = ceil_div(bits.sparse, 8);
  bytes.index = ceil_div(bits.index, 8);
  bytes.padding = ceil_div(bits.padding, 8);
  bytes.codebook =
      ceil_div(sides_[kKey].coder.static_bits() + sides_[kValue].coder.static_bits(), 8);
  if (const auto& r = plan(KvTensor::key).retrieve; r && !r->by_pages())
    bytes.codebook += 2 * calibration_.index_codewords.size();
  return bytes;
}

std::uint64_t KvCache::backing_bytes() const {
  const auto& r = plan(KvTensor::key).retrieve;
  if (!r || r->tier == "dram") return 0;
  return ceil_div(stored_bits_of(KvTensor::key).full + stored_bits_of(KvTensor::value).full, 8);
}

std::vector<std::uint64_t> tokens_of_largest_elements(std::span<const float> hidden,
                                                      std::size_t width, std::size_t count) {
  require(width != 0 && hidden.size() % width == 0, "kv: hidden states are not whole tokens");
  std::vector<std::uint64_t> owners;
  for (const std::uint32_t i : top_k(hidden, hidden.size(), true)) {
    if (owners.size() >= count) break;
    const std::uint64_t owner = i / width;
    if (std::find(owners.begin(), owners.end(), owner) == owners.end()) owners.push_back(owner);
  }
  std::sort(owners.begin(), owners.end());
  return owners;
}

}  // namespace systole::quant
