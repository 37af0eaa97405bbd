#include "sim/system/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "memory/kv_cache.hpp"
#include "memory/pim.hpp"
#include "pe/dequantiser.hpp"
#include "pe/multi_array.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"
#include "sim/system/kv_dequantiser.hpp"
#include "sim/system/mapping.hpp"
#include "sim/system/vector_cost.hpp"

namespace systole::sim {
namespace {

using workloads::Operation;
using workloads::OpKind;
using workloads::Product;
using workloads::VectorOp;

std::uint64_t operand_bytes(std::uint64_t words, quant::Format format) {
  return ceil_div(words * quant::bits_of(format), 8);
}

/// Builds the jobs of one segment instance, operation by operation.
class Scheduler {
 public:
  Scheduler(Mapper& mapper, const Placement& placement, const ArrayTimer& timer)
      : mapper_(mapper),
        machine_(mapper.machine()),
        design_(mapper.design()),
        placement_(placement),
        timer_(timer) {}

  void add(const Operation& operation) {
    switch (operation.kind) {
      case OpKind::gemm:
        add_gemm(operation);
        break;
      case OpKind::attention:
        if (attends_at_memory(machine_, operation)) {
          add_memory_attention(operation);
        } else if (passes_in_tiles(machine_, operation)) {
          add_tiled_attention(operation);
        } else {
          add_attention(operation, mapper_.map_attention(operation).mapping, operation.batch);
        }
        break;
      case OpKind::vector:
        add_vector(operation);
        break;
    }
    ++operation_;
  }

  /// See attention_jobs.
  void add_heads(const Operation& operation, const AttentionMapping& map, std::uint64_t heads) {
    add_attention(operation, map, heads);
  }

  std::vector<Job> take() {
    for (Job& job : jobs_) count_cache_bursts(job);
    return std::move(jobs_);
  }

 private:
  Job& new_job() {
    Job& job = jobs_.emplace_back();
    job.operation = operation_;
    return job;
  }

  /// `part` of piece number `piece` of a region, as a transfer of this instance.
  void transfer(std::vector<memory::Transfer>& list, const workloads::Region& region,
                std::uint64_t piece, bool write, Slice part) const {
    if (part.bytes == 0) return;
    const std::uint64_t start =
        region.address + placement_.offset + piece * region.piece_stride + part.offset;
    list.push_back({region.traffic, write, start, part.bytes});
  }

  /// One head's part of a cache region: its own piece, or an equal share of a region in one piece.
  struct Head {
    std::uint64_t piece = 0;
    Slice part;
  };
  static Head head_of(const workloads::Region& region, std::uint64_t head, std::uint64_t heads) {
    if (region.pieces == heads) return {head, {0, region.bytes / heads}};
    SYSTOLE_CHECK(region.pieces == 1, "a cache region has one piece, or one a KV head");
    return {0, slice(region.bytes, head, head + 1, heads)};
  }

  /// Activations that do not stay on chip have no place of their own in the Program: they pass
  /// through the spill ring.
  void spill(std::vector<memory::Transfer>& list, bool write, std::uint64_t bytes) {
    if (bytes == 0) return;
    // From the first channel on, so that equal pieces meet equal channels.
    const std::uint64_t stripe =
        std::uint64_t{machine_.memory.channels} * machine_.memory.interleave_bytes;
    spill_offset_ = ceil_div(spill_offset_, stripe) * stripe;
    if (spill_offset_ + bytes > placement_.spill_bytes) spill_offset_ = 0;
    list.push_back(
        {TrafficClass::activations, write, placement_.spill_base + spill_offset_, bytes});
    spill_offset_ += bytes;
  }

  /// Cache traffic in whole bursts: a part of one costs all of it.
  void count_cache_bursts(Job& job) const {
    for (const auto* list : {&job.stationary.transfers, &job.moving.transfers, &job.results}) {
      for (const memory::Transfer& transfer : *list) {
        if (transfer.traffic != TrafficClass::kv_cache) continue;
        (transfer.write ? job.counts.kv_write_burst_bytes : job.counts.kv_read_burst_bytes) +=
            memory::burst_bytes_of(transfer, machine_.memory.dram.burst_bytes);
      }
    }
  }

  memory::KvCache cache_of(const workloads::CacheRegion& region) const {
    return mapper_.kv_states().at(region, placement_.offset, placement_.sequence_offset);
  }

  void decode(Job& job, const KvDecodeWork& work) const {
    const std::uint64_t cycles = kv_dequantise_cycles(machine_.kv_dequantiser, work);
    job.dequantise_cycles += cycles;
    job.counts.kv_dequantise_cycles += cycles;
    job.counts.kv_work += work;
  }

  /// Array time and scratchpad traffic of out[m, n] += moving[m, k] * stationary[k, n].
  /// `heads` > 1: as many such products, one an array; their operands are not observed. `macs`:
  /// useful ones, where the products are not all whole.
  void add_array_work(Job& job, std::uint64_t m, std::uint64_t n, std::uint64_t k,
                      const ArrayOperands& operands, TilePlace place, std::uint64_t heads = 1,
                      std::optional<std::uint64_t> macs = std::nullopt) {
    const pe::GemmShape shape = mapper_.shape_of(m, n, k, operands);
    place.operation = operation_;
    const TimedTile timed = heads > 1 ? TimedTile{side_by_side(shape, heads), {}}
                            : timer_
                                ? timer_(shape, place)
                                : TimedTile{pe::arrays_work(machine_.array, design_, shape), {}};
    const TileWork tile(
        machine_, timed.work,
        {m, n, k, heads, job.counts.weight_write_bytes, job.counts.activation_write_bytes});
    const pe::ArrayWork& work = tile.work;
    job.stream_cycles = work.stream_cycles;
    job.fill_drain_cycles = work.repeat_cycles - work.stream_cycles;
    job.scratchpad_cycles = tile.scratchpad_cycles;
    job.tail_cycles = tile.tail_cycles();
    const pe::Mode* mode = design_.mode(operands.stationary, operands.moving);
    if (mode != mode_) job.reconfigure_cycles = design_.reconfigure_cycles;
    mode_ = mode;
    job.counts.macs += macs.value_or(heads * m * n * k);
    job.counts.mac_passes += work.mac_passes;
    count_edge(job.counts, design_, work);
    job.counts.passes_zero += timed.passes.zero;
    job.counts.passes_hold += timed.passes.hold;
    job.counts.passes_traced += timed.passes.traced;
    job.counts.operand_toggles += timed.passes.toggles;

    job.counts.weight_read_bytes += tile.weight_bytes;
    job.counts.activation_read_bytes += tile.activation_bytes;
    job.counts.output_read_bytes += tile.sum_read_bytes;
    job.counts.output_write_bytes += tile.sum_write_bytes;
  }

  /// Equal products on as many arrays at once.
  pe::ArrayWork side_by_side(const pe::GemmShape& shape, std::uint64_t count) const {
    SYSTOLE_CHECK(count <= machine_.array.count, "more products than arrays");
    configs::ArrayConfig one = machine_.array;
    one.count = 1;
    pe::ArrayWork work = pe::arrays_work(one, design_, shape);
    for (std::uint64_t* whole : {&work.mac_passes, &work.weight_words, &work.activation_words,
                                 &work.weight_bits, &work.activation_bits, &work.partial_sum_reads,
                                 &work.partial_sum_writes, &work.results}) {
      *whole *= count;
    }
    return work;
  }

  /// Elements scaled on their way to the array: one multiply-add each.
  void scale_elements(Job& job, std::uint64_t elements) const {
    dequantise(job, {.multiply_adds = elements});
  }
  /// Finished group sums: a scale-add each, what the weight's affine form corrects, and with the
  /// last of an output the activation's scale.
  void scale_sums(Job& job, std::uint64_t outputs, std::uint64_t groups, quant::Affine affine,
                  bool last) const {
    dequantise(job, scale_work(machine_, outputs, groups, affine, last));
  }
  void dequantise(Job& job, const pe::DequantiseWork& work) const {
    job.dequantise_cycles += pe::dequantise_cycles(machine_.dequantiser, work);
    job.counts.dequantise_fma += work.operations();
    job.dequantise_in_loop = machine_.dequantiser.place == configs::DequantisePlace::loop;
  }

  std::uint64_t vector_time(LaneOps ops) const {
    return ops.total() == 0
               ? 0
               : ceil_div(ops.total(), machine_.vector.lanes) + machine_.vector.latency_cycles;
  }

  static void count(Job& job, LaneOps ops) {
    job.counts.vector_adds += ops.adds;
    job.counts.vector_multiplies += ops.multiplies;
  }

  /// Sums leave the array group by group, before any scale.
  bool group_sums() const { return design_.sums_by_group; }

  void add_gemm(const Operation& op) {
    const GemmParts parts = gemm_parts(design_, op);
    const GemmMapping map = mapper_.map(op, parts).mapping;
    const bool weights_outer = map.order == configs::LoopOrder::weights_outer;
    const bool rows_outer = map.order == configs::LoopOrder::rows_outer;
    const bool rows_pass = weights_outer || map.order == configs::LoopOrder::sums_outer;
    const bool load_input = !stays_on_chip(machine_, op.input_bytes);
    const bool store_output = !stays_on_chip(machine_, op.output_bytes);
    const std::uint64_t m_tiles = ceil_div(op.m, map.m_tile);
    const std::uint64_t n_tiles = ceil_div(op.n, map.n_tile);
    // Tiles along the reduction, which end where a part of it does.
    struct Depth {
      const GemmPart* part;
      std::uint64_t first, last;  ///< in the part
    };
    std::vector<Depth> depths;
    for (const GemmPart& part : parts) {
      for (std::uint64_t k = 0; k < part.k; k += map.k_tile) {
        depths.push_back({&part, k, std::min(part.k, k + map.k_tile)});
      }
    }
    const std::uint64_t k_tiles = depths.size();

    // One job: rows [m0, m1), columns [n0, n1), reduction [k0, k1) of a part.
    const auto job_at = [&](std::uint64_t mi, std::uint64_t ni, std::uint64_t ki) {
      const std::uint64_t m0 = mi * map.m_tile, m1 = std::min(op.m, m0 + map.m_tile);
      const std::uint64_t n0 = ni * map.n_tile, n1 = std::min(op.n, n0 + map.n_tile);
      const auto [part, k0, k1] = depths[ki];
      const ArrayOperands& operands = part->operands;
      Job& job = new_job();
      const bool new_stationary = !weights_outer || mi == 0;
      const bool last_stationary = !weights_outer || mi + 1 == m_tiles;
      job.stationary.whole = map.whole_weight;
      job.stationary.takes_half = new_stationary;
      job.stationary.frees_half = last_stationary;
      if (new_stationary) {
        // Stored in tile order: a tile is one contiguous range.
        const Slice columns = slice(part->bytes, n0, n1, op.n);
        Slice tile = slice(columns.bytes, k0, k1, part->k);
        tile.offset += part->offset + columns.offset;
        transfer(job.stationary.transfers, op.stationary_region, 0, false, tile);
        job.counts.weight_write_bytes += tile.bytes;
      }
      // Rows stay over the columns, in rows_outer with all of K.
      const bool new_moving = rows_pass || (ni == 0 && (ki == 0 || !rows_outer));
      const bool last_moving =
          rows_pass || (ni + 1 == n_tiles && (ki + 1 == k_tiles || !rows_outer));
      if (load_input) {
        job.moving.whole = map.whole_activation;
        job.moving.takes_half = new_moving;
        job.moving.frees_half = last_moving;
        if (new_moving) {
          const std::uint64_t rows = slice(op.input_bytes, m0, m1, op.m).bytes;
          const std::uint64_t bytes =
              rows_outer ? rows : slice(rows, part->k0 + k0, part->k0 + k1, op.k).bytes;
          spill(job.moving.transfers, false, bytes);
          job.counts.activation_write_bytes += bytes;
        }
      }
      add_array_work(job, m1 - m0, n1 - n0, k1 - k0, operands,
                     {.m0 = m0, .n0 = n0, .k0 = part->k0 + k0});
      const std::uint64_t carried = carried_sum_bytes(operands, (m1 - m0) * (n1 - n0), k0);
      job.counts.output_read_bytes += carried;
      if (machine_.array.dataflow == configs::Dataflow::output_stationary) {
        job.counts.output_write_bytes += carried;
      }
      if (group_sums()) {
        const bool last = ki + 1 == k_tiles;
        const std::uint64_t groups =
            operands.group == 0 ? (k1 == part->k ? 1 : 0) : ceil_div(k1 - k0, operands.group);
        scale_sums(job, (m1 - m0) * (n1 - n0), groups, part->affine, last);
      }
      if (operands.dequantise_elements) scale_elements(job, (n1 - n0) * (k1 - k0));
      if (ki + 1 == k_tiles) {
        const Slice rows = slice(op.output_bytes, m0, m1, op.m);
        const std::uint64_t bytes = slice(rows.bytes, n0, n1, op.n).bytes;
        job.counts.output_read_bytes += (m1 - m0) * (n1 - n0) * kAccumulatorBytes;
        if (store_output) {
          spill(job.results, true, bytes);
        } else {
          job.counts.activation_write_bytes += bytes;
        }
      }
    };

    const auto loop = [](std::uint64_t count, const auto& body) {
      for (std::uint64_t i = 0; i < count; ++i) body(i);
    };
    switch (map.order) {
      case configs::LoopOrder::searched:
      case configs::LoopOrder::weights_outer:
        loop(n_tiles, [&](auto ni) {
          loop(k_tiles, [&](auto ki) { loop(m_tiles, [&](auto mi) { job_at(mi, ni, ki); }); });
        });
        break;
      case configs::LoopOrder::rows_outer:
      case configs::LoopOrder::sums_outer:
        loop(m_tiles, [&](auto mi) {
          loop(n_tiles, [&](auto ni) { loop(k_tiles, [&](auto ki) { job_at(mi, ni, ki); }); });
        });
        break;
      case configs::LoopOrder::reduction_outer:
        loop(k_tiles, [&](auto ki) {
          loop(m_tiles, [&](auto mi) { loop(n_tiles, [&](auto ni) { job_at(mi, ni, ki); }); });
        });
        break;
    }
  }

  /// Cached keys or values of one attention: plain regions or a codec's pages.
  struct CacheSide {
    const workloads::Region* region = nullptr;
    std::optional<memory::KvCache> cache;
    bool decoded = false;
  };
  CacheSide side_of(const workloads::Region& region,
                    const std::optional<workloads::CacheRegion>& coded) const {
    if (!coded) return {&region, std::nullopt, false};
    return {&region, cache_of(*coded), coded->decoded};
  }

  /// Loads tokens [n0, n1) of heads [h0, h1) into the weight scratchpad, and decodes them.
  void load_cache(Job& job, const CacheSide& side, const Operation& op, std::uint64_t h0,
                  std::uint64_t h1, std::uint64_t n0, std::uint64_t n1) const {
    auto& transfers = job.stationary.transfers;
    if (side.cache) {
      std::uint64_t served = 0;
      transfers = side.cache->read(h0, h1 - h0, n0, n1, &served, memory::KvPart::rows);
      job.counts.kv_combined_read_bytes += served;
      job.counts.weight_write_bytes += served;
      if (side.decoded) {
        decode(job, side.cache->decode_work(h1 - h0, n0, n1, memory::KvPart::rows));
      }
    } else {
      for (std::uint64_t h = h0; h < h1; ++h) {
        const Head head = head_of(*side.region, h, op.batch);
        Slice part = slice(head.part.bytes, n0, n1, op.n);
        part.offset += head.part.offset;
        transfer(transfers, *side.region, head.piece, false, part);
      }
    }
    job.counts.weight_write_bytes += memory::total_bytes(transfers);
  }

  /// Attention with running maxima and sums (Dao et al., FlashAttention-2, arXiv 2307.08691,
  /// algorithm 1): of each row block, chunk after chunk of the cache; scores run one chunk ahead of
  /// the context, so that the softmax hides behind them. Chunks that a causal mask hides from all
  /// rows of a block are skipped. Heads whose codes lie together pass together, chunk by chunk; in
  /// decode each of several arrays takes a head.
  void add_tiled_attention(const Operation& op) {
    const ArrayOperands score_operands =
        array_operands(op.name, design_, op.stationary, op.moving, op.dequantise, op.k);
    const ArrayOperands context_operands = array_operands(op.name, design_, op.stationary_context,
                                                          op.moving_context, op.dequantise, op.n);
    const CacheSide keys = side_of(op.stationary_region, op.stationary_cache);
    const CacheSide values = side_of(op.context_region, op.context_cache);
    const AttentionTiling map = tile_attention(machine_, op);
    splits_ = splits_of(op, map, score_operands, context_operands);
    const std::uint64_t rows = op.m * op.share;
    const bool load_input = !stays_on_chip(machine_, op.input_bytes);
    const bool store_output = !stays_on_chip(machine_, op.output_bytes);

    for (std::uint64_t h0 = 0; h0 < op.batch; h0 += map.heads) {
      const std::uint64_t h1 = std::min(op.batch, h0 + map.heads);
      for (std::uint64_t r0 = 0; r0 < rows; r0 += map.row_block) {
        const std::uint64_t r1 = std::min(rows, r0 + map.row_block);
        // Rows are tokens, each with the query heads that share a KV head.
        const std::uint64_t cached = op.n - std::min(op.n, op.m);  // before this step
        const std::uint64_t seen =
            op.m == 1 ? op.n : std::min(op.n, cached + ceil_div(r1, op.share));
        // Nor does its first row look behind its window.
        const std::uint64_t first_token = cached + r0 / op.share + 1;
        const std::uint64_t hidden =
            op.window == 0 || first_token <= op.window ? 0 : first_token - op.window;
        const std::uint64_t hidden_chunks = hidden / map.n_chunk;
        const std::uint64_t chunks = ceil_div(seen, map.n_chunk) - hidden_chunks;
        const std::uint64_t first_background = background_;
        const auto chunk = [&](bool scores, std::uint64_t c) {
          const std::uint64_t n0 = (hidden_chunks + c) * map.n_chunk,
                              n1 = std::min(seen, n0 + map.n_chunk);
          for (std::uint64_t h = h0; h < h1; h += map.parallel) {
            const std::uint64_t heads = std::min(map.parallel, h1 - h);
            const bool first = h == h0, last = h + heads == h1;
            Job& job = new_job();
            job.stationary.takes_half = first;
            job.stationary.frees_half = last;
            if (first) load_cache(job, scores ? keys : values, op, h0, h1, n0, n1);
            if (scores) {
              add_scores(job, op, score_operands, {h, heads, r0, r1, n0, n1});
              if (load_input) {
                job.moving.takes_half = c == 0 && first;
                job.moving.frees_half = c + 1 == chunks && last;
                if (job.moving.takes_half) {
                  const std::uint64_t bytes =
                      slice(op.input_bytes / op.batch * (h1 - h0), r0, r1, rows).bytes;
                  spill(job.moving.transfers, false, bytes);
                  job.counts.activation_write_bytes += bytes;
                }
              }
              add_running_softmax(job, op, heads * (r1 - r0), n1 - n0, c > 0);
            } else {
              const std::uint64_t steps = ceil_div(h1 - h0, map.parallel);
              job.needs_background = first_background + c * steps + (h - h0) / map.parallel + 1;
              add_context(job, op, context_operands, {h, heads, r0, r1, n0, n1}, c > 0);
              if (c + 1 < chunks) continue;
              const std::uint64_t bytes =
                  slice(op.output_bytes / op.batch * heads, r0, r1, rows).bytes;
              job.counts.output_read_bytes += heads * (r1 - r0) * op.k * kAccumulatorBytes;
              if (splits_ > 1) add_reduction(job, op, heads * (r1 - r0));
              if (store_output) {
                spill(job.results, true, bytes);
              } else {
                job.counts.activation_write_bytes += bytes;
              }
            }
          }
        };
        const bool chosen = keys.cache && keys.cache->fetches();
        if (chosen) add_selection(op, keys, h0, h1);
        const std::size_t gather = jobs_.size();
        chunk(true, 0);
        for (std::size_t j = gather; chosen && j < jobs_.size(); ++j) {
          jobs_[j].stationary.whole = true;
        }
        for (std::uint64_t c = 0; c < chunks; ++c) {
          if (c + 1 < chunks) chunk(true, c + 1);
          chunk(false, c);
        }
      }
      if (op.scored_rows > 0) add_scoring(op, keys, score_operands, map, h0, h1);
    }
  }

  /// Which cached tokens heads [h0, h1) read: their index comes in, its entries are scored, and the
  /// best chosen. Rows are addressed by the choice, so the first of them, which then take the whole
  /// scratchpad, and what comes after them wait for it.
  /// Bounds of pages are the vector unit's: of every query head the larger of two products a
  /// channel, and their sum.
  void add_selection(const Operation& op, const CacheSide& keys, std::uint64_t h0,
                     std::uint64_t h1) {
    Job& job = new_job();
    job.stationary.takes_half = job.stationary.frees_half = true;
    job.stationary.transfers = keys.cache->read_index(h0, h1 - h0);
    job.counts.weight_write_bytes += memory::total_bytes(job.stationary.transfers);
    KvDecodeWork work = keys.cache->selection_work(h1 - h0);
    if (const std::uint64_t pages = keys.cache->scored_pages(); pages > 0) {
      const std::uint64_t bounds = pages * (h1 - h0) * op.share * op.m;
      const LaneOps ops = LaneOps{2, 2} * (bounds * op.k);
      job.vector_cycles = vector_time(ops);
      count(job, ops);
      work.comparisons += bounds;
    }
    decode(job, work);
    job.dequantise_in_loop = true;
  }

  /// Probabilities for a token policy, of heads [h0, h1). Running sums leave none behind: the
  /// policy's query rows pass over the keys once more, now that their maxima and sums are known,
  /// causally where they are spread over a prompt. The step's own scores are not computed again
  /// where they stay in the output scratchpad. Then the selection, one score a token.
  void add_scoring(const Operation& op, const CacheSide& keys, const ArrayOperands& operands,
                   const AttentionTiling& map, std::uint64_t h0, std::uint64_t h1) {
    const std::uint64_t heads = h1 - h0;
    const auto accumulate = [&](Job& job, std::uint64_t rows, std::uint64_t tokens) {
      // Exponential and division of what is not there yet, and the sum by token.
      const LaneOps ops = lane_ops(VectorOp::softmax, heads * rows, tokens) +
                          LaneOps{1, 0} * (heads * rows * tokens);
      job.background_vector_cycles = vector_time(ops);
      count(job, ops);
      job.counts.output_read_bytes += heads * rows * tokens * kAccumulatorBytes;
      ++background_;
    };
    const bool kept = op.scores_own && heads * op.scored_rows * (op.n + op.k) * kAccumulatorBytes <=
                                           machine_.memory.output.half_bytes();
    if (kept) {
      accumulate(new_job(), op.scored_rows, op.n);
    } else {
      const std::uint64_t most = std::max<std::uint64_t>(1, map.row_block);
      for (std::uint64_t n0 = 0; n0 < op.n; n0 += map.n_chunk) {
        const std::uint64_t n1 = std::min(op.n, n0 + map.n_chunk);
        const std::uint64_t rows =
            op.m > 1 ? ceil_div(op.scored_rows * (op.n - n0), op.n) : op.scored_rows;
        for (std::uint64_t r0 = 0; r0 < rows; r0 += most) {
          const std::uint64_t r1 = std::min(rows, r0 + most);
          for (std::uint64_t h = h0; h < h1; h += map.parallel) {
            const std::uint64_t some = std::min(map.parallel, h1 - h);
            Job& job = new_job();
            job.stationary.takes_half = r0 == 0 && h == h0;
            job.stationary.frees_half = r1 == rows && h + some == h1;
            if (job.stationary.takes_half) load_cache(job, keys, op, h0, h1, n0, n1);
            add_array_work(job, r1 - r0, n1 - n0, op.k, operands,
                           {.product = Product::scores, .head = h, .m0 = r0, .n0 = n0}, some);
            if (h + some == h1) accumulate(job, r1 - r0, n1 - n0);
          }
        }
      }
    }
    Job& job = new_job();
    decode(job, {.comparisons = op.n});
  }

  /// Query rows [r0, r1) of `heads` heads from `head` on against cached tokens [n0, n1).
  struct AttentionTile {
    std::uint64_t head, heads, r0, r1, n0, n1;
    std::uint64_t rows() const { return r1 - r0; }
    std::uint64_t tokens() const { return n1 - n0; }
  };

  /// Arrays that share the cached tokens of a head (Dao et al., "Flash-Decoding for long-context
  /// inference", 2023): where there are more arrays than heads, as many as make a decode step's
  /// array time and the final reduction shortest.
  std::uint64_t splits_of(const Operation& op, const AttentionTiling& map,
                          const ArrayOperands& scores, const ArrayOperands& context) const {
    if (op.m != 1) return 1;
    const std::uint64_t chunk = std::min(map.n_chunk, op.n), rows = op.share;
    const auto cost = [&](std::uint64_t splits) {
      const std::uint64_t tokens = ceil_div(chunk, splits), products = map.parallel * splits;
      const std::uint64_t array =
          side_by_side(mapper_.shape_of(rows, tokens, op.k, scores), products).repeat_cycles +
          side_by_side(mapper_.shape_of(rows, op.k, tokens, context), products).repeat_cycles;
      return ceil_div(op.n, chunk) * array +
             (splits > 1 ? vector_time(reduction_ops(op, map.parallel * rows, splits)) : 0);
    };
    std::uint64_t best = 1;
    for (std::uint64_t splits = 2; splits * map.parallel <= machine_.array.count; ++splits) {
      if (splits <= chunk && cost(splits) < cost(best)) best = splits;
    }
    return best;
  }

  /// Parts of `rows` rows are scaled to the common maximum and added.
  static LaneOps reduction_ops(const Operation& op, std::uint64_t rows, std::uint64_t splits) {
    return LaneOps{1, 1} * (rows * op.k * splits);
  }
  void add_reduction(Job& job, const Operation& op, std::uint64_t rows) {
    const LaneOps ops = reduction_ops(op, rows, splits_);
    job.background_vector_cycles += vector_time(ops);
    count(job, ops);
    job.counts.output_read_bytes += rows * op.k * splits_ * kAccumulatorBytes;
    ++background_;
  }

  void add_scores(Job& job, const Operation& op, const ArrayOperands& operands,
                  const AttentionTile& t) {
    add_array_work(job, t.rows(), ceil_div(t.tokens(), splits_), op.k, operands,
                   {.product = Product::scores, .head = t.head, .m0 = t.r0, .n0 = t.n0},
                   t.heads * splits_, t.heads * t.rows() * t.tokens() * op.k);
    if (group_sums()) {
      scale_sums(job, t.heads * t.rows() * t.tokens(), 1, op.stationary.affine, true);
    }
    if (operands.dequantise_elements) scale_elements(job, t.heads * t.tokens() * op.k);
  }

  void add_context(Job& job, const Operation& op, const ArrayOperands& operands,
                   const AttentionTile& t, bool onto_sums) {
    add_array_work(job, t.rows(), op.k, ceil_div(t.tokens(), splits_), operands,
                   {.product = Product::context, .head = t.head, .m0 = t.r0, .k0 = t.n0},
                   t.heads * splits_, t.heads * t.rows() * t.tokens() * op.k);
    const std::uint64_t sums = t.heads * splits_ * t.rows() * op.k;
    if (group_sums()) scale_sums(job, sums, 1, op.stationary_context.affine, true);
    if (operands.dequantise_elements) scale_elements(job, t.heads * t.tokens() * op.k);
    if (onto_sums) job.counts.output_read_bytes += sums * kAccumulatorBytes;
  }

  /// A chunk's softmax with the running maximum; the sums so far are scaled to it.
  void add_running_softmax(Job& job, const Operation& op, std::uint64_t rows, std::uint64_t width,
                           bool rescales) {
    LaneOps ops = lane_ops(VectorOp::softmax, rows, width);
    if (rescales) ops = ops + LaneOps{0, 1} * (rows * op.k);
    if (!quant::is_ieee(op.moving_context.format)) {
      ops = ops + LaneOps{0, 1} * (rows * width) + lane_ops(VectorOp::quantise, rows, width);
    }
    job.background_vector_cycles = vector_time(ops);
    count(job, ops);
    job.counts.output_read_bytes += rows * (width + (rescales ? op.k : 0)) * kAccumulatorBytes;
    if (rescales) job.counts.output_write_bytes += rows * op.k * kAccumulatorBytes;
    job.counts.activation_write_bytes += operand_bytes(rows * width, op.moving_context.format);
    ++background_;
  }

  /// New tokens into a coded cache, and what is due with them: groups that close, classes coded
  /// again, codes that shrink. Tokens coded are quantised by the vector unit.
  void add_cache_append(const Operation& op) {
    memory::KvCache cache = cache_of(*op.written_cache);
    const std::uint64_t tokens = op.written_cache->after - op.written_cache->before;
    // What is left of a prompt behind a shared prefix comes as one chunk.
    const bool chunk =
        op.written_cache->prefix && op.written_cache->after == op.written_cache->prompt;
    const memory::KvMoves moves = chunk ? cache.append_together(tokens) : cache.append(tokens);
    const KvLayout& layout = op.written_cache->geometry->layout;
    const bool quantises = std::ranges::any_of(
        layout.forms, [](const KvForm& form) { return form.decode.unpacks > 0; });
    const std::uint64_t coded = quantises ? moves.coded_tokens : 0;
    const bool load_input = !stays_on_chip(machine_, op.input_bytes);
    const std::uint64_t most = std::max(
        {op.input_bytes, memory::total_bytes(moves.reads), memory::total_bytes(moves.writes)});
    const std::uint64_t pieces =
        std::max<std::uint64_t>(1, ceil_div(most, machine_.memory.activation.half_bytes()));
    for (std::uint64_t piece = 0; piece < pieces; ++piece) {
      const auto part = [&](std::uint64_t whole) {
        return whole * (piece + 1) / pieces - whole * piece / pieces;
      };
      const auto some = [&](const std::vector<memory::Transfer>& all,
                            std::vector<memory::Transfer>& list) {
        const auto at = [&](std::uint64_t p) {
          return all.begin() + static_cast<std::ptrdiff_t>(all.size() * p / pieces);
        };
        list.insert(list.end(), at(piece), at(piece + 1));
      };
      Job& job = new_job();
      job.moving.takes_half = job.moving.frees_half = load_input || !moves.reads.empty();
      some(moves.reads, job.moving.transfers);
      if (load_input) spill(job.moving.transfers, false, part(op.input_bytes));
      job.counts.activation_write_bytes += memory::total_bytes(job.moving.transfers);
      job.counts.activation_read_bytes += part(op.input_bytes);
      const LaneOps ops = lane_ops(VectorOp::quantise, part(coded), layout.width);
      job.vector_cycles = vector_time(ops);
      count(job, ops);
      if (!moves.decode.none()) decode(job, moves.decode.part(piece, pieces));
      job.counts.kv_combined_read_bytes += part(moves.served_bytes);
      job.counts.kv_combined_write_bytes += part(moves.combined_bytes);
      job.counts.kv_copied_pages += part(moves.copied_pages);
      job.counts.kv_replaced_pages += part(moves.replaced_pages);
      job.counts.kv_copied_bytes += part(moves.copied_bytes);
      some(moves.writes, job.results);
      for (std::uint64_t p = 0; p < op.written_region.pieces; ++p) {
        transfer(
            job.results, op.written_region, p, true,
            slice(op.written_region.bytes / op.written_region.pieces, piece, piece + 1, pieces));
      }
    }
  }

  void add_attention(const Operation& op, const AttentionMapping& map, std::uint64_t heads) {
    const ArrayOperands score_operands =
        array_operands(op.name, design_, op.stationary, op.moving, op.dequantise, op.k);
    const ArrayOperands context_operands = array_operands(op.name, design_, op.stationary_context,
                                                          op.moving_context, op.dequantise, op.n);
    const std::uint64_t rows = op.m * op.share;
    const std::uint64_t blocks = ceil_div(rows, map.row_block);
    const std::uint64_t chunks = ceil_div(op.n, map.n_chunk);
    const bool load_input = !stays_on_chip(machine_, op.input_bytes);
    const bool store_output = !stays_on_chip(machine_, op.output_bytes);

    for (std::uint64_t head = 0; head < heads; ++head) {
      const Head key_head = head_of(op.stationary_region, head, op.batch);
      const Head value_head = head_of(op.context_region, head, op.batch);
      const std::uint64_t first_background = background_;
      const std::size_t first_job = jobs_.size();

      // Scores or context of block b against cached tokens [n0, n1).
      const auto product = [&](bool scores, std::uint64_t b, std::uint64_t c) {
        const std::uint64_t r0 = b * map.row_block, r1 = std::min(rows, r0 + map.row_block);
        const std::uint64_t n0 = c * map.n_chunk, n1 = std::min(op.n, n0 + map.n_chunk);
        Job& job = new_job();
        if (!map.cache_resident) {
          const workloads::Region& region = scores ? op.stationary_region : op.context_region;
          const Head& whole = scores ? key_head : value_head;
          Slice part = slice(whole.part.bytes, n0, n1, op.n);
          part.offset += whole.part.offset;
          job.stationary.takes_half = job.stationary.frees_half = true;
          transfer(job.stationary.transfers, region, whole.piece, false, part);
          job.counts.weight_write_bytes += part.bytes;
        }
        const bool last_chunk = c + 1 == chunks;
        if (scores) {
          add_array_work(job, r1 - r0, n1 - n0, op.k, score_operands,
                         {.product = Product::scores, .head = head, .m0 = r0, .n0 = n0});
          if (group_sums()) {
            scale_sums(job, (r1 - r0) * (n1 - n0), 1, op.stationary.affine, true);
          }
          if (score_operands.dequantise_elements) scale_elements(job, (n1 - n0) * op.k);
          if (c == 0 && load_input) {
            job.moving.takes_half = true;
            const std::uint64_t bytes = slice(op.input_bytes / op.batch, r0, r1, rows).bytes;
            spill(job.moving.transfers, false, bytes);
            job.counts.activation_write_bytes += bytes;
          }
          job.moving.frees_half = load_input && last_chunk;
          if (last_chunk) {
            LaneOps ops = lane_ops(VectorOp::softmax, r1 - r0, op.n);
            if (!quant::is_ieee(op.moving_context.format)) {
              // The value scales are folded into the probabilities, which are then quantised.
              ops = ops + LaneOps{0, 1} * ((r1 - r0) * op.n) +
                    lane_ops(VectorOp::quantise, r1 - r0, op.n);
            }
            job.background_vector_cycles = vector_time(ops);
            count(job, ops);
            job.counts.output_read_bytes += (r1 - r0) * op.n * kAccumulatorBytes;
            job.counts.activation_write_bytes +=
                operand_bytes((r1 - r0) * op.n, op.moving_context.format);
            ++background_;
          }
        } else {
          add_array_work(job, r1 - r0, op.k, n1 - n0, context_operands,
                         {.product = Product::context, .head = head, .m0 = r0, .k0 = n0});
          if (c == 0) job.needs_background = first_background + b + 1;
          if (context_operands.dequantise_elements) scale_elements(job, (n1 - n0) * op.k);
          if (last_chunk) {
            if (group_sums()) {
              scale_sums(job, (r1 - r0) * op.k, 1, op.stationary_context.affine, true);
            }
            const std::uint64_t bytes = slice(op.output_bytes / op.batch, r0, r1, rows).bytes;
            job.counts.output_read_bytes += (r1 - r0) * op.k * kAccumulatorBytes;
            if (store_output) {
              spill(job.results, true, bytes);
            } else {
              job.counts.activation_write_bytes += bytes;
            }
          }
        }
      };
      const auto all_chunks = [&](bool scores, std::uint64_t b) {
        for (std::uint64_t c = 0; c < chunks; ++c) product(scores, b, c);
      };

      // Scores run one block ahead, so that the softmax of a block hides behind the next block's
      // scores.
      all_chunks(true, 0);
      for (std::uint64_t b = 0; b < blocks; ++b) {
        if (b + 1 < blocks) all_chunks(true, b + 1);
        all_chunks(false, b);
      }

      if (map.cache_resident) {
        Load& load = jobs_[first_job].stationary;
        load.takes_half = true;
        transfer(load.transfers, op.stationary_region, key_head.piece, false, key_head.part);
        transfer(load.transfers, op.context_region, value_head.piece, false, value_head.part);
        jobs_[first_job].counts.weight_write_bytes += memory::total_bytes(load.transfers);
        jobs_.back().stationary.frees_half = true;
      }
    }
  }

  /// Attention of one token by units at the memory (memory::pim_pass): the query goes to them, the
  /// scores come back, are normalised here, go there as probabilities, and the context comes back.
  /// Each waits for the one before; vectors cross the bus as traffic of the activations' ring
  /// (approximation: to rows, where the units have buffers). Scores and contexts come back complete
  /// (layout by AttAcc, ASPLOS 2024: keys by token, values by channel), two bytes an element, as
  /// the units of AiM and HBM-PIM have them.
  void add_memory_attention(const Operation& op) {
    constexpr std::uint64_t kVectorBytes = 2;
    const configs::DramConfig& dram = machine_.memory.dram;
    const auto step = [&](bool to_memory, std::uint64_t bytes) -> Job& {
      Job& job = new_job();
      job.moving.takes_half = job.moving.frees_half = true;
      job.moving.whole = true;  // so that no load passes the work before it
      spill(job.moving.transfers, to_memory, bytes);
      (to_memory ? job.counts.activation_read_bytes : job.counts.activation_write_bytes) += bytes;
      return job;
    };
    const auto pass = [&](Job& job, const workloads::Region& region) {
      const memory::PimPass done = memory::pim_pass(
          dram, machine_.memory.channels, machine_.memory.pim, region.bytes, op.macs() / 2);
      const double cycles =
          std::ceil(static_cast<double>(done.clocks) * machine_.clock_mhz / dram.clock_mhz);
      job.at_memory =
          std::make_shared<const MemoryWork>(MemoryWork{static_cast<std::uint64_t>(cycles), done});
      job.counts.macs += op.macs() / 2;
    };
    const std::uint64_t rows = op.batch * op.m * op.share;
    Job& query = step(true, op.input_bytes);
    if (!stays_on_chip(machine_, op.input_bytes)) {
      spill(query.moving.transfers, false, op.input_bytes);
    }
    pass(query, op.stationary_region);
    Job& scores = step(false, rows * op.n * kVectorBytes);
    const LaneOps ops = lane_ops(VectorOp::softmax, rows, op.n);
    scores.vector_cycles = vector_time(ops);
    count(scores, ops);
    pass(step(true, rows * op.n * kVectorBytes), op.context_region);
    Job& context = step(false, rows * op.k * kVectorBytes);
    if (!stays_on_chip(machine_, op.output_bytes)) spill(context.results, true, op.output_bytes);
  }

  void add_vector(const Operation& op) {
    if (op.written_cache) {
      add_cache_append(op);
      return;
    }
    const bool load_input =
        !stays_on_chip(machine_, op.input_bytes) && op.vector_op != VectorOp::embedding;
    const bool store_output = !stays_on_chip(machine_, op.output_bytes);
    // Rows are cut so that a piece of input and output fits its half.
    const std::uint64_t widest = std::max(op.input_bytes, op.output_bytes);
    const std::uint64_t half = machine_.memory.activation.half_bytes();
    const std::uint64_t pieces =
        std::clamp<std::uint64_t>(ceil_div(widest, half), 1, std::max<std::uint64_t>(op.rows, 1));
    for (std::uint64_t piece = 0; piece < pieces; ++piece) {
      const std::uint64_t r0 = op.rows * piece / pieces, r1 = op.rows * (piece + 1) / pieces;
      Job& job = new_job();
      if (op.stationary_region.bytes > 0) {  // embedding rows
        job.stationary.takes_half = job.stationary.frees_half = true;
        transfer(job.stationary.transfers, op.stationary_region, 0, false,
                 slice(op.stationary_region.bytes, piece, piece + 1, pieces));
      }
      const std::uint64_t in = slice(op.input_bytes, piece, piece + 1, pieces).bytes;
      const std::uint64_t out = slice(op.output_bytes, piece, piece + 1, pieces).bytes;
      if (load_input) {
        job.moving.takes_half = job.moving.frees_half = true;
        spill(job.moving.transfers, false, in);
        job.counts.activation_write_bytes += in;
      }
      job.counts.activation_read_bytes += in;
      const LaneOps ops = lane_ops(op.vector_op, r1 - r0, op.width);
      job.vector_cycles = vector_time(ops);
      count(job, ops);
      if (store_output) {
        spill(job.results, true, out);
      } else {
        job.counts.activation_write_bytes += out;
      }
      for (std::uint64_t part = 0; part < op.written_region.pieces; ++part) {
        transfer(
            job.results, op.written_region, part, true,
            slice(op.written_region.bytes / op.written_region.pieces, piece, piece + 1, pieces));
      }
    }
  }

  Mapper& mapper_;
  const configs::MachineConfig& machine_;
  const pe::PeDesign& design_;
  Placement placement_;
  const ArrayTimer& timer_;
  const pe::Mode* mode_ = nullptr;  ///< of the array's last job
  std::uint32_t operation_ = 0;
  std::uint64_t background_ = 0;
  std::uint64_t splits_ = 1;  ///< of the tiled attention that is being added
  std::uint64_t spill_offset_ = 0;
  std::vector<Job> jobs_;
};

}  // namespace

namespace {

/// Every counter once, so that adding and scaling cannot forget one.
constexpr std::uint64_t WorkCounts::*kCounters[] = {
    &WorkCounts::macs,
    &WorkCounts::mac_passes,
    &WorkCounts::edge_weight_words,
    &WorkCounts::edge_activation_words,
    &WorkCounts::edge_results,
    &WorkCounts::passes_zero,
    &WorkCounts::passes_hold,
    &WorkCounts::passes_traced,
    &WorkCounts::operand_toggles,
    &WorkCounts::dequantise_fma,
    &WorkCounts::vector_adds,
    &WorkCounts::vector_multiplies,
    &WorkCounts::weight_read_bytes,
    &WorkCounts::weight_write_bytes,
    &WorkCounts::activation_read_bytes,
    &WorkCounts::activation_write_bytes,
    &WorkCounts::output_read_bytes,
    &WorkCounts::output_write_bytes,
    &WorkCounts::kv_dequantise_cycles,
    &WorkCounts::kv_read_burst_bytes,
    &WorkCounts::kv_write_burst_bytes,
    &WorkCounts::kv_combined_read_bytes,
    &WorkCounts::kv_combined_write_bytes,
    &WorkCounts::kv_copied_pages,
    &WorkCounts::kv_replaced_pages,
    &WorkCounts::kv_copied_bytes,
};
static_assert(sizeof(WorkCounts) ==
              std::size(kCounters) * sizeof(std::uint64_t) + sizeof(KvDecodeWork));

}  // namespace

bool attends_at_memory(const configs::MachineConfig& machine, const Operation& operation) {
  if (machine.memory.pim.place == configs::PimPlace::none || operation.m != 1) return false;
  if (operation.stationary_cache || operation.context_cache) {
    throw ConfigError("machine '" + machine.name +
                      "': memory.pim: the units read keys and values as they are, and this recipe "
                      "codes its cache; expected an uncoded one, or pim.place none");
  }
  return true;
}

void count_edge(WorkCounts& counts, const pe::PeDesign& design, const pe::ArrayWork& work,
                std::uint64_t times) {
  if (design.has_edge(pe::EdgeSide::weight)) counts.edge_weight_words += work.weight_words * times;
  if (design.has_edge(pe::EdgeSide::activation)) {
    counts.edge_activation_words += work.activation_words * times;
  }
  if (design.has_edge(pe::EdgeSide::result)) counts.edge_results += work.results * times;
}

WorkCounts& WorkCounts::operator+=(const WorkCounts& other) {
  for (const auto counter : kCounters) this->*counter += other.*counter;
  kv_work += other.kv_work;
  return *this;
}

WorkCounts WorkCounts::operator*(std::uint64_t times) const {
  WorkCounts product;
  for (const auto counter : kCounters) product.*counter = this->*counter * times;
  product.kv_work = kv_work * times;
  return product;
}

std::vector<Job> attention_jobs(Mapper& mapper, const Operation& operation,
                                const AttentionMapping& mapping, std::uint64_t heads) {
  const ArrayTimer closed_form;
  Scheduler scheduler(mapper, {0, 0, operation.input_bytes + operation.output_bytes}, closed_form);
  scheduler.add_heads(operation, mapping, heads);
  return scheduler.take();
}

std::vector<Job> schedule(Mapper& mapper, const workloads::Segment& segment,
                          const Placement& placement, const ArrayTimer& timer) {
  Scheduler scheduler(mapper, placement, timer);
  for (const Operation& operation : segment.operations) scheduler.add(operation);
  return scheduler.take();
}

std::vector<Job> schedule(Mapper& mapper, const Operation& operation, const Placement& placement,
                          const ArrayTimer& timer) {
  Scheduler scheduler(mapper, placement, timer);
  scheduler.add(operation);
  return scheduler.take();
}

std::vector<Job> schedule(const configs::MachineConfig& machine, const pe::PeDesign& design,
                          const workloads::Segment& segment, const Placement& placement,
                          const ArrayTimer& timer) {
  Mapper mapper(machine, design);
  return schedule(mapper, segment, placement, timer);
}

}  // namespace systole::sim
