// How the keys or the values of one layer lie in memory, as plain numbers: which tokens are coded
// in which form, of which runs of bits a form consists, and where the runs of a page are. workloads
// derives it from a tensor policy, memory turns it into addresses; neither knows the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace systole {

enum class KvRole : std::uint8_t { codes, scales, zeros, means, outliers, classes, index };

/// An array of units of bits, a unit the part of one row that belongs to `unit_tokens` consecutive
/// tokens. Order of a page: head, row, unit, so that a row is a run of tokens. Token-major codes
/// are one row of whole tokens a head; channel-major ones a row a channel (KIVI's keys, a box a
/// unit) or a row a word of several channels (KVQuant's keys); bit planes a row a plane.
struct KvPlane {
  KvRole role = KvRole::codes;
  std::uint64_t rows = 1;  ///< of each KV head, or of the token where it is not `by_head`
  bool by_head = true;     ///< otherwise all heads need it, or parts that lie apart in it
  std::uint64_t unit_tokens = 1;
  std::uint64_t unit_bits = 0;
};

/// Work of reading one token of all heads, in the operations of quant::OpCounts.
struct KvDecodeWork {
  std::uint64_t unpacks = 0, lookups = 0;
  std::uint64_t multiply_adds = 0;   ///< fused ones, multiplies and adds, outside the next three
  std::uint64_t transform_adds = 0;  ///< butterflies of a Hadamard transform undone
  std::uint64_t rotations = 0;       ///< elements turned by RoPE on read
  std::uint64_t gathers = 0;         ///< elements moved by an index
  std::uint64_t sparse_macs = 0;
  std::uint64_t comparisons = 0;  ///< scores that a top-k selection looks at

  KvDecodeWork& operator+=(const KvDecodeWork& other);
  KvDecodeWork operator*(std::uint64_t tokens) const;
  /// Part `index` of `parts` nearly equal ones, which sum to the whole.
  KvDecodeWork part(std::uint64_t index, std::uint64_t parts) const;
  bool none() const { return *this == KvDecodeWork{}; }
  friend bool operator==(const KvDecodeWork&, const KvDecodeWork&) = default;
};

/// One way of keeping a token coded. Its index is the format id of a page.
struct KvForm {
  std::string format;
  std::vector<KvPlane> planes;
  std::uint64_t fixed_bits = 0;      ///< held once while there is any token: parameters of a class
  std::uint64_t page_tokens = 0;     ///< 0: one page for all there will ever be
  bool counts_page_padding = false;  ///< the policy asks for pages: what they leave free is stored
  std::uint64_t align_bytes = 1;     ///< of a page
  KvDecodeWork decode;               ///< of one token, all heads

  std::uint64_t box_tokens() const;                   ///< tokens coded together
  std::uint64_t box_bits(std::uint64_t heads) const;  ///< of such a box, all heads
};

/// What decides the form of a token.
enum class KvRule : std::uint8_t {
  window,  ///< sinks and the newest ones whole, the others in the first form
  budget,  ///< the same, in the first form whose codes fit `budget_bytes`, else the last
  rounds,  ///< every `refresh` tokens all are coded again: low_each of them in form 0, others in 1
  share,   ///< the ceil(high_share x tokens) most salient ones in form 1, others in 0
  ages,    ///< blocks of tokens pass from form to form as they age
  whole,   ///< all whole, and a share of them fetched by an index
};

struct KvLayout {
  std::uint64_t heads = 0;
  std::vector<KvForm> forms;
  std::uint64_t full_token_bits = 0;      ///< of a token kept whole, all heads
  std::vector<KvPlane> token_planes;      ///< of every token, in whatever form
  std::uint64_t codebook_head_bytes = 0;  ///< of a retrieval index, read at every step

  KvRule rule = KvRule::window;
  std::uint64_t sinks = 0, window = 0;
  bool slide = false;  ///< the window keeps its size; otherwise it is emptied
  std::uint64_t budget_bytes = 0, width = 0;
  std::vector<std::uint64_t> code_bits;  ///< budget: of one element, by form
  std::uint64_t refresh = 0, low_each = 0;
  double high_share = 0;
  std::uint64_t age_block = 0;
  std::vector<double> age_shares;
  /// Eviction; evict_block 0: none.
  std::uint64_t evict_block = 0, evict_blocks = 0, evict_sinks = 0, evict_recent = 0;
  /// Probabilities that the choice of tokens needs; nothing of a policy that needs none.
  double score_prompt_share = 0;        ///< of the prompt's query rows
  std::uint64_t score_prompt_rows = 0;  ///< of its newest
  std::uint64_t score_every = 0;        ///< steps between scorings of a decode; 1: every step
  std::uint64_t score_rows = 0;         ///< query rows of one; 1 with every step: the step's own
  double fetched_share = 0;             ///< whole: of the tokens, besides sinks and window
  std::uint64_t fetch_block = 1;        ///< tokens fetched together; >1: share of such, the last in

  /// Heads whose tokens are read together, because what they share lies together.
  bool heads_together() const;
};

/// Which tokens are where after `tokens` were appended.
struct KvPopulation {
  std::vector<std::uint64_t> coded;    ///< by form
  std::vector<std::uint64_t> dropped;  ///< by form: older ones that have left it, evicted or aged
  std::uint64_t full = 0;              ///< whole: sinks, window
  std::uint64_t held() const;
};
KvPopulation kv_population(const KvLayout& layout, std::uint64_t tokens);

/// What a cache holds, in bits.
struct KvStored {
  std::uint64_t codes = 0, metadata = 0, outliers = 0, full = 0, index = 0, padding = 0;
  std::uint64_t total() const { return codes + metadata + outliers + full + index + padding; }
};
KvStored kv_stored(const KvLayout& layout, std::uint64_t tokens);

/// Query rows of a head that a step of `rows` new tokens, after which `tokens` were appended,
/// scores for the layout's policy.
std::uint64_t kv_scored_rows(const KvLayout& layout, std::uint64_t rows, std::uint64_t tokens,
                             bool prompt);

/// Tokens that one query attends to: all held, or sinks, window and the fetched share.
std::uint64_t kv_attended(const KvLayout& layout, std::uint64_t tokens);

/// Where the runs of a page of a form lie.
struct KvPageGeometry {
  std::uint64_t tokens = 0, bytes = 0;
  struct Plane {
    std::uint64_t offset = 0, row_bytes = 0;
  };
  std::vector<Plane> planes;
};

/// The region of one tensor of one layer, sized for `capacity` tokens: for each form its fixed part
/// and its pool of pages; tokens kept whole; planes of every token; the codebook.
struct KvGeometry {
  /// `prefix`: tokens that it begins with and that lie elsewhere, in pages that several caches
  /// share; then the pools have the pages of its own alone. Errors: SYSTOLE_CHECK for a layout that
  /// means nothing.
  KvGeometry(KvLayout layout, std::uint64_t capacity, std::uint64_t prefix = 0);

  struct Pool {
    KvPageGeometry page;
    std::uint64_t fixed_offset = 0, fixed_bytes = 0, offset = 0, pages = 0;
  };
  KvLayout layout;
  std::uint64_t capacity = 0;
  std::vector<Pool> pools;
  std::uint64_t full_slots = 0, full_offset = 0, full_head_bytes = 0;  ///< of one token
  std::vector<KvPageGeometry> token_planes;                            ///< one plane each
  std::vector<std::uint64_t> token_plane_offsets;
  std::uint64_t codebook_offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t staging_bytes() const { return full_slots * full_head_bytes * layout.heads; }
  /// Rows that tokens are appended to: so many places at which a write may end within a burst.
  std::uint64_t streams() const;
};

}  // namespace systole
