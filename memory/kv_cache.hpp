// The KV cache of one tensor of one layer as the DMA meets it: a page table and an allocator over
// the region that a KvGeometry describes, and what appending, reading and maintenance move.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "memory/transfer.hpp"
#include "memory/write_combiner.hpp"
#include "sim/core/kv_layout.hpp"

namespace systole::memory {

/// Equal pages, handed out first freed, first used.
class PageAllocator {
 public:
  explicit PageAllocator(std::uint64_t pages);
  /// Errors: SYSTOLE_CHECK when none is left.
  std::uint64_t allocate();
  void release(std::uint64_t page);
  std::uint64_t free_pages() const { return free_.size(); }

 private:
  std::deque<std::uint64_t> free_;
  std::vector<bool> used_;
};

/// Where sinks and the window, which are kept whole, wait.
enum class KvStaging : std::uint8_t { dram, on_chip };

/// Of a read: everything, or without the index that chose the tokens.
enum class KvPart : std::uint8_t { all, rows };

/// What a change of the cache moves. Adjacent runs are one transfer.
struct KvMoves {
  std::vector<Transfer> reads, writes;
  std::uint64_t coded_tokens = 0;    ///< brought into a form
  KvDecodeWork decode;               ///< of tokens that were coded before
  std::uint64_t served_bytes = 0;    ///< read in the write-combining buffer, not among `reads`
  std::uint64_t combined_bytes = 0;  ///< that it took; `writes` are what left it
  /// Of a shared prefix: pages copied before they were written in part, pages that were written
  /// whole and so need no copy, and bytes copied, what is in no page included.
  std::uint64_t copied_pages = 0, replaced_pages = 0, copied_bytes = 0;

  KvMoves& operator+=(const KvMoves& other);
};

/// Tokens come one after the other. Which of them are coded in which form follows from how many
/// came (kv_population). Where a policy chooses tokens by their values (salience, eviction), the
/// oldest stand for those chosen: it decides addresses, not amounts.
///
/// A prefix is shared page by page: sequences that begin alike read the pages of one cache that
/// holds what they have in common, each until it first writes into one (an append behind its last
/// token, or maintenance). Then it copies what the page holds into a page of its own, unless it
/// writes all of that again; the last of them writes in place. What lies in no page (tokens kept
/// whole, parameters of a class, planes of every token) each copies at once.
///
/// What an append adds to a row is one write; rows lie apart. A write of less than a burst costs a
/// burst; with `masked_writes` false it is read before (ECC), else the mask saves that. With
/// `combined_bursts` a buffer of so many bursts keeps what tokens leave incomplete for later ones
/// (WriteCombiner); reads take from it what it has, and freed pages leave it unwritten.
class KvCache {
 public:
  /// `base`: global address of the region. `geometry` must outlive the object.
  KvCache(const KvGeometry& geometry, std::uint64_t base, std::uint64_t burst_bytes,
          KvStaging staging = KvStaging::dram, bool masked_writes = true,
          std::uint64_t combined_bursts = 0);

  /// The next `tokens` tokens, and what is due after each of them: closed groups, refresh,
  /// demotion, shrinking, eviction. The first append of an empty cache codes every token once, in
  /// the form it ends in. Errors: SYSTOLE_CHECK beyond the capacity.
  KvMoves append(std::uint64_t tokens);
  /// The same for tokens that come as one chunk: what is due is done once, after the last.
  KvMoves append_together(std::uint64_t tokens);
  /// Empty until now, it begins with the tokens of `prefix`. `last`: the others have copies of what
  /// this one writes. What it copies at once is among the moves of the next append. The geometry
  /// of `prefix` must outlive the object.
  void share(const KvCache& prefix, bool last);
  /// The same state without the moves. Not with a write-combining buffer.
  void restore(std::uint64_t tokens);

  /// Reads of tokens [first, last) of the `attended()` ones for heads [head, head + heads): units
  /// that several calls share are read by the one in which they begin, so that calls that cover
  /// all tokens read everything once. `first` 0 reads what is fixed besides. `served_bytes`: what
  /// the write-combining buffer has of it, which is not among the transfers.
  std::vector<Transfer> read(std::uint64_t head, std::uint64_t heads, std::uint64_t first,
                             std::uint64_t last, std::uint64_t* served_bytes = nullptr,
                             KvPart part = KvPart::all) const;
  /// Whether an index says which tokens are read.
  bool fetches() const { return geometry_.layout.rule == KvRule::whole && attended() < tokens_; }
  /// The index of these heads, which must be known before any row can be read.
  std::vector<Transfer> read_index(std::uint64_t head, std::uint64_t heads) const;
  /// Decoding a codebook's index and choosing, for `heads` heads.
  KvDecodeWork selection_work(std::uint64_t heads) const;
  /// Pages whose bounds have to be scored before; 0 where the index is of tokens.
  std::uint64_t scored_pages() const;
  /// Work of decoding them, of `heads` heads.
  KvDecodeWork decode_work(std::uint64_t heads, std::uint64_t first, std::uint64_t last,
                           KvPart part = KvPart::all) const;
  /// Tokens that one query meets.
  std::uint64_t attended() const { return kv_attended(geometry_.layout, tokens_); }

  std::uint64_t tokens() const { return tokens_; }  ///< appended
  /// Pages that are not this sequence's own, and what it holds in them.
  std::uint64_t shared_pages() const;
  std::uint64_t shared_bits() const;
  /// Null where there is none.
  const WriteCombiner* combiner() const { return combiner_ ? &*combiner_ : nullptr; }
  KvStored stored() const { return kv_stored(geometry_.layout, tokens_); }
  /// Of the pages in use, fixed parts and whole tokens.
  std::uint64_t allocated_bytes() const;
  /// Allocated and not stored in.
  std::uint64_t fragmentation_bytes() const;
  /// Format id of each page in use, form by form, oldest first.
  std::vector<std::uint32_t> page_forms() const;

 private:
  struct Page {
    std::uint64_t number = 0;
    bool of_prefix = false;  ///< in the pool of the prefix's cache
    bool shared = false;     ///< others read it as well
  };
  struct Prefix {
    const KvGeometry* geometry;
    std::uint64_t base;
    bool last;
  };
  struct Table {
    PageAllocator allocator;
    std::deque<Page> pages;  ///< of logical pages from `first` on
    std::uint64_t first = 0;
  };
  using Runs = std::vector<Transfer>;

  KvMoves append(std::uint64_t tokens, bool together);
  void advance(std::uint64_t tokens, KvMoves& moves);
  void own(std::size_t form, std::uint64_t first, std::uint64_t last, const KvPopulation& before,
           KvMoves& moves);
  void settle_at(std::uint64_t tokens);
  void release(std::size_t form, const Page& page);
  /// Takes from the reads what the write-combining buffer has.
  void serve(KvMoves& moves) const;
  /// The writes become what leaves that buffer.
  void combine(KvMoves& moves);
  Runs runs_of(std::uint64_t head, std::uint64_t heads, std::uint64_t first, std::uint64_t last,
               KvPart part) const;
  void codebook_runs(std::uint64_t head, std::uint64_t heads, Runs& runs) const;
  void index_runs(std::uint64_t head, std::uint64_t heads, Runs& runs) const;
  void settle(const KvPopulation& population);
  std::uint64_t page_address(std::size_t form, std::uint64_t logical_page) const;
  /// Units of form tokens [first, last), counted from the first that ever was in it.
  void form_runs(std::size_t form, std::uint64_t head, std::uint64_t heads, std::uint64_t first,
                 std::uint64_t last, bool write, Runs& runs) const;
  void fixed_runs(std::size_t form, std::uint64_t head, std::uint64_t heads, bool write,
                  Runs& runs) const;
  void plane_runs(const KvPlane& plane, const KvPageGeometry& page, std::size_t index,
                  std::uint64_t address, std::uint64_t head, std::uint64_t heads,
                  std::uint64_t first, std::uint64_t last, bool write, Runs& runs) const;
  void full_runs(std::uint64_t head, std::uint64_t heads, std::uint64_t first, std::uint64_t last,
                 bool write, Runs& runs) const;
  void token_plane_runs(std::uint64_t head, std::uint64_t heads, std::uint64_t first,
                        std::uint64_t last, bool write, Runs& runs) const;
  void code(std::size_t form, std::uint64_t first, std::uint64_t last, const KvPopulation& before,
            KvMoves& moves);
  void take_back(std::size_t form, std::uint64_t first, std::uint64_t last, KvMoves& moves) const;
  void finish(KvMoves& moves) const;
  std::uint64_t slot_of(std::uint64_t token) const;

  const KvGeometry& geometry_;
  std::uint64_t base_, burst_;
  KvStaging staging_;
  bool masked_;
  std::uint64_t tokens_ = 0;
  KvPopulation population_;
  std::vector<Table> tables_;
  std::optional<WriteCombiner> combiner_;
  std::optional<Prefix> prefix_;
  KvMoves pending_;
};

}  // namespace systole::memory
