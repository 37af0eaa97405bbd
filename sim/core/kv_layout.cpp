// The contract is in the header.
#include "sim/core/kv_layout.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole {
namespace {

constexpr std::uint64_t kRegionAlignment = 64;  // a burst of every shipped DRAM
/// Rows of one large array start an odd number of these apart, as padded leading dimensions do:
/// whole segments, and neighbouring rows in different channels (the shipped interleave; assumed).
constexpr std::uint64_t kRowAlignment = 256;

std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return ceil_div(value, multiple) * multiple;
}

std::uint64_t share_of(double share, std::uint64_t n) {
  return std::min(n, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(n))));
}

/// Of one unit, all rows and heads.
std::uint64_t plane_bits(const KvPlane& plane, std::uint64_t heads) {
  return plane.rows * (plane.by_head ? heads : 1) * plane.unit_bits;
}

std::uint64_t held_after_eviction(const KvLayout& layout, std::uint64_t tokens) {
  if (layout.evict_block == 0) return tokens;
  const std::uint64_t outside = layout.evict_sinks + layout.evict_recent;
  if (tokens <= outside) return tokens;
  const std::uint64_t between = tokens - outside;
  if (between / layout.evict_block <= layout.evict_blocks) return tokens;
  return outside + layout.evict_blocks * layout.evict_block + between % layout.evict_block;
}

/// `rows_aligned`: of one large array.
KvPageGeometry page_of(const std::vector<KvPlane>& planes, std::uint64_t heads,
                       std::uint64_t tokens, std::uint64_t align, bool rows_aligned) {
  KvPageGeometry page{tokens, 0, {}};
  for (const KvPlane& plane : planes) {
    const std::uint64_t units = ceil_div(tokens, plane.unit_tokens);
    std::uint64_t row = ceil_div(units * plane.unit_bits, 8);
    if (rows_aligned) row = (ceil_div(row, kRowAlignment) | 1) * kRowAlignment;
    page.planes.push_back({page.bytes, row});
    page.bytes += plane.rows * (plane.by_head ? heads : 1) * row;
  }
  page.bytes = round_up(page.bytes, align);
  return page;
}

}  // namespace

KvDecodeWork& KvDecodeWork::operator+=(const KvDecodeWork& other) {
  unpacks += other.unpacks;
  lookups += other.lookups;
  multiply_adds += other.multiply_adds;
  transform_adds += other.transform_adds;
  rotations += other.rotations;
  gathers += other.gathers;
  sparse_macs += other.sparse_macs;
  comparisons += other.comparisons;
  return *this;
}

KvDecodeWork KvDecodeWork::operator*(std::uint64_t n) const {
  return {unpacks * n,   lookups * n, multiply_adds * n, transform_adds * n,
          rotations * n, gathers * n, sparse_macs * n,   comparisons * n};
}

KvDecodeWork KvDecodeWork::part(std::uint64_t index, std::uint64_t parts) const {
  const auto of = [&](std::uint64_t n) { return n * (index + 1) / parts - n * index / parts; };
  return {of(unpacks),   of(lookups), of(multiply_adds), of(transform_adds),
          of(rotations), of(gathers), of(sparse_macs),   of(comparisons)};
}

std::uint64_t KvForm::box_tokens() const {
  std::uint64_t box = 1;
  for (const KvPlane& plane : planes) box = std::lcm(box, plane.unit_tokens);
  return box;
}

std::uint64_t KvForm::box_bits(std::uint64_t heads) const {
  std::uint64_t bits = 0;
  for (const KvPlane& plane : planes) {
    bits += box_tokens() / plane.unit_tokens * plane_bits(plane, heads);
  }
  return bits;
}

bool KvLayout::heads_together() const {
  const auto shared = [](const KvPlane& plane) { return !plane.by_head; };
  return std::ranges::any_of(token_planes, shared) ||
         std::ranges::any_of(forms, [&](const KvForm& form) {
           return form.decode.gathers > 0 || std::ranges::any_of(form.planes, shared);
         });
}

std::uint64_t KvPopulation::held() const {
  return std::accumulate(coded.begin(), coded.end(), full);
}

KvPopulation kv_population(const KvLayout& layout, std::uint64_t tokens) {
  const std::size_t forms = layout.forms.size();
  KvPopulation p{std::vector<std::uint64_t>(forms), std::vector<std::uint64_t>(forms), 0};
  const std::uint64_t held = held_after_eviction(layout, tokens);
  const std::uint64_t evicted = tokens - held;
  switch (layout.rule) {
    case KvRule::window:
    case KvRule::budget: {
      const std::uint64_t sinks = std::min(layout.sinks, held), others = held - sinks;
      const std::uint64_t box = layout.forms.front().box_tokens();
      std::uint64_t coded = 0;
      if (layout.slide) {
        coded = others > layout.window ? (others - layout.window) / box * box : 0;
      } else {
        const std::uint64_t flush = std::max(layout.window, box);
        coded = others / flush * flush;
      }
      std::size_t form = 0;
      while (layout.rule == KvRule::budget && form + 1 < forms &&
             coded * layout.width * layout.code_bits[form] > 8 * layout.budget_bytes) {
        ++form;
      }
      p.coded[form] = coded;
      p.dropped[form] = evicted;
      p.full = held - coded;
      break;
    }
    case KvRule::rounds: {
      const std::uint64_t rounds = held / layout.refresh;
      p.coded = {rounds * layout.low_each, rounds * (layout.refresh - layout.low_each)};
      p.full = held % layout.refresh;
      break;
    }
    case KvRule::share: {
      const std::uint64_t high = share_of(layout.high_share, held);
      p.coded = {held - high, high};
      break;
    }
    case KvRule::ages: {
      const std::uint64_t block = layout.age_block;
      p.full = held % block;
      const std::uint64_t blocks = held / block;
      // Blocks at least as old as a form's boundary; block i of `blocks` ends (i + 1) * block.
      double newer = 0;
      std::uint64_t older = blocks;
      for (std::size_t i = 1; i <= forms; ++i) {
        std::uint64_t beyond = 0;
        if (i < forms) {
          newer += layout.age_shares[i - 1];
          const std::uint64_t boundary = share_of(newer, held);
          beyond = held >= boundary ? (held - boundary) / block : 0;
        }
        beyond = std::min(beyond, older);
        p.coded[i - 1] = (older - beyond) * block;
        p.dropped[i - 1] = beyond * block;
        older = beyond;
      }
      break;
    }
    case KvRule::whole:
      p.full = held;
      break;
  }
  return p;
}

KvStored kv_stored(const KvLayout& layout, std::uint64_t tokens) {
  const KvPopulation p = kv_population(layout, tokens);
  KvStored stored;
  const auto add = [&](KvRole role, std::uint64_t bits) {
    switch (role) {
      case KvRole::codes:
        stored.codes += bits;
        break;
      case KvRole::outliers:
        stored.outliers += bits;
        break;
      case KvRole::index:
        stored.index += bits;
        break;
      default:
        stored.metadata += bits;
        break;
    }
  };
  for (std::size_t f = 0; f < layout.forms.size(); ++f) {
    const KvForm& form = layout.forms[f];
    const std::uint64_t coded = p.coded[f];
    if (coded == 0) continue;
    for (const KvPlane& plane : form.planes) {
      add(plane.role, coded / plane.unit_tokens * plane_bits(plane, layout.heads));
    }
    add(KvRole::scales, form.fixed_bits);
    if (form.counts_page_padding && layout.rule != KvRule::ages) {
      const std::uint64_t token = form.box_bits(layout.heads);
      const std::uint64_t page = round_up(ceil_div(form.page_tokens * token, 8), form.align_bytes);
      stored.padding += ceil_div(coded, form.page_tokens) * page * 8 - coded * token;
    }
  }
  stored.full = p.full * layout.full_token_bits;
  for (const KvPlane& plane : layout.token_planes) {
    add(plane.role, p.held() / plane.unit_tokens * plane_bits(plane, layout.heads));
  }
  return stored;
}

std::uint64_t kv_scored_rows(const KvLayout& layout, std::uint64_t rows, std::uint64_t tokens,
                             bool prompt) {
  if (prompt) {
    return std::min(rows, layout.score_prompt_rows + share_of(layout.score_prompt_share, rows));
  }
  const bool due =
      layout.score_every > 0 && tokens / layout.score_every != (tokens - rows) / layout.score_every;
  return due ? layout.score_rows : 0;
}

std::uint64_t kv_attended(const KvLayout& layout, std::uint64_t tokens) {
  if (layout.rule != KvRule::whole || layout.fetched_share == 0) {
    return kv_population(layout, tokens).held();
  }
  if (const std::uint64_t block = layout.fetch_block; block > 1) {
    if (tokens == 0) return 0;
    const std::uint64_t pages = ceil_div(tokens, block);
    const std::uint64_t read = std::max<std::uint64_t>(1, share_of(layout.fetched_share, pages));
    return (read - 1) * block + tokens - (pages - 1) * block;
  }
  return std::min(tokens, layout.sinks + layout.window + share_of(layout.fetched_share, tokens));
}

std::uint64_t KvGeometry::streams() const {
  const auto rows = [&](const KvPlane& plane) {
    return plane.rows * (plane.by_head ? layout.heads : 1);
  };
  std::uint64_t sum = full_slots > 0 ? layout.heads : 0;
  for (const KvPlane& plane : layout.token_planes) sum += rows(plane);
  for (std::size_t f = 0; f < pools.size(); ++f) {
    if (pools[f].pages == 0) continue;
    for (const KvPlane& plane : layout.forms[f].planes) sum += rows(plane);
  }
  return sum;
}

namespace {

/// Pages of a form that lie in a shared prefix and those that a cache has of its own, token by
/// token: what is appended or coded again behind the prefix ends the sharing of its page.
class OwnPages {
 public:
  explicit OwnPages(std::uint64_t page_tokens) : page_(page_tokens) {}

  void begin(std::uint64_t dropped, std::uint64_t coded) {
    first_ = dropped / page_;
    end_ = coded == 0 ? first_ : ceil_div(dropped + coded, page_);
  }
  void step(const KvRule rule, const KvPopulation& before, const KvPopulation& after,
            std::size_t f) {
    const std::uint64_t begin = after.dropped[f], end = begin + after.coded[f];
    const bool round = rule == KvRule::rounds && after.coded != before.coded;
    std::uint64_t written = std::max(before.dropped[f] + before.coded[f], begin);
    if (round || before.coded[f] == 0) written = begin;
    if (rule == KvRule::share && f == 1 && after.coded[1] == before.coded[1] && end > begin) {
      written = end - 1;
    }
    if (written < end) end_ = std::min(end_, written / page_);
    first_ = std::max(first_, begin / page_);
    if (after.coded[f] == 0) end_ = first_;
    const std::uint64_t pages = after.coded[f] == 0 ? 0 : ceil_div(end, page_) - begin / page_;
    most_ = std::max(most_, pages - (end_ > first_ ? end_ - first_ : 0));
  }
  std::uint64_t most() const { return most_; }

 private:
  std::uint64_t page_, first_ = 0, end_ = 0, most_ = 0;
};

}  // namespace

KvGeometry::KvGeometry(KvLayout given, std::uint64_t capacity_tokens, std::uint64_t prefix)
    : layout(std::move(given)), capacity(capacity_tokens) {
  SYSTOLE_CHECK(layout.heads > 0 && capacity > 0, "a KV layout without heads or tokens");
  SYSTOLE_CHECK(layout.full_token_bits % (8 * layout.heads) == 0, "a whole token is whole bytes");
  std::vector<std::uint64_t> most(layout.forms.size());
  std::vector<bool> leaves(layout.forms.size());
  std::vector<OwnPages> own;
  for (const KvForm& form : layout.forms) {
    SYSTOLE_CHECK(prefix == 0 || form.page_tokens > 0, "a prefix is shared in pages");
    own.emplace_back(std::max<std::uint64_t>(form.page_tokens, 1));
  }
  KvPopulation before;
  for (std::uint64_t tokens = 1; tokens <= capacity; ++tokens) {
    const KvPopulation p = kv_population(layout, tokens);
    for (std::size_t f = 0; prefix > 0 && f < own.size(); ++f) {
      if (tokens == prefix) own[f].begin(p.dropped[f], p.coded[f]);
      if (tokens > prefix) own[f].step(layout.rule, before, p, f);
    }
    before = p;
    for (std::size_t f = 0; f < most.size(); ++f) {
      most[f] = std::max(most[f], p.coded[f]);
      leaves[f] = leaves[f] || p.dropped[f] > 0;
    }
    full_slots = std::max(full_slots, p.full);
  }
  const auto place = [&](std::uint64_t size) {
    const std::uint64_t offset = round_up(bytes, kRegionAlignment);
    bytes = offset + size;
    return offset;
  };
  for (std::size_t f = 0; f < most.size(); ++f) {
    const KvForm& form = layout.forms[f];
    const bool paged = form.page_tokens != 0;
    // The oldest page leaves when its last token does; the newest is there with its first.
    const std::uint64_t tokens = most[f] + (leaves[f] ? form.page_tokens : 0);
    Pool pool;
    pool.page = page_of(form.planes, layout.heads, paged ? form.page_tokens : most[f],
                        form.align_bytes, !paged);
    pool.pages = most[f] == 0 ? 0 : paged ? ceil_div(tokens, form.page_tokens) : 1;
    if (prefix > 0) pool.pages = own[f].most();
    pool.fixed_bytes = most[f] == 0 ? 0 : ceil_div(form.fixed_bits, 8);
    pool.fixed_offset = place(pool.fixed_bytes);
    if (!paged) bytes = round_up(bytes, kRowAlignment);
    pool.offset = place(pool.pages * pool.page.bytes);
    pools.push_back(std::move(pool));
  }
  full_head_bytes = layout.full_token_bits / (8 * layout.heads);
  full_offset = place(full_slots * full_head_bytes * layout.heads);
  for (const KvPlane& plane : layout.token_planes) {
    token_planes.push_back(page_of({plane}, layout.heads, capacity, 1, true));
    token_plane_offsets.push_back(place(token_planes.back().bytes));
  }
  codebook_offset = place(layout.codebook_head_bytes * layout.heads);
}

}  // namespace systole
