// The contract is in the header.
#include "memory/kv_cache.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {
namespace {

void put(std::vector<Transfer>& runs, std::uint64_t address, std::uint64_t bytes, bool write) {
  append_run(runs, {TrafficClass::kv_cache, write, address, bytes});
}

/// A position spread over [0, size), size < 2^32, without a pattern: fetched rows lie where the
/// values say, which timing does not know. Some repeat.
std::uint64_t scattered(std::uint64_t i, std::uint64_t size) {
  constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ull;  // 2^64 / golden ratio (Knuth 6.4)
  return ((i * kGolden) >> 32) * size >> 32;
}

}  // namespace

KvMoves& KvMoves::operator+=(const KvMoves& other) {
  for (const Transfer& read : other.reads) append_run(reads, read);
  for (const Transfer& write : other.writes) append_run(writes, write);
  coded_tokens += other.coded_tokens;
  decode += other.decode;
  served_bytes += other.served_bytes;
  combined_bytes += other.combined_bytes;
  copied_pages += other.copied_pages;
  replaced_pages += other.replaced_pages;
  copied_bytes += other.copied_bytes;
  return *this;
}

PageAllocator::PageAllocator(std::uint64_t pages) : free_(pages), used_(pages) {
  std::iota(free_.begin(), free_.end(), std::uint64_t{0});
}

std::uint64_t PageAllocator::allocate() {
  SYSTOLE_CHECK(!free_.empty(), "no page of the KV cache is left");
  const std::uint64_t page = free_.front();
  free_.pop_front();
  used_[page] = true;
  return page;
}

void PageAllocator::release(std::uint64_t page) {
  SYSTOLE_CHECK(page < used_.size() && used_[page], "a page released that was not in use");
  used_[page] = false;
  free_.push_back(page);
}

KvCache::KvCache(const KvGeometry& geometry, std::uint64_t base, std::uint64_t burst_bytes,
                 KvStaging staging, bool masked_writes, std::uint64_t combined_bursts)
    : geometry_(geometry),
      base_(base),
      burst_(burst_bytes),
      staging_(staging),
      masked_(masked_writes),
      population_(kv_population(geometry.layout, 0)) {
  SYSTOLE_CHECK(burst_bytes > 0, "a burst of no bytes");
  for (const KvGeometry::Pool& pool : geometry.pools) {
    tables_.push_back({PageAllocator(pool.pages), {}, 0});
  }
  if (combined_bursts > 0) combiner_.emplace(burst_bytes, combined_bursts);
}

std::uint64_t KvCache::page_address(std::size_t form, std::uint64_t logical_page) const {
  const Table& table = tables_[form];
  SYSTOLE_CHECK(logical_page >= table.first && logical_page - table.first < table.pages.size(),
                "a KV page that is not in the table");
  const Page& page = table.pages[logical_page - table.first];
  const KvGeometry::Pool& pool = (page.of_prefix ? *prefix_->geometry : geometry_).pools[form];
  return (page.of_prefix ? prefix_->base : base_) + pool.offset + page.number * pool.page.bytes;
}

void KvCache::plane_runs(const KvPlane& plane, const KvPageGeometry& page, std::size_t index,
                         std::uint64_t address, std::uint64_t head, std::uint64_t heads,
                         std::uint64_t first, std::uint64_t last, bool write, Runs& runs) const {
  // A unit belongs to the call in which it begins.
  const std::uint64_t u0 = ceil_div(first, plane.unit_tokens);
  const std::uint64_t u1 = ceil_div(last, plane.unit_tokens);
  if (u0 >= u1) return;
  // Bytes that two calls share are read by both, unless neither is a whole byte apart.
  const std::uint64_t b0 = u0 * plane.unit_bits / 8, b1 = ceil_div(u1 * plane.unit_bits, 8);
  const KvPageGeometry::Plane& place = page.planes[index];
  const std::uint64_t r0 = plane.by_head ? head * plane.rows : 0;
  const std::uint64_t r1 = plane.by_head ? (head + heads) * plane.rows : plane.rows;
  for (std::uint64_t row = r0; row < r1; ++row) {
    put(runs, address + place.offset + row * place.row_bytes + b0, b1 - b0, write);
  }
}

void KvCache::form_runs(std::size_t form, std::uint64_t head, std::uint64_t heads,
                        std::uint64_t first, std::uint64_t last, bool write, Runs& runs) const {
  if (first >= last) return;
  const KvForm& shape = geometry_.layout.forms[form];
  const KvPageGeometry& page = geometry_.pools[form].page;
  for (std::uint64_t p = first / page.tokens; p * page.tokens < last; ++p) {
    const std::uint64_t start = p * page.tokens;
    const std::uint64_t t0 = std::max(first, start) - start;
    const std::uint64_t t1 = std::min(last - start, page.tokens);
    const std::uint64_t address = page_address(form, p);
    for (std::size_t i = 0; i < shape.planes.size(); ++i) {
      plane_runs(shape.planes[i], page, i, address, head, heads, t0, t1, write, runs);
    }
  }
}

void KvCache::fixed_runs(std::size_t form, std::uint64_t head, std::uint64_t heads, bool write,
                         Runs& runs) const {
  const KvGeometry::Pool& pool = geometry_.pools[form];
  const std::uint64_t all = geometry_.layout.heads;
  const std::uint64_t b0 = pool.fixed_bytes * head / all;
  const std::uint64_t b1 = pool.fixed_bytes * (head + heads) / all;
  put(runs, base_ + pool.fixed_offset + b0, b1 - b0, write);
}

void KvCache::full_runs(std::uint64_t head, std::uint64_t heads, std::uint64_t first,
                        std::uint64_t last, bool write, Runs& runs) const {
  if (first >= last) return;
  const std::uint64_t token = geometry_.full_head_bytes;
  for (std::uint64_t h = head; h < head + heads; ++h) {
    put(runs, base_ + geometry_.full_offset + (h * geometry_.full_slots + first) * token,
        (last - first) * token, write);
  }
}

void KvCache::token_plane_runs(std::uint64_t head, std::uint64_t heads, std::uint64_t first,
                               std::uint64_t last, bool write, Runs& runs) const {
  for (std::size_t i = 0; i < geometry_.token_planes.size(); ++i) {
    const KvPlane& plane = geometry_.layout.token_planes[i];
    // What is said of several tokens is known with the last of them.
    const std::uint64_t from = first / plane.unit_tokens * plane.unit_tokens;
    const std::uint64_t to = last / plane.unit_tokens * plane.unit_tokens;
    plane_runs(plane, geometry_.token_planes[i], 0, base_ + geometry_.token_plane_offsets[i], head,
               heads, from, to, write, runs);
  }
}

/// Tokens kept whole lie in the order of their arrival: sinks first, the others round about.
std::uint64_t KvCache::slot_of(std::uint64_t token) const {
  const KvLayout& layout = geometry_.layout;
  const std::uint64_t sinks = std::min(layout.sinks, geometry_.full_slots);
  if (layout.rule == KvRule::whole || token < sinks || geometry_.full_slots == sinks) return token;
  const std::uint64_t ring = layout.rule == KvRule::ages     ? layout.age_block
                             : layout.rule == KvRule::rounds ? layout.refresh
                             : layout.slide                  ? geometry_.full_slots - sinks
                                            : std::max(layout.window, layout.forms[0].box_tokens());
  return sinks + (token - sinks) % ring;
}

void KvCache::code(std::size_t form, std::uint64_t first, std::uint64_t last,
                   const KvPopulation& before, KvMoves& moves) {
  if (first >= last) return;
  own(form, first, last, before, moves);
  form_runs(form, 0, geometry_.layout.heads, first, last, true, moves.writes);
  moves.coded_tokens += last - first;
}

void KvCache::take_back(std::size_t form, std::uint64_t first, std::uint64_t last,
                        KvMoves& moves) const {
  if (first >= last) return;
  form_runs(form, 0, geometry_.layout.heads, first, last, false, moves.reads);
  moves.decode += geometry_.layout.forms[form].decode * (last - first);
}

void KvCache::release(std::size_t form, const Page& page) {
  if (page.shared) return;  // others read it
  if (!page.of_prefix) tables_[form].allocator.release(page.number);
  if (!combiner_) return;
  const KvGeometry::Pool& pool = (page.of_prefix ? *prefix_->geometry : geometry_).pools[form];
  const std::uint64_t address =
      (page.of_prefix ? prefix_->base : base_) + pool.offset + page.number * pool.page.bytes;
  combiner_->drop(address, address + pool.page.bytes);
}

void KvCache::settle(const KvPopulation& population) {
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    Table& table = tables_[f];
    const std::uint64_t page = geometry_.pools[f].page.tokens;
    if (page == 0) continue;
    const std::uint64_t begin = population.dropped[f];
    const std::uint64_t end = begin + population.coded[f];
    const std::uint64_t first = begin / page, last = ceil_div(end, page);
    while (!table.pages.empty() && (table.first < first || population.coded[f] == 0)) {
      release(f, table.pages.front());
      table.pages.pop_front();
      ++table.first;
    }
    if (table.pages.empty()) table.first = first;
    if (population.coded[f] == 0) continue;
    while (table.first + table.pages.size() > last) {
      release(f, table.pages.back());
      table.pages.pop_back();
    }
    while (table.first + table.pages.size() < last) {
      table.pages.push_back({table.allocator.allocate(), false, false});
    }
  }
}

void KvCache::restore(std::uint64_t tokens) {
  // What waits in a buffer follows from every write so far.
  SYSTOLE_CHECK(!combiner_, "a KV cache behind a write-combining buffer is appended to only");
  settle_at(tokens);
}

void KvCache::settle_at(std::uint64_t tokens) {
  SYSTOLE_CHECK(tokens <= geometry_.capacity, "more tokens than the KV region holds");
  tokens_ = tokens;
  population_ = kv_population(geometry_.layout, tokens);
  settle(population_);
}

KvMoves KvCache::append(std::uint64_t tokens) { return append(tokens, false); }
KvMoves KvCache::append_together(std::uint64_t tokens) { return append(tokens, true); }

KvMoves KvCache::append(std::uint64_t tokens, bool together) {
  SYSTOLE_CHECK(tokens <= geometry_.capacity - tokens_, "more tokens than the KV region holds");
  KvMoves moves = std::exchange(pending_, {});
  if (tokens_ == 0 && tokens > 1) {
    settle_at(tokens);
    const std::uint64_t heads = geometry_.layout.heads;
    for (std::size_t f = 0; f < tables_.size(); ++f) {
      if (population_.coded[f] == 0) continue;
      fixed_runs(f, 0, heads, true, moves.writes);
      const std::uint64_t first = population_.dropped[f];
      code(f, first, first + population_.coded[f], {}, moves);
    }
    if (staging_ == KvStaging::dram || geometry_.layout.rule == KvRule::whole) {
      full_runs(0, heads, 0, population_.full, true, moves.writes);
    }
    token_plane_runs(0, heads, 0, population_.held(), true, moves.writes);
    combine(moves);
  } else {
    // Which tokens were salient in between decides what a share's classes move.
    const std::uint64_t chunk = together && geometry_.layout.rule != KvRule::share ? tokens : 1;
    if (combiner_) combine(moves);
    for (std::uint64_t i = 0; i < tokens; i += chunk) {
      if (!combiner_) {
        advance(chunk, moves);
        continue;
      }
      KvMoves one;
      advance(chunk, one);
      combine(one);
      moves += one;
    }
  }
  finish(moves);
  return moves;
}

void KvCache::share(const KvCache& prefix, bool last) {
  SYSTOLE_CHECK(tokens_ == 0 && prefix.tables_.size() == tables_.size(),
                "a prefix is shared by an empty cache of its kind");
  tokens_ = prefix.tokens_;
  population_ = prefix.population_;
  prefix_.emplace(Prefix{&prefix.geometry_, prefix.base_, last});
  const std::uint64_t heads = geometry_.layout.heads;
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    tables_[f].first = prefix.tables_[f].first;
    for (const Page& page : prefix.tables_[f].pages) {
      tables_[f].pages.push_back({page.number, true, true});
    }
    if (population_.coded[f] == 0) continue;
    prefix.fixed_runs(f, 0, heads, false, pending_.reads);
    fixed_runs(f, 0, heads, true, pending_.writes);
  }
  if (staging_ == KvStaging::dram) {
    prefix.full_runs(0, heads, 0, population_.full, false, pending_.reads);
    full_runs(0, heads, 0, population_.full, true, pending_.writes);
  }
  prefix.token_plane_runs(0, heads, 0, population_.held(), false, pending_.reads);
  token_plane_runs(0, heads, 0, population_.held(), true, pending_.writes);
  pending_.copied_bytes = memory::total_bytes(pending_.writes);
}

/// Before tokens [first, last) of a form are written: pages of it that others read as well become
/// this sequence's own.
void KvCache::own(std::size_t form, std::uint64_t first, std::uint64_t last,
                  const KvPopulation& before, KvMoves& moves) {
  if (!prefix_ || first >= last) return;
  Table& table = tables_[form];
  const std::uint64_t tokens = geometry_.pools[form].page.tokens, heads = geometry_.layout.heads;
  const std::uint64_t held = before.dropped[form] + before.coded[form];
  for (std::uint64_t p = first / tokens; p * tokens < last; ++p) {
    Page& page = table.pages.at(p - table.first);
    if (!page.shared) continue;
    page.shared = false;
    if (prefix_->last) continue;  // nobody else reads it any more
    const std::uint64_t from = std::max(p * tokens, before.dropped[form]);
    const std::uint64_t to = std::min((p + 1) * tokens, held);
    const bool kept = from < to && (first > from || last < to);
    if (kept) form_runs(form, 0, heads, from, to, false, moves.reads);
    page.number = table.allocator.allocate();
    page.of_prefix = false;
    if (!kept) {
      ++moves.replaced_pages;
      continue;
    }
    Runs copy;
    form_runs(form, 0, heads, from, to, true, copy);
    ++moves.copied_pages;
    moves.copied_bytes += memory::total_bytes(copy);
    moves.writes.insert(moves.writes.end(), copy.begin(), copy.end());
  }
}

std::uint64_t KvCache::shared_pages() const {
  std::uint64_t pages = 0;
  for (const Table& table : tables_) {
    for (const Page& page : table.pages) pages += page.shared;
  }
  return pages;
}

std::uint64_t KvCache::shared_bits() const {
  std::uint64_t bits = 0;
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    const std::uint64_t tokens = geometry_.pools[f].page.tokens;
    const std::uint64_t begin = population_.dropped[f], end = begin + population_.coded[f];
    const KvForm& form = geometry_.layout.forms[f];
    for (std::size_t i = 0; i < tables_[f].pages.size(); ++i) {
      if (!tables_[f].pages[i].shared) continue;
      const std::uint64_t start = (tables_[f].first + i) * tokens;
      const std::uint64_t held = std::min(end, start + tokens) - std::max(begin, start);
      bits += held / form.box_tokens() * form.box_bits(geometry_.layout.heads);
    }
  }
  return bits;
}

void KvCache::serve(KvMoves& moves) const {
  if (!combiner_) return;
  Runs reads;
  for (const Transfer& read : moves.reads) moves.served_bytes += combiner_->read(read, reads);
  moves.reads = std::move(reads);
}

void KvCache::combine(KvMoves& moves) {
  if (!combiner_) return;
  Runs writes;
  moves.combined_bytes += memory::total_bytes(moves.writes);
  for (const Transfer& write : moves.writes) combiner_->write(write, writes);
  moves.writes = std::move(writes);
}

void KvCache::advance(std::uint64_t tokens, KvMoves& moves) {
  const KvLayout& layout = geometry_.layout;
  const std::uint64_t heads = layout.heads;
  const KvPopulation before = population_;
  const KvPopulation after = kv_population(layout, tokens_ + tokens);
  const bool dram = staging_ == KvStaging::dram || layout.rule == KvRule::whole;
  // Of the whole tokens besides the sinks the newest stay; new ones enter that are whole after it.
  const std::uint64_t arrived = tokens_ + tokens;
  const std::uint64_t were = before.full - std::min(layout.sinks, before.full);
  const std::uint64_t are = after.full - std::min(layout.sinks, after.full);
  const std::uint64_t gone = std::min(tokens_, arrived - are);
  // What leaves the staging buffer is read before the new token may take its place.
  for (std::uint64_t token = tokens_ - were; dram && token < gone; ++token) {
    const std::uint64_t slot = slot_of(token);
    full_runs(0, heads, slot, slot + 1, false, moves.reads);
  }
  const auto begin = [](const KvPopulation& p, std::size_t f) { return p.dropped[f]; };
  const auto end = [](const KvPopulation& p, std::size_t f) { return p.dropped[f] + p.coded[f]; };
  const bool round = layout.rule == KvRule::rounds && after.coded != before.coded;
  // Reads while the old pages are in the table.
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    if (round && before.coded[f] > 0) fixed_runs(f, 0, heads, false, moves.reads);
    if (round || after.coded[f] == 0) {
      take_back(f, begin(before, f), end(before, f), moves);
    } else if (layout.evict_block == 0) {
      take_back(f, begin(before, f), std::min(begin(after, f), end(before, f)), moves);
    }
  }
  if (layout.rule == KvRule::share && after.coded[0] > before.coded[0] && before.coded[1] > 0) {
    // A token that is salient no more: its place is the newcomer's.
    take_back(1, end(before, 1) - 1, end(before, 1), moves);
  }
  serve(moves);
  population_ = after;
  tokens_ = arrived;
  settle(after);
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    if (round && after.coded[f] > 0) fixed_runs(f, 0, heads, true, moves.writes);
    const std::uint64_t first = round ? begin(after, f) : std::max(end(before, f), begin(after, f));
    code(f, before.coded[f] == 0 ? begin(after, f) : first, end(after, f), before, moves);
  }
  if (layout.rule == KvRule::share && after.coded[1] == before.coded[1] && after.coded[1] > 0) {
    code(1, end(after, 1) - 1, end(after, 1), before, moves);
  }
  const std::uint64_t sinks = std::min(layout.sinks, after.full);
  for (std::uint64_t token = arrived - tokens; dram && token < arrived; ++token) {
    if (token >= sinks && token < arrived - are) continue;
    const std::uint64_t slot = slot_of(token);
    full_runs(0, heads, slot, slot + 1, true, moves.writes);
  }
  const std::uint64_t held = after.held();
  token_plane_runs(0, heads, held - std::min(held, tokens), held, true, moves.writes);
}

void KvCache::finish(KvMoves& moves) const {
  if (masked_) return;
  // A burst that is not written whole is read first, and merged.
  Runs merged;
  for (const Transfer& write : moves.writes) {
    const std::uint64_t end = write.address + write.bytes;
    const std::uint64_t head = write.address / burst_, tail = end / burst_;
    const bool partial_head = write.address % burst_ != 0;
    if (partial_head) put(merged, head * burst_, burst_, false);
    if (end % burst_ != 0 && !(partial_head && tail == head)) {
      put(merged, tail * burst_, burst_, false);
    }
  }
  moves.reads.insert(moves.reads.end(), merged.begin(), merged.end());
}

std::vector<Transfer> KvCache::read(std::uint64_t head, std::uint64_t heads, std::uint64_t first,
                                    std::uint64_t last, std::uint64_t* served_bytes,
                                    KvPart part) const {
  KvMoves moves;
  moves.reads = runs_of(head, heads, first, last, part);
  serve(moves);
  if (served_bytes != nullptr) *served_bytes = moves.served_bytes;
  return moves.reads;
}

KvCache::Runs KvCache::runs_of(std::uint64_t head, std::uint64_t heads, std::uint64_t first,
                               std::uint64_t last, KvPart part) const {
  const KvLayout& layout = geometry_.layout;
  SYSTOLE_CHECK(first <= last && last <= attended() && head + heads <= layout.heads,
                "a KV read outside the cache");
  Runs runs;
  if (first == last) return runs;
  if (first == 0) {
    for (std::size_t f = 0; f < tables_.size(); ++f) {
      if (population_.coded[f] > 0) fixed_runs(f, head, heads, false, runs);
    }
    // Where nothing is chosen yet, the codebook is read all the same (to code the new token).
    if (fetches() && part == KvPart::all) index_runs(head, heads, runs);
    if (!fetches()) codebook_runs(head, heads, runs);
  }
  if (fetches()) {
    const std::uint64_t newest = layout.window, fetched = attended() - layout.sinks - newest;
    const std::uint64_t between = tokens_ - layout.sinks - newest;
    for (std::uint64_t h = head; h < head + heads; ++h) {
      for (std::uint64_t i = first; i < last; ++i) {
        std::uint64_t token = i;
        if (const std::uint64_t block = layout.fetch_block; block > 1) {
          const std::uint64_t scored = scored_pages(), chosen = (attended() - 1) / block;
          const std::uint64_t page = i / block;
          token =
              (page == chosen ? scored : scattered(h * chosen + page, scored)) * block + i % block;
        } else if (i >= layout.sinks + fetched) {
          token = tokens_ - newest + (i - layout.sinks - fetched);
        } else if (i >= layout.sinks) {
          token = layout.sinks + scattered(h * fetched + i, between);
        }
        full_runs(h, 1, token, token + 1, false, runs);
      }
    }
    return runs;
  }
  token_plane_runs(head, heads, first, last, false, runs);
  std::uint64_t start = 0;
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    const std::uint64_t stop = start + population_.coded[f];
    const std::uint64_t t0 = std::max(first, start), t1 = std::min(last, stop);
    const std::uint64_t dropped = population_.dropped[f];
    if (t0 < t1) form_runs(f, head, heads, dropped + t0 - start, dropped + t1 - start, false, runs);
    start = stop;
  }
  if (staging_ == KvStaging::dram || layout.rule == KvRule::whole) {
    const std::uint64_t t0 = std::max(first, start);
    if (t0 < last) full_runs(head, heads, t0 - start, last - start, false, runs);
  }
  return runs;
}

void KvCache::codebook_runs(std::uint64_t head, std::uint64_t heads, Runs& runs) const {
  const std::uint64_t bytes = geometry_.layout.codebook_head_bytes;
  put(runs, base_ + geometry_.codebook_offset + head * bytes, heads * bytes, false);
}

void KvCache::index_runs(std::uint64_t head, std::uint64_t heads, Runs& runs) const {
  codebook_runs(head, heads, runs);
  const std::uint64_t block = geometry_.layout.fetch_block;
  token_plane_runs(head, heads, 0, block > 1 ? scored_pages() * block : tokens_, false, runs);
}

/// The last page is read whatever its bounds.
std::uint64_t KvCache::scored_pages() const {
  const std::uint64_t block = geometry_.layout.fetch_block;
  return block > 1 && fetches() ? ceil_div(tokens_, block) - 1 : 0;
}

std::vector<Transfer> KvCache::read_index(std::uint64_t head, std::uint64_t heads) const {
  Runs runs;
  if (fetches()) index_runs(head, heads, runs);
  return runs;
}

KvDecodeWork KvCache::selection_work(std::uint64_t heads) const {
  const KvLayout& layout = geometry_.layout;
  if (!fetches() || layout.codebook_head_bytes == 0) return {};
  // A code of every token is unpacked, its codeword's score looked up and compared.
  const std::uint64_t all = tokens_ * heads;
  return {.unpacks = all, .lookups = all, .comparisons = all};
}

KvDecodeWork KvCache::decode_work(std::uint64_t heads, std::uint64_t first, std::uint64_t last,
                                  KvPart wanted) const {
  const KvLayout& layout = geometry_.layout;
  KvDecodeWork work;
  std::uint64_t start = 0;
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    const std::uint64_t stop = start + population_.coded[f];
    const std::uint64_t t0 = std::max(first, start), t1 = std::min(last, stop);
    if (t0 < t1) work += layout.forms[f].decode * (t1 - t0);
    start = stop;
  }
  const auto part = [&](std::uint64_t n) { return ceil_div(n * heads, layout.heads); };
  if (first == 0 && last > 0 && wanted == KvPart::all) work += selection_work(layout.heads);
  return {part(work.unpacks),        part(work.lookups),    part(work.multiply_adds),
          part(work.transform_adds), part(work.rotations),  part(work.gathers),
          part(work.sparse_macs),    part(work.comparisons)};
}

std::uint64_t KvCache::allocated_bytes() const {
  const KvLayout& layout = geometry_.layout;
  std::uint64_t bytes = population_.full * geometry_.full_head_bytes * layout.heads;
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    if (population_.coded[f] > 0) bytes += geometry_.pools[f].fixed_bytes;
    bytes += tables_[f].pages.size() * geometry_.pools[f].page.bytes;
  }
  if (population_.held() > 0) {
    for (const KvPageGeometry& plane : geometry_.token_planes) bytes += plane.bytes;
  }
  return bytes;
}

std::uint64_t KvCache::fragmentation_bytes() const {
  const KvStored all = stored();
  const std::uint64_t used = all.total() - all.padding;
  return allocated_bytes() - used / 8;
}

std::vector<std::uint32_t> KvCache::page_forms() const {
  std::vector<std::uint32_t> forms;
  for (std::size_t f = 0; f < tables_.size(); ++f) {
    forms.insert(forms.end(), tables_[f].pages.size(), static_cast<std::uint32_t>(f));
  }
  return forms;
}

}  // namespace systole::memory
