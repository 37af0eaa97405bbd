#include "quant/storage.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "quant/check.hpp"
#include "quant/formats/codec.hpp"

namespace systole::quant {
namespace {

constexpr std::uint64_t kFullBits = 16;  ///< of one element kept at full precision

/// A cache tensor or part of one; of a matrix, tokens are its rows and there is one head.
struct Extent {
  std::uint64_t tokens = 0, heads = 1, channels = 0;
  bool cache = false;
  std::uint64_t width() const { return checked_product(heads, channels); }
  std::uint64_t rows() const { return checked_product(tokens, heads); }
  std::uint64_t elements() const { return checked_product(tokens, width()); }
};

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0 ? 1 : 0); }
std::uint64_t round_up(std::uint64_t bits, std::uint64_t unit) {
  return checked_product(ceil_div(bits, unit), unit);
}
/// A share of a count, rounded to nearest.
std::uint64_t share(double fraction, std::uint64_t count) {
  require(fraction >= 0 && fraction <= 1, "a share lies between 0 and 1");
  return static_cast<std::uint64_t>(fraction * static_cast<double>(count) + 0.5);
}

StoredBits times(const StoredBits& s, std::uint64_t n) {
  StoredBits out;
  const auto part = [n](std::uint64_t bits) { return checked_product(bits, n); };
  out.codes = part(s.codes);
  out.scales = part(s.scales);
  out.zeros = part(s.zeros);
  out.tags = part(s.tags);
  out.codebook = part(s.codebook);
  out.sparse_values = part(s.sparse_values);
  out.sparse_indices = part(s.sparse_indices);
  out.index = part(s.index);
  out.padding = part(s.padding);
  return out;
}

StoredBits full_precision(const Extent& e) {
  StoredBits s;
  s.codes = checked_product(e.elements(), kFullBits);
  return s;
}

/// Codes of rows of `cols` elements and what fills them up.
void add_codes(const CodeLayout& codes, const Layout& layout, std::uint64_t rows,
               std::uint64_t cols, StoredBits& s) {
  const std::uint64_t words = ceil_div(ceil_div(cols, codes.vector), codes.symbols);
  const std::uint64_t used = checked_product(words, codes.word_bits);
  const std::uint64_t unit = std::max<std::uint32_t>(layout.word_bits, 8);
  const std::uint64_t padded = layout.interleave == Interleave::planes
                                   ? checked_product(round_up(words, unit), codes.word_bits)
                                   : round_up(used, unit);
  s.codes = checked_sum(s.codes, checked_product(rows, used));
  s.padding = checked_sum(s.padding, checked_product(rows, padded - used));
}

/// Boxes of a level in an extent.
std::uint64_t boxes_of(const Level& level, const Extent& e) {
  require(level.box.size() == (e.cache ? 3u : 2u), "a level's box has one extent for each axis");
  const auto along = [](std::uint32_t box, std::uint64_t extent) {
    return box == 0 ? std::uint64_t{1} : ceil_div(extent, box);
  };
  std::uint64_t boxes = along(level.box.front(), e.tokens);
  if (e.cache) boxes = checked_product(boxes, along(level.box[1], e.heads));
  return checked_product(boxes, along(level.box.back(), e.channels));
}

/// All elements of an extent in one format.
StoredBits uniform(const TensorPolicy& policy, Format format, const Extent& e) {
  if (e.elements() == 0) return {};
  QuantSpec spec = policy.spec();
  spec.format = format;
  const Codec& codec = codec_of(format);
  const bool plain_words =
      policy.layout.word_bits <= 8 && policy.layout.interleave != Interleave::planes;
  const bool own_levels = policy.levels.empty() || is_ieee(format);
  StoredBits s;
  if (own_levels) s = codec.stored(e.rows(), e.channels, spec);
  if (own_levels && (plain_words || info_of(format).kind == FormatClass::gguf)) return s;
  const CodecLayout l = codec.layout(spec);
  if (own_levels) {  // the codes again, in the layout's words
    StoredBits bytes;
    add_codes(l.codes, Layout{}, e.rows(), e.channels, bytes);
    s.codes -= bytes.codes;
    s.padding -= bytes.padding;
    add_codes(l.codes, policy.layout, e.rows(), e.channels, s);
    return s;
  }
  add_codes(l.codes, policy.layout, e.rows(), e.channels, s);
  for (const Level& level : policy.levels) {
    const std::uint64_t boxes = boxes_of(level, e);
    s.scales = checked_sum(s.scales, checked_product(boxes, bits_of(level.scale)));
    s.zeros = checked_sum(s.zeros, checked_product(boxes, level.zero_bits));
  }
  const std::uint64_t inner = boxes_of(policy.levels.back(), e);
  s.tags = checked_product(inner, l.tag_bits);
  s.codebook = checked_product(l.table, bits_of(l.scale));
  if (l.table_by_box) s.codebook = checked_product(s.codebook, inner);
  return s;
}

/// One quantiser over part of the channels: classes and splits make several of an extent.
StoredBits by_channels(const TensorPolicy& policy, Format format, const Extent& e) {
  const OutlierPolicy& o = policy.outliers;
  if (o.kind != OutlierKind::channel_class && o.kind != OutlierKind::split)
    return uniform(policy, format, e);
  const bool split = o.kind == OutlierKind::split;
  Extent first = e, second = e;
  first.channels =
      split ? (o.point == 0 ? e.channels / 2 : o.point) : share(o.fraction, e.channels);
  require(first.channels <= e.channels, "split: the point lies beyond the last channel");
  second.channels = e.channels - first.channels;
  StoredBits s = uniform(policy, split ? format : o.high, first);
  s += uniform(policy, format, second);
  if (!split) s.tags = checked_sum(s.tags, e.width());  // which channels
  return s;
}

/// The low class: its age tiers, newest first, or all of it in the policy's format.
StoredBits by_age(const TensorPolicy& policy, const Extent& e) {
  if (policy.schedule.kind != ScheduleKind::age) return by_channels(policy, policy.format, e);
  StoredBits s;
  std::uint64_t given = 0;
  double until = 0;
  for (const ScheduleEntry& entry : policy.schedule.entries) {
    until = std::min(1.0, until + entry.at);
    Extent tier = e;
    tier.tokens = std::min(share(until, e.tokens), e.tokens) - given;
    given += tier.tokens;
    s += by_channels(policy, entry.format, tier);
  }
  Extent rest = e;
  rest.tokens -= given;
  s += by_channels(policy, policy.format, rest);
  return s;
}

/// Outliers kept apart.
void add_sparse(const OutlierPolicy& o, const Extent& e, StoredBits& s) {
  if (o.kind != OutlierKind::dense_sparse) return;
  const std::uint64_t capped = checked_product(e.tokens, o.count);
  const std::uint64_t shared = share(o.fraction, e.elements());
  const std::uint64_t kept = o.fraction == 0 ? capped
                             : o.count == 0  ? shared
                                             : std::min(capped, shared);
  s.sparse_values = checked_sum(s.sparse_values, checked_product(kept, o.value_bits));
  s.sparse_indices = checked_sum(s.sparse_indices, checked_product(kept, o.index_bits));
}

/// Quantised tokens in pages, or in one piece.
StoredBits paged(const TensorPolicy& policy, const Extent& e) {
  const auto body = [&policy](const Extent& part) {
    StoredBits s = by_age(policy, part);
    add_sparse(policy.outliers, part, s);
    return s;
  };
  const std::uint64_t align =
      checked_product(std::max<std::uint32_t>(policy.layout.align_bytes, 1), 8);
  const std::uint64_t size = policy.layout.page_tokens;
  if (size == 0 || !e.cache) {
    StoredBits s = body(e);
    s.padding = checked_sum(s.padding, round_up(s.total(), align) - s.total());
    return s;
  }
  Extent page = e;
  page.tokens = size;
  StoredBits whole = body(page);
  whole.padding += round_up(whole.total(), align) - whole.total();
  StoredBits s = times(whole, e.tokens / size);
  page.tokens = e.tokens % size;
  if (page.tokens == 0) return s;
  StoredBits last = body(page);
  last.padding = checked_sum(last.padding, whole.total() - last.total());
  s += last;
  return s;
}

/// What transforms leave beside the codes.
void add_transforms(const TensorPolicy& policy, const Extent& e, StoredBits& s) {
  for (const Transform& t : policy.transforms) {
    if (t.op == TransformOp::diag && t.where == Where::read)
      s.scales = checked_sum(s.scales, checked_product(e.width(), kFullBits));
    if (t.op != TransformOp::mean || t.where != Where::write || e.elements() == 0) continue;
    std::uint64_t over = 1;
    if (t.axis == TransformAxis::channel) over = e.channels;
    if (t.axis == TransformAxis::head) over = e.heads;
    if (t.axis == TransformAxis::heads_channel) over = e.width();
    if (t.axis == TransformAxis::token) over = e.tokens;
    s.zeros = checked_sum(s.zeros, checked_product(e.elements() / over, kFullBits));
  }
}

/// A retrieval index: a codeword a token and head, and the codewords.
void add_index(const TensorPolicy& policy, const Extent& e, StoredBits& s) {
  for (const TokenPolicy& t : policy.tokens) {
    if (t.by_pages() && t.block > 0) {
      s.index = checked_sum(s.index, checked_product(e.tokens / t.block * 2 * 16, e.width()));
    }
    if (t.kind != TokenKind::retrieve || t.codewords < 2) continue;
    s.index = checked_sum(
        s.index, checked_product(e.rows(), static_cast<unsigned>(std::bit_width(t.codewords - 1))));
    const std::uint64_t words = checked_product(t.codewords, e.width());
    s.codebook = checked_sum(s.codebook, checked_product(words, kFullBits));
  }
}

}  // namespace

TokenSplit split_tokens(const TensorPolicy& policy, std::uint64_t tokens) {
  TokenSplit split;
  split.low = tokens;
  const auto keep_full = [&split](std::uint64_t count) {
    const std::uint64_t taken = std::min(count, split.low);
    split.full += taken;
    split.low -= taken;
  };
  if (policy.outliers.kind == OutlierKind::constant) keep_full(1);
  for (const TokenPolicy& t : policy.tokens) {
    switch (t.kind) {
      case TokenKind::sink:
        keep_full(t.count);
        break;
      case TokenKind::window:
        keep_full(t.flush == Flush::slide ? t.count : (t.count == 0 ? 0 : split.low % t.count));
        break;
      case TokenKind::salient:
        split.salient = share(t.ratio, split.low);
        split.low -= split.salient;
        break;
      case TokenKind::evict: {
        const std::uint64_t budget = checked_sum(t.count, t.sinks);
        split.evicted = split.low - std::min(split.low, budget);
        split.low -= split.evicted;
        break;
      }
      case TokenKind::all:
      case TokenKind::retrieve:
        break;
    }
  }
  return split;
}

StoredBits stored(const TensorPolicy& policy, std::span<const std::uint64_t> shape) {
  require(shape.size() == 2 || shape.size() == 3, "a tensor has 2 axes, a cache 3");
  Extent all;
  all.cache = shape.size() == 3;
  all.tokens = shape.front();
  all.heads = all.cache ? shape[1] : 1;
  all.channels = shape.back();
  if (all.elements() == 0) return {};
  const TokenSplit split =
      all.cache ? split_tokens(policy, all.tokens) : TokenSplit{0, 0, all.tokens, 0};
  Extent part = all;
  part.tokens = split.full;
  StoredBits s = full_precision(part);
  const auto salient = std::ranges::find(policy.tokens, TokenKind::salient, &TokenPolicy::kind);
  if (salient != policy.tokens.end() && all.cache) {
    part.tokens = split.salient;
    s += by_channels(policy, salient->high, part);
    s.tags = checked_sum(s.tags, checked_sum(split.salient, split.low));
  }
  part.tokens = split.low;
  s += paged(policy, part);
  if (policy.format == Format::codebook && all.cache)
    s.codebook = checked_product(s.codebook, all.heads);
  part.tokens = checked_sum(split.salient, split.low);
  add_transforms(policy, part, s);
  add_index(policy, part, s);
  return s;
}

std::uint64_t checked_product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product))
    throw std::overflow_error("stored_bits: more than 2^64 bits");
  return product;
}

std::uint64_t checked_sum(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum))
    throw std::overflow_error("stored_bits: more than 2^64 bits");
  return sum;
}

std::uint64_t StoredBits::total() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t part :
       {codes, scales, zeros, tags, codebook, sparse_values, sparse_indices, index, padding})
    sum = checked_sum(sum, part);
  return sum;
}

StoredBits& StoredBits::operator+=(const StoredBits& o) {
  codes = checked_sum(codes, o.codes);
  scales = checked_sum(scales, o.scales);
  zeros = checked_sum(zeros, o.zeros);
  tags = checked_sum(tags, o.tags);
  codebook = checked_sum(codebook, o.codebook);
  sparse_values = checked_sum(sparse_values, o.sparse_values);
  sparse_indices = checked_sum(sparse_indices, o.sparse_indices);
  index = checked_sum(index, o.index);
  padding = checked_sum(padding, o.padding);
  return *this;
}

}  // namespace systole::quant
