#include "sim/system/tiering.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "memory/kv_cache.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::sim {

using configs::PlacedClass;
using configs::PlacedSalience;
using configs::PlacementRule;
using memory::Extents;
using memory::Ranges;
using memory::Transfer;
using workloads::Operation;
using workloads::OpKind;
using workloads::Segment;
using workloads::VectorOp;

namespace {

std::vector<std::uint64_t> capacities(const configs::MemoryConfig& memory) {
  std::vector<std::uint64_t> all = {memory.dram.data_bytes() * memory.channels};
  for (const configs::TierOfMachine& tier : memory.tiers) all.push_back(tier.resolved().capacity());
  return all;
}

bool is_layer(const Segment& segment) {
  return segment.name.starts_with("layer") && segment.name != kSwapSegment;
}

bool appends(const Operation& op) { return op.vector_op == VectorOp::kv_append; }

}  // namespace

Tiering::Tiering(const workloads::Program& program, const configs::MachineConfig& machine,
                 std::uint64_t layer_stride, std::uint64_t spill_base)
    : machine_(machine),
      stride_(layer_stride),
      spill_base_(spill_base),
      program_stride_(program.layer_stride_bytes),
      space_(capacities(machine.memory)),
      layers_(program.layers),
      final_tokens_(program.steps.back().context),
      used_rules_(machine.memory.placement.size()) {
  find_tensors(program);
  place_all(program);
}

std::uint32_t Tiering::tier_number(const std::string& name) const {
  if (name == configs::kDramTier) return 0;
  const auto& tiers = machine_.memory.tiers;
  const auto it = std::ranges::find(tiers, name, &configs::TierOfMachine::name);
  SYSTOLE_CHECK(it != tiers.end(), "a tier that validation let pass");
  return static_cast<std::uint32_t>(it - tiers.begin()) + 1;
}

bool Tiering::covers(const PlacementRule& rule, PlacedClass of, std::uint32_t layer) const {
  const bool cache = of == PlacedClass::keys || of == PlacedClass::values;
  const bool fits =
      rule.of == PlacedClass::any || rule.of == of || (cache && rule.of == PlacedClass::kv_cache);
  if (!fits) return false;
  if (layer == kNoLayer) return rule.first_layer == 0 && rule.last_layer == configs::kLastLayer;
  return rule.first_layer <= layer && layer <= rule.last_layer;
}

std::uint32_t Tiering::tier_for(PlacedClass of, std::uint32_t layer) const {
  for (std::size_t r = 0; r < machine_.memory.placement.size(); ++r) {
    const PlacementRule& rule = machine_.memory.placement[r];
    if (!covers(rule, of, layer)) continue;
    used_rules_[r] = true;
    return tier_number(rule.tier);
  }
  return 0;
}

/// Layers' weights end where the first cache begins; a weight of no layer ends where the next one
/// begins (of an embedding only some rows are read).
void Tiering::find_tensors(const workloads::Program& program) {
  for (const workloads::Step& step : program.steps) {
    std::uint32_t first = 0;
    for (const Segment& segment : step.segments) {
      if (!is_layer(segment)) continue;
      const std::uint64_t shift = first * program_stride_;
      for (std::uint32_t l = first; l < first + segment.repeats; ++l) {
        Layer& layer = layers_.at(l);
        for (const Operation& op : segment.operations) {
          const workloads::Region& weight = op.stationary_region;
          if (weight.bytes > 0 && weight.traffic == TrafficClass::weights) {
            const std::uint64_t begin = weight.address - shift;
            layer.begin = layer.end == 0 ? begin : std::min(layer.begin, begin);
            layer.end = std::max(layer.end, begin + weight.bytes);
          }
          if (!appends(op) || layer.caches.size() == 2) continue;
          Cache cache;
          cache.keys = layer.caches.empty();
          if (op.written_cache) {
            cache.geometry = op.written_cache->geometry;
            cache.begin = op.written_cache->address - shift;
            cache.bytes = cache.geometry->bytes;
          } else {  // the prompt is the first step, so that its region begins where the cache does
            const workloads::Region& written = op.written_region;
            cache.begin = written.address - shift;
            cache.pieces = written.pieces;
            cache.piece_stride = written.piece_stride;
            cache.bytes = written.pieces * written.piece_stride;
            cache.token_bytes = written.bytes / written.pieces / op.rows;
          }
          layer.caches.push_back(cache);
        }
      }
      first += static_cast<std::uint32_t>(segment.repeats);
    }
  }
  for (Layer& layer : layers_) {
    if (!layer.caches.empty()) layer.end = std::max(layer.end, layer.begin);
    first_layer_ = layer.begin;
  }
}

void Tiering::take(Extents& extents, std::uint64_t begin, std::uint64_t end, std::uint32_t tier) {
  const auto parts = space_.take(tier, end - begin);
  if (parts.empty() && end > begin) {
    std::uint64_t all = 0, used = 0;
    for (std::uint32_t t = 0; t < space_.count(); ++t) {
      all += space_.capacity(t);
      used += space_.used(t);
    }
    throw ConfigError(
        "machine '" + machine_.name + "': memory.tiers: " + std::to_string(end - begin) +
        " bytes more than the " + std::to_string(used) +
        " already placed do not fit; DRAM and all tiers together have " + std::to_string(all));
  }
  for (const memory::TierSpace::Part& part : parts) {
    extents.fill(begin, begin + part.bytes, part.tier);
    begin += part.bytes;
  }
}

void Tiering::place_all(const workloads::Program& program) {
  // Weights of no layer, by address.
  std::map<std::uint64_t, std::pair<std::uint64_t, PlacedClass>> outside;
  for (const workloads::Step& step : program.steps) {
    for (const Segment& segment : step.segments) {
      if (is_layer(segment)) continue;
      for (const Operation& op : segment.operations) {
        const workloads::Region& region = op.stationary_region;
        if (region.bytes == 0) continue;
        auto& [bytes, of] =
            outside.try_emplace(region.address, 0, PlacedClass::weights).first->second;
        bytes = std::max(bytes, region.bytes);
        if (op.vector_op == VectorOp::embedding) of = PlacedClass::embeddings;
      }
    }
  }
  for (auto it = outside.begin(); it != outside.end(); ++it) {
    const auto next = std::next(it);
    std::uint64_t end = it->first + it->second.first;
    if (it->second.second == PlacedClass::embeddings) {
      end = std::max(end, next == outside.end() ? first_layer_ : next->first);
    }
    take(fixed_, it->first, end, tier_for(it->second.second, kNoLayer));
  }
  // The staging of prefetched weights, before what could fill its tier.
  const configs::PrefetchConfig& prefetch = machine_.memory.prefetch;
  const std::uint64_t end_of_layers = first_layer_ + layers_.size() * stride_;
  const workloads::Region& ring = program.activation_region;
  take(fixed_, spill_base_, spill_base_ + ring.bytes, tier_for(PlacedClass::activations, kNoLayer));
  if (prefetches()) {
    staging_address_ = ceil_div(spill_base_ + ring.bytes, stride_) * stride_;
    const std::uint32_t tier = tier_number(prefetch.tier);
    if (!space_.take_whole(tier, prefetch.staging_bytes) || space_.spilled(tier) > 0) {
      throw ConfigError("machine '" + machine_.name + "': memory.prefetch.staging_bytes: " +
                        std::to_string(prefetch.staging_bytes) + " bytes do not fit in tier '" +
                        prefetch.tier + "'");
    }
  }
  // Fresh keys and values of a prompt whose cache is coded lie behind the layers.
  const std::uint64_t fresh = first_layer_ + layers_.size() * program_stride_;
  if (ring.address > fresh) {
    take(fixed_, fresh, ring.address, tier_for(PlacedClass::activations, kNoLayer));
  }
  SYSTOLE_CHECK(end_of_layers <= spill_base_ + stride_, "layers reach into the activations");

  for (std::uint32_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    take(layer.weights, layer.begin, layer.end, tier_for(PlacedClass::weights, l));
    layer.spill.resize(layer.caches.size());
    for (std::size_t c = 0; c < layer.caches.size(); ++c) {
      const Cache& cache = layer.caches[c];
      for (std::uint32_t t = 0; t < memory::kMostTiers; ++t) layer.spill[c][t] = t;
      Extents wanted;
      fill_cache(wanted, layer, l, c, final_tokens_);
      for (std::uint32_t t = 0; t < space_.count(); ++t) {
        const std::uint64_t bytes = wanted.bytes(t, cache.begin, cache.begin + cache.bytes);
        if (bytes == 0) continue;
        const auto got = space_.take_whole(t, bytes);
        if (!got) {
          throw ConfigError("machine '" + machine_.name + "': memory.tiers: the " +
                            (cache.keys ? "keys" : "values") + " of layer " + std::to_string(l) +
                            ", " + std::to_string(bytes) +
                            " bytes in one piece, fit into no tier any more");
        }
        if (*got != 0 && machine_.memory.pim.place != configs::PimPlace::none) {
          throw ConfigError("machine '" + machine_.name + "': memory.pim: the " +
                            (cache.keys ? "keys" : "values") + " of layer " + std::to_string(l) +
                            " have no room in DRAM, where the units are");
        }
        layer.spill[c][t] = *got;
      }
    }
  }
  const configs::SwapConfig& swap = machine_.memory.swap;
  if (swap.every_steps > 0) {
    const std::uint32_t tier = tier_number(swap.tier);
    std::uint64_t bytes = 0;
    for (std::uint32_t l = 0; l < layers_.size(); ++l) {
      for (std::size_t c = 0; c < layers_[l].caches.size(); ++c) {
        const Cache& cache = layers_[l].caches[c];
        Extents places;
        fill_cache(places, layers_[l], l, c, final_tokens_);
        const std::uint64_t there = places.bytes(tier, cache.begin, cache.begin + cache.bytes);
        bytes += cache.bytes - there;
      }
    }
    if (space_.capacity(tier) - space_.used(tier) < bytes) {
      throw ConfigError("machine '" + machine_.name + "': memory.swap.tier: the cache, " +
                        std::to_string(bytes) + " bytes, does not fit in tier '" + swap.tier +
                        "', which has " +
                        std::to_string(space_.capacity(tier) - space_.used(tier)) + " left");
    }
    space_.take(tier, bytes);
  }
  // Equal layers: the same extents of weights, the same rules and places of the cache.
  using Key = std::pair<Extents, std::vector<std::uint32_t>>;
  std::map<Key, std::uint32_t> kinds;
  for (std::uint32_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    Key key{layer.weights, {}};
    for (const PlacementRule& rule : machine_.memory.placement) {
      key.second.push_back(covers(rule, PlacedClass::keys, l));
      key.second.push_back(covers(rule, PlacedClass::values, l));
    }
    for (const auto& spill : layer.spill) {
      key.second.insert(key.second.end(), spill.begin(), spill.end());
    }
    layer.kind = kinds.try_emplace(key, static_cast<std::uint32_t>(kinds.size())).first->second;
  }
}

std::uint32_t Tiering::kind(std::uint32_t layer) const {
  return layer < layers_.size() ? layers_[layer].kind : kNoLayer;
}

/// Where tokens [first, last) of `tokens` lie.
Ranges Tiering::token_ranges(const Cache& cache, std::uint64_t first, std::uint64_t last,
                             std::uint64_t tokens) const {
  Ranges ranges;
  last = std::min(last, tokens);
  if (first >= last) return ranges;
  const auto rows = [&](std::uint64_t base, std::uint64_t count, std::uint64_t stride,
                        std::uint64_t token) {
    for (std::uint64_t p = 0; p < count; ++p) {
      ranges.emplace_back(base + p * stride + first * token, base + p * stride + last * token);
    }
  };
  if (!cache.geometry) {
    rows(cache.begin, cache.pieces, cache.piece_stride, cache.token_bytes);
    return ranges;
  }
  const KvGeometry& geometry = *cache.geometry;
  const KvLayout& layout = geometry.layout;
  if (layout.rule == KvRule::whole) {
    rows(cache.begin + geometry.full_offset, layout.heads,
         geometry.full_slots * geometry.full_head_bytes, geometry.full_head_bytes);
    return ranges;
  }
  // Held tokens are read oldest coded first; what was evicted is no more.
  memory::KvCache held(geometry, cache.begin, machine_.memory.dram.burst_bytes);
  held.restore(tokens);
  const std::uint64_t gone = tokens - held.attended();
  const std::uint64_t from = first > gone ? first - gone : 0, to = last > gone ? last - gone : 0;
  for (const Transfer& run : held.read(0, layout.heads, from, to)) {
    ranges.emplace_back(run.address, run.address + run.bytes);
  }
  return ranges;
}

/// Where the salient class of a coded cache, or its index, lies.
Ranges Tiering::part_ranges(const Cache& cache, PlacedSalience salience) const {
  Ranges ranges;
  if (!cache.geometry) return ranges;
  const KvGeometry& geometry = *cache.geometry;
  const auto add = [&](std::uint64_t offset, std::uint64_t bytes) {
    if (bytes > 0) ranges.emplace_back(cache.begin + offset, cache.begin + offset + bytes);
  };
  if (salience == PlacedSalience::index) {
    for (std::size_t i = 0; i < geometry.token_planes.size(); ++i) {
      if (geometry.layout.token_planes[i].role != KvRole::index) continue;
      add(geometry.token_plane_offsets[i], geometry.token_planes[i].bytes);
    }
    add(geometry.codebook_offset, geometry.layout.heads * geometry.layout.codebook_head_bytes);
    return ranges;
  }
  const KvRule rule = geometry.layout.rule;
  if ((rule == KvRule::share || rule == KvRule::rounds) && geometry.pools.size() > 1) {
    const KvGeometry::Pool& high = geometry.pools[1];
    add(high.fixed_offset, high.fixed_bytes);
    add(high.offset, high.pages * high.page.bytes);
  }
  return ranges;
}

void Tiering::fill_cache(Extents& extents, const Layer& layer, std::uint32_t index,
                         std::size_t number, std::uint64_t tokens) const {
  const Cache& cache = layer.caches[number];
  const auto& spill = layer.spill[number];
  const PlacedClass of = cache.keys ? PlacedClass::keys : PlacedClass::values;
  for (std::size_t r = 0; r < machine_.memory.placement.size(); ++r) {
    const PlacementRule& rule = machine_.memory.placement[r];
    if (!covers(rule, of, index)) continue;
    const std::uint32_t tier = spill[tier_number(rule.tier)];
    Ranges ranges;
    bool aged = false;
    if (rule.salience == PlacedSalience::sinks) {
      ranges = token_ranges(cache, 0, rule.tokens, tokens);
    } else if (rule.salience != PlacedSalience::any) {
      ranges = part_ranges(cache, rule.salience);
    } else if (rule.older_than > 0) {
      const std::uint64_t old = tokens > rule.older_than ? tokens - rule.older_than : 0;
      ranges = token_ranges(cache, 0, old / rule.page_tokens * rule.page_tokens, tokens);
      aged = true;
    } else {
      ranges = {{cache.begin, cache.begin + cache.bytes}};
    }
    if (!ranges.empty()) used_rules_[r] = true;
    std::ranges::sort(ranges);
    for (const auto& [begin, end] : ranges) extents.fill(begin, end, tier, aged);
  }
  extents.fill(cache.begin, cache.begin + cache.bytes, spill[0]);
}

/// The first of a layer's weights outside the staging's tier, as many as half of it holds.
Ranges Tiering::staged_ranges(const Layer& layer) const {
  const configs::PrefetchConfig& prefetch = machine_.memory.prefetch;
  const std::uint32_t staging = tier_number(prefetch.tier);
  std::uint64_t left = prefetch.staging_bytes / 2;
  Ranges ranges;
  for (const memory::Extent& extent : layer.weights.list()) {
    if (extent.tier == staging || left == 0) continue;
    const std::uint64_t bytes = std::min(left, extent.end - extent.begin);
    ranges.emplace_back(extent.begin, extent.begin + bytes);
    left -= bytes;
  }
  return ranges;
}

const Extents& Tiering::extents(const Where& where, bool with_cache) const {
  const std::uint64_t tokens = with_cache ? where.after : 0;
  const auto [it, fresh] =
      known_.try_emplace({kind(where.layer), tokens, with_cache, where.warm}, Extents());
  Extents& all = it->second;
  if (!fresh) return all;
  for (const memory::Extent& extent : fixed_.list()) all.fill(extent);
  if (where.layer == kNoLayer) return all;
  const Layer& layer = layers_.at(where.layer);
  if (where.warm) {
    const std::uint32_t staging = tier_number(machine_.memory.prefetch.tier);
    std::uint64_t target = staging_address_;
    for (const auto& [begin, end] : staged_ranges(layer)) {
      all.fill({begin, end, staging, false, target});
      target += end - begin;
    }
  }
  for (const memory::Extent& extent : layer.weights.list()) all.fill(extent);
  for (std::size_t c = 0; with_cache && c < layer.caches.size(); ++c) {
    fill_cache(all, layer, where.layer, c, tokens);
  }
  return all;
}

std::vector<Job> Tiering::swap_jobs(const Segment& segment, const Where& where) const {
  const Layer& layer = layers_.at(where.layer);
  const std::uint32_t tier = tier_number(machine_.memory.swap.tier);
  const std::uint64_t most = machine_.memory.activation.half_bytes();
  const Extents& places = extents(where, true);
  // Pieces of half a scratchpad: where they are, and the same in the tier of the preempted.
  std::vector<std::pair<Transfer, Transfer>> pieces;
  for (const Cache& cache : layer.caches) {
    Ranges held = token_ranges(cache, 0, where.after, where.after);
    const Ranges index = part_ranges(cache, PlacedSalience::index);
    held.insert(held.end(), index.begin(), index.end());
    for (const auto& [begin, end] : held) {
      for (std::uint64_t at = begin; at < end; at += most) {
        const std::uint64_t bytes = std::min(most, end - at);
        std::vector<Transfer> parts;
        places.translate(Transfer{TrafficClass::kv_cache, false, at + where.shift, bytes},
                         where.shift, parts);
        for (const Transfer& part : parts) {
          if (memory::tier_of(part.address) == tier) continue;
          Transfer out = part;
          out.address = memory::in_tier(tier, memory::without_tier(part.address));
          pieces.emplace_back(part, out);
        }
      }
    }
  }
  std::vector<Job> jobs;
  for (std::uint32_t o = 0; o < segment.operations.size(); ++o) {
    const bool back = segment.operations[o].name == kSwapIn;
    const auto next_job = [&] {
      Job& job = jobs.emplace_back();
      job.operation = o;
      job.moving.takes_half = job.moving.frees_half = true;
    };
    next_job();
    std::uint64_t bytes = 0;
    for (const auto& [here, there] : pieces) {
      if (bytes + here.bytes > most) {
        next_job();
        bytes = 0;
      }
      Transfer from = back ? there : here, to = back ? here : there;
      to.write = true;
      Job& job = jobs.back();
      job.moving.transfers.push_back(from);
      job.results.push_back(to);
      job.counts.activation_write_bytes += from.bytes;
      job.counts.activation_read_bytes += from.bytes;
      bytes += from.bytes;
    }
  }
  return jobs;
}

void Tiering::place(std::vector<Job>& jobs, const Segment& segment, const Where& where) const {
  if (segment.name == kSwapSegment) {
    jobs = swap_jobs(segment, where);
    return;
  }
  const bool with_cache =
      where.layer != kNoLayer && std::ranges::any_of(segment.operations, [](const Operation& op) {
        return appends(op) || op.kind == OpKind::attention;
      });
  const Extents& extents = this->extents(where, with_cache);
  std::vector<std::size_t> last_job(segment.operations.size());
  std::vector<std::vector<Transfer>> written(segment.operations.size());
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    Job& job = jobs[j];
    last_job[job.operation] = j;
    if (appends(segment.operations[job.operation])) {
      auto& list = written[job.operation];
      list.insert(list.end(), job.results.begin(), job.results.end());
    }
    for (auto* list : {&job.stationary.transfers, &job.moving.transfers, &job.results}) {
      std::vector<Transfer> parts;
      for (const Transfer& transfer : *list) {
        if (transfer.bytes == 0) continue;
        extents.translate(transfer, transfer.address >= spill_base_ ? 0 : where.shift, parts);
      }
      *list = std::move(parts);
    }
  }
  std::size_t side = 0;
  for (std::size_t o = 0; o < segment.operations.size(); ++o) {
    if (!appends(segment.operations[o])) continue;
    const std::size_t cache = side++;
    if (where.layer == kNoLayer || cache >= layers_[where.layer].caches.size()) continue;
    age(jobs[last_job[o]], written[o], cache, where);
  }
}

/// Tokens that were in the cache before this step and that a rule by age has now moved: read where
/// they were, written where they are, through the activation scratchpad.
void Tiering::age(Job& job, const std::vector<Transfer>& written, std::size_t index,
                  const Where& where) const {
  if (where.before == 0) return;
  const Layer& layer = layers_[where.layer];
  Extents was, is;
  fill_cache(was, layer, where.layer, index, where.before);
  fill_cache(is, layer, where.layer, index, where.after);
  Ranges rewritten;
  for (const Transfer& transfer : written) {
    rewritten.emplace_back(transfer.address - where.shift,
                           transfer.address - where.shift + transfer.bytes);
  }
  std::vector<Transfer> reads, writes;
  for (const memory::Extent& now : is.list()) {
    if (!now.aged) continue;
    for (const auto& [begin, end] : memory::without({{now.begin, now.end}}, rewritten)) {
      std::vector<Transfer> parts;
      was.translate(Transfer{TrafficClass::kv_cache, false, begin, end - begin}, 0, parts);
      std::uint64_t at = begin;
      for (Transfer part : parts) {
        if (memory::tier_of(part.address) != now.tier) {
          part.address += where.shift;
          reads.push_back(part);
          writes.push_back({TrafficClass::kv_cache, true,
                            memory::in_tier(now.tier, at + where.shift), part.bytes});
        }
        at += part.bytes;
      }
    }
  }
  if (reads.empty()) return;
  const std::uint64_t bytes = memory::total_bytes(reads);
  job.moving.takes_half = job.moving.frees_half = true;
  job.moving.transfers.insert(job.moving.transfers.end(), reads.begin(), reads.end());
  job.results.insert(job.results.end(), writes.begin(), writes.end());
  job.counts.activation_write_bytes += bytes;
  job.counts.activation_read_bytes += bytes;
}

std::vector<PrefetchChunk> Tiering::prefetch(std::uint32_t number, std::uint64_t shift) const {
  std::vector<PrefetchChunk> chunks;
  if (number >= layers_.size()) return chunks;
  const configs::PrefetchConfig& prefetch = machine_.memory.prefetch;
  const Layer& layer = layers_[number];
  const std::uint32_t staging = tier_number(prefetch.tier);
  std::uint64_t target = staging_address_ + prefetch.staging_bytes / 2;
  for (const auto& [begin, end] : staged_ranges(layer)) {
    for (std::uint64_t at = begin; at < end; at += prefetch.chunk_bytes) {
      const std::uint64_t bytes = std::min<std::uint64_t>(prefetch.chunk_bytes, end - at);
      PrefetchChunk& chunk = chunks.emplace_back();
      layer.weights.translate(Transfer{TrafficClass::weights, false, at + shift, bytes}, shift,
                              chunk.reads);
      chunk.write = {TrafficClass::weights, true, memory::in_tier(staging, target), bytes};
      target += bytes;
    }
  }
  return chunks;
}

std::vector<std::size_t> Tiering::idle_rules() const {
  std::vector<std::size_t> idle;
  for (std::size_t r = 0; r < used_rules_.size(); ++r) {
    if (!used_rules_[r]) idle.push_back(r);
  }
  return idle;
}

}  // namespace systole::sim
