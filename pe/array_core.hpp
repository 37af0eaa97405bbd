// The clocked arrays as templates over a design's arithmetic (arithmetic.hpp): every PE and
// register of an R x C array, one edge of the clock a call.
//
// Edges of the clock: everything reads the registers as they were before the edge and writes what
// the next edge reads; a row of PEs is updated in one loop, rows from the bottom up, so that the
// loops run in vector registers where the arithmetic is that simple. The sequencer issues whole
// vectors (one word a row, one a column); the feeders delay row r by r and column c by c edges,
// which is the triangle of skew registers. The sequencer never computes when something ends: it
// sees the last mark arrive at the far corner's PE, and a wrong schedule would show as wrong
// values.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "pe/arithmetic.hpp"
#include "pe/clocked_array.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::pe::core {

using configs::ArrayConfig;
using configs::Dataflow;
using configs::FoldOverlap;
using configs::Interconnect;

/// Marks that travel with a streaming word.
enum Mark : std::uint8_t {
  kValid = 1,
  kLive = 2,   ///< not padding: an operand that exists
  kFirst = 4,  ///< held operands: use what the holding register holds; held sums: start from zero
  kLast = 8,   ///< the fold's last step
};

/// One array-sized piece of the GEMM.
struct Fold {
  std::uint64_t row = 0;     ///< first step (held operands) or first m (held sums)
  std::uint64_t column = 0;  ///< first output of the columns
  std::uint64_t group = 0;
  unsigned part = 0;         ///< of the held operand
  bool opens_group = true;   ///< overwrites the edge accumulators
  bool closes_group = true;  ///< they then hold finished sums
};

/// The folds in the order in which they run: column tiles outermost, then groups, pieces of a group
/// and parts, so that partial sums of one output are added with k ascending.
inline std::vector<Fold> folds_of(const ArrayConfig& array, const Geometry& g) {
  std::vector<Fold> folds;
  folds.reserve(g.folds);
  if (array.dataflow == Dataflow::output_stationary) {
    for (std::uint64_t r = 0; r < g.row_tiles; ++r) {
      for (std::uint64_t c = 0; c < g.column_tiles; ++c) {
        for (std::uint64_t group = 0; group < g.groups; ++group) {
          folds.push_back({r * g.rows, c * g.columns, group, 0, true, true});
        }
      }
    }
    return folds;
  }
  for (std::uint64_t c = 0; c < g.column_tiles; ++c) {
    for (std::uint64_t group = 0; group < g.groups; ++group) {
      for (std::uint64_t r = 0; r < g.row_tiles; ++r) {
        for (unsigned part = 0; part < g.fold_parts; ++part) {
          folds.push_back({r * g.rows, c * g.columns, group, part, r == 0 && part == 0,
                           r + 1 == g.row_tiles && part + 1 == g.fold_parts});
        }
      }
    }
  }
  return folds;
}

/// The skew registers of one edge: lane i gets what was issued i edges ago.
template <class Word>
class SkewFeeder {
 public:
  explicit SkewFeeder(std::size_t lanes)
      : lanes_(lanes), words_(lanes * lanes), marks_(lanes * lanes) {}

  void reset() {
    std::fill(words_.begin(), words_.end(), Word{});
    std::fill(marks_.begin(), marks_.end(), std::uint8_t{0});
    now_ = 0;
  }
  /// The vector to fill for the edge that comes next, all lanes idle.
  void begin_issue() {
    now_ = now_ + 1 == lanes_ ? 0 : now_ + 1;
    std::fill_n(words_.begin() + static_cast<std::ptrdiff_t>(now_ * lanes_), lanes_, Word{});
    std::fill_n(marks_.begin() + static_cast<std::ptrdiff_t>(now_ * lanes_), lanes_,
                std::uint8_t{0});
  }
  void put(std::size_t lane, const Word& word, std::uint8_t marks) {
    words_[now_ * lanes_ + lane] = word;
    marks_[now_ * lanes_ + lane] = marks;
  }
  /// The words that arrive at the edge now: `store(lane, word, marks)` for each lane.
  template <class Store>
  void deliver(Store store) const {
    std::size_t row = now_;
    for (std::size_t i = 0; i < lanes_; ++i) {
      store(i, words_[row * lanes_ + i], marks_[row * lanes_ + i]);
      row = row == 0 ? lanes_ - 1 : row - 1;
    }
  }

 private:
  std::size_t lanes_;
  std::size_t now_ = 0;
  std::vector<Word> words_;
  std::vector<std::uint8_t> marks_;
};

/// See PeRegisters.
template <class Word>
std::int64_t register_bits(const Word& word) {
  if constexpr (std::is_integral_v<Word>) {
    return static_cast<std::int64_t>(word);
  } else if constexpr (sizeof(Word) <= 8 && (std::is_floating_point_v<Word> ||
                                             std::has_unique_object_representations_v<Word>)) {
    std::int64_t bits = 0;
    std::memcpy(&bits, &word, sizeof word);
    return bits;
  } else {
    return 0;
  }
}
inline PeRegisters marks_of(std::uint8_t marks) {
  return {(marks & kValid) != 0, (marks & kFirst) != 0, (marks & kLast) != 0, 0, 0, 0};
}

template <class A>
Decoded decode_weight(const PeDesign& design, const ArrayCase& work) {
  if constexpr (requires { A::decode_weight(work, std::uint64_t{}); }) {
    return A::decode_weight(work, group_length(design, work.shape));
  } else {
    return decode_codes(work.shape.weight, work.weight);
  }
}
template <class A>
Decoded decode_activation(const PeDesign& design, const ArrayCase& work) {
  if constexpr (requires { A::decode_activation(work, std::uint64_t{}); }) {
    return A::decode_activation(work, group_length(design, work.shape));
  } else {
    return decode_codes(work.shape.activation, work.activation);
  }
}

/// What all engines share: the case, its words, the edge accumulators and the counts.
template <class A>
class EngineBase : public ArrayEngine {
 protected:
  using Weight = typename A::Weight;
  using Activation = typename A::Activation;
  using Sum = typename A::Sum;

  EngineBase(const ArrayConfig& array, const PeDesign& design) : array_(array), design_(design) {}

  /// False when there is nothing to do.
  bool begin(const ArrayCase& work) {
    case_ = &work;
    const GemmShape& shape = work.shape;
    run_ = {};
    geometry_ = geometry(array_, design_, shape);
    mode_ = design_.require_mode(shape.weight, shape.activation);
    SYSTOLE_CHECK(work.activation.size() == shape.m * shape.k, "the activation is [M, K]");
    SYSTOLE_CHECK(work.weight.size() == shape.n * shape.k, "the weight is [N, K]");
    SYSTOLE_CHECK(work.boundaries.size() + 1 == shape.classes, "a boundary between two classes");
    SYSTOLE_CHECK(shape.stall == 0, "operands at hand say their own stalls");
    if (shape.m == 0 || shape.n == 0 || shape.k == 0) return false;
    weight_ = decode_weight<A>(design_, work);
    activation_ = decode_activation<A>(design_, work);
    folds_ = folds_of(array_, geometry_);
    SYSTOLE_CHECK(folds_.size() == geometry_.folds, "the folds of the geometry");
    run_.sums.assign(shape.m * shape.n * geometry_.groups, 0);
    run_.measured.folds = folds_.size();
    run_.measured.passes = mode_.parts();
    edge_ = first_edge_ = last_edge_ = 0;
    collected_ = 0;
    accumulators_.assign(held() ? outputs_streamed() * geometry_.columns : 0, A::zero());
    return true;
  }
  bool held() const { return array_.dataflow != Dataflow::output_stationary; }
  bool weights_held() const { return array_.dataflow == Dataflow::weight_stationary; }
  std::uint64_t outputs_streamed() const {
    return weights_held() ? case_->shape.m : case_->shape.n;
  }
  std::uint64_t outputs_held() const { return weights_held() ? case_->shape.n : case_->shape.m; }

  ArrayRun finish() {
    SYSTOLE_CHECK(collected_ == run_.sums.size(), "every group sum leaves the array once");
    ArrayWork& measured = run_.measured;
    measured.cycles = last_edge_ - first_edge_ + 1;
    measured.fill_drain_cycles = measured.cycles - measured.stream_cycles;
    measured.results = collected_;
    return std::move(run_);
  }

  // --- words
  // --------------------------------------------------------------------------------------

  /// Elements of step `step` of a group along K: first and count.
  std::pair<std::uint64_t, std::uint64_t> span_of(std::uint64_t group, std::uint64_t step) const {
    const std::uint64_t begin = step * mode_.depth;
    const std::uint64_t count =
        std::min<std::uint64_t>(mode_.depth, geometry_.group_length - begin);
    return {group * geometry_.group_length + begin, count};
  }
  /// Row r of a fold of held operands: its step, and whether there is one.
  std::uint64_t step_of(const Fold& fold, std::size_t r) const {
    return fold.row + r / geometry_.row_gang;
  }
  bool row_exists(const Fold& fold, std::size_t r) const {
    return r / geometry_.row_gang < geometry_.rows && step_of(fold, r) < geometry_.steps;
  }

  template <bool kWeight>
  using Word = std::conditional_t<kWeight, Weight, Activation>;

  /// A word of the weight (`outer` is n) or of the activation (m), or a part of it.
  template <bool kWeight>
  Word<kWeight> word(std::uint64_t outer, std::uint64_t group, std::uint64_t step,
                     unsigned part) const {
    const auto [k, count] = span_of(group, step);
    const Decoded& decoded = kWeight ? weight_ : activation_;
    const auto lanes = std::span(decoded.elements).subspan(outer * case_->shape.k + k, count);
    if constexpr (kWeight) {
      return A::weight(lanes, mode_, part);
    } else {
      return A::activation(lanes, mode_, part);
    }
  }
  /// A read of a word, or of a part of it. The first part brings the bits.
  template <bool kWeight>
  void count_read(std::uint64_t group, std::uint64_t step, bool first_part) {
    ArrayWork& measured = run_.measured;
    const GemmShape& shape = case_->shape;
    ++(kWeight ? measured.weight_words : measured.activation_words);
    if (!first_part) return;
    (kWeight ? measured.weight_bits : measured.activation_bits) +=
        span_of(group, step).second * quant::bits_of(kWeight ? shape.weight : shape.activation);
  }

  /// Held operands: what PE (r, c) holds in a fold, read from the scratchpad; nothing for padding.
  template <bool kWeight>
  std::optional<Word<kWeight>> held_word(const Fold& fold, std::size_t r, std::size_t c) {
    const Geometry& g = geometry_;
    const std::uint64_t output = fold.column + c / g.column_gang;
    if (!row_exists(fold, r) || c / g.column_gang >= g.columns || output >= outputs_held()) {
      return std::nullopt;
    }
    // Whole, or the part of this column or fold.
    const bool in_parts = mode_.spatial || design_.holds_parts;
    const unsigned index = mode_.spatial ? static_cast<unsigned>(c % g.column_gang) : fold.part;
    const unsigned part = !in_parts ? kWhole : kWeight ? index * mode_.activation_parts : index;
    // Rows that act together hold the same word.
    if (r % g.row_gang == 0) count_read<kWeight>(fold.group, step_of(fold, r), index == 0);
    return word<kWeight>(output, fold.group, step_of(fold, r), part);
  }

  /// Held operands: what streams into row r for `output`; nothing for padding.
  template <bool kWeight>
  std::optional<Word<kWeight>> streamed_word(const Fold& fold, std::size_t r, std::uint64_t output,
                                             unsigned stream_part) {
    if (!row_exists(fold, r)) return std::nullopt;
    // In parts: beside each other, one after the other beside a held part, or all of them.
    const bool own_parts = mode_.spatial || design_.holds_parts;
    const unsigned index =
        mode_.spatial ? static_cast<unsigned>(r % geometry_.row_gang) : stream_part;
    const unsigned part = kWeight && own_parts ? index * mode_.activation_parts : index;
    if (own_parts || stream_part == 0) {
      count_read<kWeight>(fold.group, step_of(fold, r), part == 0);
    }
    return word<kWeight>(output, fold.group, step_of(fold, r), part);
  }

  // --- results
  // ------------------------------------------------------------------------------------

  void deliver(std::uint64_t m, std::uint64_t n, std::uint64_t group, const Sum& sum) {
    const std::uint64_t groups = geometry_.groups;
    int exponent = weight_.unit_exponent + activation_.unit_exponent;
    if (!weight_.exponents.empty()) exponent += weight_.exponents[n * groups + group];
    if (!activation_.exponents.empty()) exponent += activation_.exponents[m * groups + group];
    run_.sums[(m * case_->shape.n + n) * groups + group] = A::finish(sum, exponent);
    ++collected_;
  }

  /// Held operands: a sum leaves column c; `position` counts the sums of this fold and column.
  void collect_partial_sum(const Fold& fold, std::uint64_t position, std::size_t c,
                           const Sum& sum) {
    const std::uint64_t gang = geometry_.column_gang;
    const std::uint64_t column = c / gang;
    const std::uint64_t held = fold.column + column;
    if (column >= geometry_.columns || held >= outputs_held()) return;
    const std::uint64_t streamed = position / geometry_.stream_parts;
    const bool first = position % geometry_.stream_parts == 0 && c % gang == 0;
    const bool last = (position + 1) % geometry_.stream_parts == 0 && c % gang == gang - 1;
    Sum& accumulator = accumulators_[streamed * geometry_.columns + column];
    // Neighbouring columns that act as one are joined by an adder before the accumulator.
    if (c % gang == 0) {
      ++run_.measured.partial_sum_writes;
      if (!(fold.opens_group && first)) ++run_.measured.partial_sum_reads;
    }
    accumulator = fold.opens_group && first ? sum : A::add(accumulator, sum);
    if (!fold.closes_group || !last) return;
    if (weights_held()) {
      deliver(streamed, held, fold.group, accumulator);
    } else {
      deliver(held, streamed, fold.group, accumulator);
    }
  }

  /// Held sums: PEs that act as one deliver one after the other.
  void collect_result(const Fold& fold, std::size_t r, std::size_t c, const Sum& sum) {
    const Geometry& g = geometry_;
    if (r / g.row_gang >= g.rows || c / g.column_gang >= g.columns) return;
    const std::uint64_t m = fold.row + r / g.row_gang;
    const std::uint64_t n = fold.column + c / g.column_gang;
    if (m >= case_->shape.m || n >= case_->shape.n) return;
    const std::uint64_t gang = g.row_gang * g.column_gang;
    if (gang == 1) {
      deliver(m, n, fold.group, sum);
      return;
    }
    auto& [joined, count] = joining_[{m, n, fold.group}];
    joined = count == 0 ? sum : A::add(joined, sum);
    if (++count < gang) return;
    deliver(m, n, fold.group, joined);
    joining_.erase({m, n, fold.group});
  }

  // --- the stream of output stationary
  // --------------------------------------------------------------

  /// What enters both edges in one cycle of a fold.
  struct Position {
    enum class Kind : std::uint8_t { step, boundary, stall, end } kind = Kind::end;
    std::uint64_t step = 0;
    unsigned part = 0;
  };
  /// Walks through the positions of one fold.
  class Stream {
   public:
    void begin(const EngineBase& engine) {
      step_ = 0;
      part_ = 0;
      stall_ = 0;
      boundary_ = 0;
      engine_ = &engine;
    }
    Position next() {
      if (stall_ > 0) {
        --stall_;
        return {Position::Kind::stall, 0, 0};
      }
      const auto& boundaries = engine_->case_->boundaries;
      const std::uint64_t k = step_ * engine_->mode_.depth;
      const bool due = boundary_ < boundaries.size() &&
                       (k >= boundaries[boundary_] || step_ == engine_->geometry_.steps);
      if (part_ == 0 && due && engine_->design_.class_boundary_cycles > 0) {
        ++boundary_;
        return {Position::Kind::boundary, 0, 0};
      }
      if (step_ == engine_->geometry_.steps) return {};
      const Position position{Position::Kind::step, step_, part_};
      if (++part_ == engine_->geometry_.stream_parts) {
        part_ = 0;
        ++step_;
      }
      return position;
    }
    void stall(unsigned cycles) { stall_ = cycles; }

   private:
    const EngineBase* engine_ = nullptr;
    std::uint64_t step_ = 0;
    unsigned part_ = 0, stall_ = 0;
    std::size_t boundary_ = 0;
  };

  /// Held sums: what enters row r (activations) or column r (weights) in a step; nothing for
  /// padding. A word stays at the edge while all its parts are taken: one read.
  template <bool kWeight>
  std::optional<Word<kWeight>> edge_word(const Fold& fold, std::size_t lane,
                                         const Position& position) {
    const Geometry& g = geometry_;
    const std::uint64_t gang = kWeight ? g.column_gang : g.row_gang;
    const std::uint64_t outer = (kWeight ? fold.column : fold.row) + lane / gang;
    if (lane / gang >= (kWeight ? g.columns : g.rows)) return std::nullopt;
    if (outer >= (kWeight ? case_->shape.n : case_->shape.m)) return std::nullopt;
    const auto index = static_cast<unsigned>(lane % gang);
    const unsigned part = !mode_.spatial ? position.part
                          : kWeight      ? index * mode_.activation_parts
                                         : index;
    const unsigned own = kWeight ? weight_part(mode_, part) : activation_part(mode_, part);
    const unsigned other = kWeight ? activation_part(mode_, part) : weight_part(mode_, part);
    if (mode_.spatial || (design_.holds_parts ? other == 0 : part == 0)) {
      count_read<kWeight>(fold.group, position.step, own == 0);
    }
    return word<kWeight>(outer, fold.group, position.step, part);
  }

  /// Further cycles that the words of a step ask for: the slowest PE holds up all.
  unsigned stall_of(const Fold& fold, const Position& position) const {
    unsigned stall = 0;
    if constexpr (requires(const Weight& w) { A::weight_stall(w); }) {
      for (std::uint64_t c = 0; c < geometry_.columns; ++c) {
        const std::uint64_t n = fold.column + c;
        if (n >= case_->shape.n) break;
        stall = std::max(stall,
                         A::weight_stall(word<true>(n, fold.group, position.step, position.part)));
      }
    }
    if constexpr (requires(const Activation& a) { A::activation_stall(a); }) {
      for (std::uint64_t r = 0; r < geometry_.rows; ++r) {
        const std::uint64_t m = fold.row + r;
        if (m >= case_->shape.m) break;
        stall = std::max(
            stall, A::activation_stall(word<false>(m, fold.group, position.step, position.part)));
      }
    }
    return stall;
  }
  static constexpr bool kStalls = requires(const Weight& w) { A::weight_stall(w); }
  || requires(const Activation& a) { A::activation_stall(a); };

  std::vector<std::uint64_t> fold_stalls() const {
    std::vector<std::uint64_t> stalls;
    if constexpr (kStalls) {
      for (const Fold& fold : folds_) {
        Stream stream;
        stream.begin(*this);
        std::uint64_t total = 0;
        for (Position p = stream.next(); p.kind != Position::Kind::end; p = stream.next()) {
          if (p.kind == Position::Kind::step) total += stall_of(fold, p);
        }
        stalls.push_back(total);
      }
    }
    return stalls;
  }
  std::vector<std::uint64_t> stalls(const ArrayCase& work) final {
    if (!kStalls || !begin(work)) return {};
    return fold_stalls();
  }

  // --- what the operands do to the ports ---

  static constexpr bool kPorts = requires(const Weight& w, const Activation& a, const Mode& mode) {
    A::weight_port(w, mode);
    A::activation_port(a, mode);
  };

  static constexpr bool kNumbers = std::is_arithmetic_v<Weight> && std::is_arithmetic_v<Activation>;

  std::optional<ArrayActivity> activity(const ArrayCase& work) final {
    if constexpr (kPorts || kNumbers) {
      if (!counted() && !kNumbers) return std::nullopt;
      if (!begin(work)) return ArrayActivity{};
      switch (array_.dataflow) {
        case Dataflow::weight_stationary:
          return held_activity<true>();
        case Dataflow::input_stationary:
          return held_activity<false>();
        case Dataflow::output_stationary:
          return output_activity();
      }
    }
    return std::nullopt;
  }

  bool counted() const { return kPorts && design_.counts_toggles(); }

  /// The bits at a port; where none are counted, whether the word is not zero.
  template <bool kWeight>
  std::uint32_t port(const std::optional<Word<kWeight>>& word) const {
    if (!word) return 0;
    if constexpr (kPorts) {
      const unsigned bits = kWeight ? design_.weight_port_bits : design_.activation_port_bits;
      const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << bits) - 1);
      if constexpr (kWeight) {
        if (counted()) return A::weight_port(*word, mode_) & mask;
      } else {
        if (counted()) return A::activation_port(*word, mode_) & mask;
      }
    }
    if constexpr (kNumbers) return *word != 0 ? 1 : 0;
    return 0;
  }
  /// Passes without a zero; `held`: the stationary operand has not changed.
  void count_busy(ArrayActivity& total, std::uint64_t passes, std::uint64_t changed_bits,
                  bool held) const {
    if (counted()) {
      total.traced += passes;
      total.toggles += changed_bits;
    } else if (held) {
      total.hold += passes;
    }
  }

  /// Held operands: a PE's held word changes with the fold, its moving word with each step.
  template <bool kWeightHeld>
  ArrayActivity held_activity() {
    const std::size_t rows = array_.rows, cols = array_.cols;
    ArrayActivity total;
    std::vector<std::uint32_t> held(rows * cols), moving(rows);
    for (const Fold& fold : folds_) {
      // Of each row: held words, those that are not zero, and bits that the new words change there.
      std::vector<std::uint64_t> live(rows), nonzero(rows), reload(rows);
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c < cols; ++c) {
          const auto word = held_word<kWeightHeld>(fold, r, c);
          const std::uint32_t bits = port<kWeightHeld>(word);
          live[r] += word ? 1 : 0;
          if (bits != 0) {
            ++nonzero[r];
            reload[r] += toggles(held[r * cols + c], bits);
          }
          held[r * cols + c] = bits;
        }
      }
      for (std::uint64_t step = 0; step < geometry_.stream; ++step) {
        for (std::size_t r = 0; r < rows; ++r) {
          const auto part = static_cast<unsigned>(step % geometry_.stream_parts);
          const auto word =
              streamed_word<!kWeightHeld>(fold, r, step / geometry_.stream_parts, part);
          const std::uint32_t bits = port<!kWeightHeld>(word);
          const std::uint64_t busy = bits == 0 ? 0 : nonzero[r];
          if (word) total.zero += live[r] - busy;
          const std::uint64_t reloaded = step == 0 && busy > 0 ? reload[r] : 0;
          count_busy(total, busy, toggles(moving[r], bits) * busy + reloaded, step > 0);
          moving[r] = bits;
        }
      }
    }
    return total;
  }

  /// Held sums: both words change with each step.
  ArrayActivity output_activity() {
    ArrayActivity total;
    std::vector<std::uint32_t> weights(array_.cols), activations(array_.rows);
    for (const Fold& fold : folds_) {
      Stream stream;
      stream.begin(*this);
      for (Position p = stream.next(); p.kind != Position::Kind::end; p = stream.next()) {
        if (p.kind != Position::Kind::step) continue;
        const Edge w = edge<true>(fold, p, weights), a = edge<false>(fold, p, activations);
        const std::uint64_t busy = w.nonzero * a.nonzero;
        total.zero += w.live * a.live - busy;
        count_busy(total, busy, w.toggles * a.nonzero + a.toggles * w.nonzero, false);
      }
    }
    return total;
  }
  /// The words that enter one edge in a step; toggles of those that are not zero.
  struct Edge {
    std::uint64_t live = 0, nonzero = 0, toggles = 0;
  };
  template <bool kWeight>
  Edge edge(const Fold& fold, const Position& position, std::vector<std::uint32_t>& before) {
    Edge sum;
    for (std::size_t lane = 0; lane < before.size(); ++lane) {
      const auto word = edge_word<kWeight>(fold, lane, position);
      const std::uint32_t bits = port<kWeight>(word);
      sum.live += word ? 1 : 0;
      if (bits != 0) {
        ++sum.nonzero;
        sum.toggles += toggles(before[lane], bits);
      }
      before[lane] = bits;
    }
    return sum;
  }
  static std::uint64_t toggles(std::uint32_t before, std::uint32_t after) {
    return static_cast<std::uint64_t>(std::popcount(before ^ after));
  }

  /// Finds the stalls of the case at hand; the sum of all.
  std::uint64_t find_stalls() {
    stalls_ = fold_stalls();
    run_.measured.stall_cycles = std::accumulate(stalls_.begin(), stalls_.end(), std::uint64_t{0});
    return run_.measured.stall_cycles;
  }
  /// Cycles of a fold's stream, held sums.
  std::uint64_t length(std::uint64_t fold) const {
    return geometry_.stream + (stalls_.empty() ? 0 : stalls_[fold]);
  }

  ArrayConfig array_;
  const PeDesign& design_;
  const ArrayCase* case_ = nullptr;
  Geometry geometry_;
  std::vector<std::uint64_t> stalls_;
  Mode mode_{};
  Decoded weight_, activation_;
  std::vector<Fold> folds_;
  ArrayRun run_;
  std::uint64_t edge_ = 0;
  std::uint64_t first_edge_ = 0, last_edge_ = 0;  // 0: not seen yet
  std::uint64_t collected_ = 0;
  std::vector<Sum> accumulators_;  ///< held operands: [streamed outputs, columns]

 private:
  struct Output {
    std::uint64_t m, n, group;
    friend auto operator<=>(const Output&, const Output&) = default;
  };
  std::map<Output, std::pair<Sum, unsigned>> joining_;
};

/// The marks of `count` words from `marks` on, any of them with `mark` set?
inline bool any_of(const std::uint8_t* marks, std::size_t count, std::uint8_t mark) {
  std::uint8_t seen = 0;
  for (std::size_t i = 0; i < count; ++i) seen |= marks[i];
  return (seen & mark) != 0;
}

/// Weights or activations stay, the other operand streams along the rows, sums run down the
/// columns. A held word comes down its column through two registers a row (a holding register and a
/// link register), skewed like the data, so that loading takes R cycles and row r may load while
/// row r + 1 still streams.
template <class A, bool kWeightsHeld>
class HeldEngine final : public EngineBase<A> {
  using Base = EngineBase<A>;
  using Held = std::conditional_t<kWeightsHeld, typename A::Weight, typename A::Activation>;
  using Moving = std::conditional_t<kWeightsHeld, typename A::Activation, typename A::Weight>;
  using Sum = typename A::Sum;
  using Base::array_, Base::case_, Base::design_, Base::edge_, Base::first_edge_, Base::folds_,
      Base::geometry_, Base::last_edge_, Base::mode_, Base::run_;

 public:
  HeldEngine(const ArrayConfig& array, const PeDesign& design)
      : Base(array, design),
        rows_(array.rows),
        cols_(array.cols),
        preload_(array.fold_overlap == FoldOverlap::preload),
        moving_(rows_ * (cols_ + 1)),
        marks_(rows_ * (cols_ + 1)),
        link_((rows_ + 1) * cols_),
        link_marks_((rows_ + 1) * cols_),
        held_word_(rows_ * cols_),
        held_live_(rows_ * cols_),
        active_(rows_ * cols_),
        active_live_(rows_ * cols_),
        sum_((rows_ + 1) * cols_, A::zero()),
        moving_feeder_(rows_),
        link_feeder_(cols_),
        column_fold_(cols_),
        column_position_(cols_) {}

  void start(const ArrayCase& work) override {
    if (!this->begin(work)) return;
    moving_feeder_.reset();
    link_feeder_.reset();
    std::fill(marks_.begin(), marks_.end(), std::uint8_t{0});
    std::fill(link_marks_.begin(), link_marks_.end(), std::uint8_t{0});
    std::fill(moving_.begin(), moving_.end(), Moving{});
    done_at_.clear();
    load_fold_ = load_step_ = stream_fold_ = stream_step_ = folds_done_ = 0;
    next_stream_edge_ = 0;
    load_wave_ends_ = switch_wave_ends_ = 0;
    std::fill(column_fold_.begin(), column_fold_.end(), 0);
    std::fill(column_position_.begin(), column_position_.end(), 0);
    // Every fold alone, and one edge to collect: no schedule takes longer.
    edge_limit_ = 8 + design_.stages +
                  (folds_.size() + 1) * ((geometry_.stream + 1) * geometry_.row_drain + 3 * rows_ +
                                         cols_ + design_.stages);
  }

  bool step() override {
    ++edge_;
    SYSTOLE_CHECK(edge_ <= edge_limit_, design_.name + " array: nothing ends this GEMM");
    observe();
    compute();
    collect();
    issue();
    return last_edge_ != 0 && edge_ >= last_edge_;
  }

  ArrayRun take() override { return this->finish(); }

  std::optional<PeRegisters> registers(std::size_t row, std::size_t column) const override {
    PeRegisters pe = marks_of(marks_[row * (cols_ + 1) + column]);
    pe.moving = register_bits(moving_[row * (cols_ + 1) + column]);
    pe.held = register_bits(active_[row * cols_ + column]);
    pe.sum = register_bits(sum_[(row + 1) * cols_ + column]);
    return pe;
  }

 private:
  /// Watches the links into the first and into the last PE; both are about to be read at this edge.
  void observe() {
    if (first_edge_ == 0 && ((marks_[0] & kValid) != 0 || (link_marks_[0] & kValid) != 0)) {
      first_edge_ = edge_;
    }
    const std::uint8_t corner = marks_[(rows_ - 1) * (cols_ + 1) + cols_ - 1];
    if ((corner & kValid) != 0 && (corner & kLast) != 0) {
      // What is behind the PE's last register: its pipeline and the drain of the last row of sums.
      done_at_.push_back(edge_ + design_.stages - 1 + geometry_.row_drain - 1);
    }
    while (!done_at_.empty() && done_at_.front() <= edge_) {
      done_at_.pop_front();
      if (++folds_done_ == folds_.size()) last_edge_ = edge_;
    }
  }

  void compute() {
    const bool loads = edge_ <= load_wave_ends_;
    const bool switches = edge_ <= switch_wave_ends_;
    for (std::size_t r = rows_; r-- > 0;) {
      Moving* moving = &moving_[r * (cols_ + 1)];
      std::uint8_t* marks = &marks_[r * (cols_ + 1)];
      Held* active = &active_[r * cols_];
      if (switches && any_of(marks, cols_, kFirst)) {
        // The holding register's value before this edge: the next fold's chain may shift at this
        // very edge.
        for (std::size_t c = 0; c < cols_; ++c) {
          if ((marks[c] & kFirst) == 0) continue;
          active[c] = held_word_[r * cols_ + c];
          active_live_[r * cols_ + c] = held_live_[r * cols_ + c];
        }
      }
      const Sum* above = r == 0 ? nullptr : &sum_[r * cols_];
      Sum* below = &sum_[(r + 1) * cols_];
      multiply(above, below, active, &active_live_[r * cols_], moving, marks);
      if (r + 1 == rows_) std::memcpy(bottom_marks(), marks, cols_);
      std::move_backward(moving, moving + cols_, moving + cols_ + 1);
      std::memmove(marks + 1, marks, cols_);
      if (loads) shift_loads(r);
    }
  }

  void multiply(const Sum* above, Sum* below, const Held* active, const std::uint8_t* active_live,
                const Moving* moving, const std::uint8_t* marks) const {
    const std::size_t cols = cols_;
    for (std::size_t c = 0; c < cols; ++c) {
      const Sum sum = above == nullptr ? A::zero() : above[c];
      if constexpr (A::kZeroIsNeutral) {
        below[c] = mac(sum, active[c], moving[c]);
      } else {
        below[c] =
            (marks[c] & kLive) != 0 && active_live[c] != 0 ? mac(sum, active[c], moving[c]) : sum;
      }
    }
  }
  static Sum mac(const Sum& sum, const Held& held, const Moving& moving) {
    if constexpr (kWeightsHeld) {
      return A::mac(sum, held, moving);
    } else {
      return A::mac(sum, moving, held);
    }
  }

  /// Two registers a row: each shift passes the old value on, one edge later the row below shifts
  /// too.
  void shift_loads(std::size_t r) {
    const std::size_t at = r * cols_, next = (r + 1) * cols_;
    for (std::size_t c = 0; c < cols_; ++c) {
      const std::uint8_t marks = link_marks_[at + c];
      if ((marks & kValid) != 0) {
        link_[next + c] = held_word_[at + c];
        link_marks_[next + c] =
            static_cast<std::uint8_t>(kValid | (held_live_[at + c] != 0 ? kLive : 0));
        held_word_[at + c] = link_[at + c];
        held_live_[at + c] = (marks & kLive) != 0;
      } else {
        link_marks_[next + c] = 0;
      }
    }
  }

  // --- results ---

  std::uint8_t* bottom_marks() {
    bottom_.resize(cols_);
    return bottom_.data();
  }
  /// Takes the sums that left the last row; behind the PE's pipeline they come stages - 1 edges
  /// later, which no value depends on.
  void collect() {
    const Sum* sums = &sum_[rows_ * cols_];
    for (std::size_t c = 0; c < cols_; ++c) {
      if ((bottom_[c] & kValid) == 0) continue;
      this->collect_partial_sum(folds_[column_fold_[c]], column_position_[c], c, sums[c]);
      if (++column_position_[c] == geometry_.stream) {
        column_position_[c] = 0;
        ++column_fold_[c];
      }
    }
  }

  // --- operands ---

  void issue() {
    moving_feeder_.begin_issue();
    link_feeder_.begin_issue();
    // Streaming first: a load that ends at this edge is complete only for the next.
    issue_stream();
    issue_load();
    moving_feeder_.deliver([&](std::size_t r, const Moving& word, std::uint8_t marks) {
      moving_[r * (cols_ + 1)] = word;
      marks_[r * (cols_ + 1)] = marks;
    });
    if (edge_ <= load_wave_ends_) {
      link_feeder_.deliver([&](std::size_t c, const Held& word, std::uint8_t marks) {
        link_[c] = word;
        link_marks_[c] = marks;
      });
    }
  }

  /// A fold's held words may enter once the fold before it uses its own: the holding registers are
  /// free then.
  void issue_load() {
    if (load_fold_ == folds_.size()) return;
    if (load_step_ == 0) {
      const bool free = preload_ ? load_fold_ == 0 || stream_has_begun(load_fold_ - 1)
                                 : load_fold_ == folds_done_;
      if (!free) return;
    }
    // The bottom row's words go first.
    const Fold& fold = folds_[load_fold_];
    const std::size_t r = rows_ - 1 - load_step_;
    for (std::size_t c = 0; c < cols_; ++c) {
      if (const auto word = this->template held_word<kWeightsHeld>(fold, r, c)) {
        link_feeder_.put(c, *word, kValid | kLive);
      } else {
        link_feeder_.put(c, Held{}, kValid);
      }
    }
    load_wave_ends_ = edge_ + rows_ + cols_ + 1;
    if (++load_step_ == rows_) {
      load_step_ = 0;
      ++load_fold_;
    }
  }
  bool stream_has_begun(std::uint64_t fold) const {
    return stream_fold_ > fold || (stream_fold_ == fold && stream_step_ > 0);
  }

  void issue_stream() {
    if (stream_fold_ == folds_.size() || stream_fold_ >= load_fold_) return;
    if (edge_ < next_stream_edge_) return;  // the sums of the step before still leave
    const Fold& fold = folds_[stream_fold_];
    const Geometry& g = geometry_;
    const std::uint64_t output = stream_step_ / g.stream_parts;
    const auto stream_part = static_cast<unsigned>(stream_step_ % g.stream_parts);
    const auto marks = static_cast<std::uint8_t>(kValid | (stream_step_ == 0 ? kFirst : 0) |
                                                 (stream_step_ + 1 == g.stream ? kLast : 0));
    if (stream_step_ == 0) switch_wave_ends_ = edge_ + rows_ + cols_ + 1;
    std::uint64_t live_rows = 0;
    for (std::size_t r = 0; r < rows_; ++r) {
      if (const auto word =
              this->template streamed_word<!kWeightsHeld>(fold, r, output, stream_part)) {
        moving_feeder_.put(r, *word, static_cast<std::uint8_t>(marks | kLive));
        ++live_rows;
      } else {
        moving_feeder_.put(r, Moving{}, marks);
      }
    }
    const std::uint64_t live_columns =
        std::min(g.columns, this->outputs_held() - fold.column) * g.column_gang;
    run_.measured.mac_passes += live_rows * live_columns;
    run_.measured.stream_cycles += g.row_drain;
    next_stream_edge_ = edge_ + g.row_drain;
    if (++stream_step_ < g.stream) return;
    stream_step_ = 0;
    ++stream_fold_;
  }

  const std::size_t rows_, cols_;
  const bool preload_;

  // Registers. Entry (r, c) of `moving_` and `link_` enters PE (r, c) at the next edge; the last
  // column and row leave the array.
  std::vector<Moving> moving_;
  std::vector<std::uint8_t> marks_;
  std::vector<Held> link_;
  std::vector<std::uint8_t> link_marks_;
  std::vector<Held> held_word_;  ///< the holding register of the load chain
  std::vector<std::uint8_t> held_live_;
  std::vector<Held> active_;  ///< what multiplies
  std::vector<std::uint8_t> active_live_;
  std::vector<Sum> sum_;
  std::vector<std::uint8_t> bottom_;

  SkewFeeder<Moving> moving_feeder_;
  SkewFeeder<Held> link_feeder_;
  std::deque<std::uint64_t> done_at_;
  std::uint64_t edge_limit_ = 0;
  std::uint64_t load_fold_ = 0, load_step_ = 0;
  std::uint64_t stream_fold_ = 0, stream_step_ = 0, next_stream_edge_ = 0;
  std::uint64_t load_wave_ends_ = 0, switch_wave_ends_ = 0;
  std::uint64_t folds_done_ = 0;
  std::vector<std::uint64_t> column_fold_, column_position_;  ///< what each collector expects next
};

/// Sums stay; activations stream along the rows and weights down the columns.
template <class A>
class OutputEngine final : public EngineBase<A> {
  using Base = EngineBase<A>;
  using Weight = typename A::Weight;
  using Activation = typename A::Activation;
  using Sum = typename A::Sum;
  using Position = typename Base::Position;
  using Base::array_, Base::case_, Base::design_, Base::edge_, Base::first_edge_, Base::folds_,
      Base::geometry_, Base::last_edge_, Base::mode_, Base::run_;

 public:
  OutputEngine(const ArrayConfig& array, const PeDesign& design)
      : Base(array, design),
        rows_(array.rows),
        cols_(array.cols),
        preload_(array.fold_overlap == FoldOverlap::preload),
        activation_(rows_ * (cols_ + 1)),
        marks_(rows_ * (cols_ + 1)),
        weight_((rows_ + 1) * cols_),
        weight_live_((rows_ + 1) * cols_),
        accumulator_(rows_ * cols_, A::zero()),
        held_sum_(rows_ * cols_, A::zero()),
        chain_((rows_ + 1) * cols_, A::zero()),
        chain_marks_((rows_ + 1) * cols_),
        activation_feeder_(rows_),
        weight_feeder_(cols_),
        chain_feeder_(cols_),
        pe_fold_(rows_ * cols_),
        column_fold_(cols_),
        column_row_(cols_) {}

  void start(const ArrayCase& work) override {
    if (!this->begin(work)) return;
    activation_feeder_.reset();
    weight_feeder_.reset();
    chain_feeder_.reset();
    std::fill(marks_.begin(), marks_.end(), std::uint8_t{0});
    std::fill(weight_live_.begin(), weight_live_.end(), std::uint8_t{0});
    std::fill(chain_marks_.begin(), chain_marks_.end(), std::uint8_t{0});
    std::fill(activation_.begin(), activation_.end(), Activation{});
    std::fill(weight_.begin(), weight_.end(), Weight{});
    done_at_.clear();
    fold_ = 0;
    in_fold_ = false;
    folds_done_ = 0;
    next_start_ = 0;
    drains_.clear();
    drain_steps_ = 0;
    next_drain_ = 0;
    mark_wave_ends_ = chain_wave_ends_ = 0;
    std::fill(pe_fold_.begin(), pe_fold_.end(), 0);
    std::fill(column_fold_.begin(), column_fold_.end(), 0);
    std::fill(column_row_.begin(), column_row_.end(), 0);
    const std::uint64_t stalls = this->find_stalls();
    const std::uint64_t drain = rows_ * geometry_.row_drain;
    edge_limit_ =
        8 + stalls +
        (folds_.size() + 1) * (geometry_.stream + 2 * rows_ + cols_ + design_.stages + 2 * drain);
  }

  bool step() override {
    ++edge_;
    SYSTOLE_CHECK(edge_ <= edge_limit_, design_.name + " array: nothing ends this GEMM");
    observe();
    compute();
    issue();
    return last_edge_ != 0 && edge_ >= last_edge_;
  }

  ArrayRun take() override { return this->finish(); }

  std::optional<PeRegisters> registers(std::size_t row, std::size_t column) const override {
    PeRegisters pe = marks_of(marks_[row * (cols_ + 1) + column]);
    pe.moving = register_bits(activation_[row * (cols_ + 1) + column]);
    pe.held = register_bits(weight_[row * cols_ + column]);
    pe.sum = register_bits(accumulator_[row * cols_ + column]);
    return pe;
  }

 private:
  void observe() {
    if (first_edge_ == 0 && (marks_[0] & kValid) != 0) first_edge_ = edge_;
    const std::uint64_t stages = design_.stages - 1;
    const std::uint64_t drain = geometry_.row_drain;
    if (preload_) {
      const std::uint8_t corner = chain_marks_[(rows_ - 1) * cols_ + cols_ - 1];
      if ((corner & kValid) != 0 && (corner & kLast) != 0) {
        done_at_.push_back(edge_ + stages + drain - 1);
      }
    } else {
      const std::uint8_t corner = marks_[(rows_ - 1) * (cols_ + 1) + cols_ - 1];
      if ((corner & kValid) != 0 && (corner & kLast) != 0) {
        done_at_.push_back(edge_ + stages + (array_.drain_words == 0 ? 0 : rows_ * drain));
      }
    }
    while (!done_at_.empty() && done_at_.front() <= edge_) {
      done_at_.pop_front();
      if (++folds_done_ == folds_.size()) last_edge_ = edge_;
    }
  }

  void compute() {
    const bool marked = edge_ <= mark_wave_ends_;
    const bool chains = edge_ <= chain_wave_ends_;
    for (std::size_t r = rows_; r-- > 0;) {
      Activation* activation = &activation_[r * (cols_ + 1)];
      std::uint8_t* marks = &marks_[r * (cols_ + 1)];
      const Weight* weight = &weight_[r * cols_];
      const std::uint8_t* weight_live = &weight_live_[r * cols_];
      Sum* sum = &accumulator_[r * cols_];
      if (chains) shift_chain(r);
      if (marked && any_of(marks, cols_, kFirst)) {
        for (std::size_t c = 0; c < cols_; ++c) {
          if ((marks[c] & kFirst) != 0) sum[c] = A::zero();
        }
      }
      for (std::size_t c = 0; c < cols_; ++c) {
        if constexpr (A::kZeroIsNeutral) {
          sum[c] = A::mac(sum[c], weight[c], activation[c]);
        } else if ((marks[c] & kLive) != 0 && weight_live[c] != 0) {
          sum[c] = A::mac(sum[c], weight[c], activation[c]);
        }
      }
      if (marked && any_of(marks, cols_, kLast)) {
        for (std::size_t c = 0; c < cols_; ++c) {
          if ((marks[c] & kLast) != 0) end_fold(r, c, sum[c]);
        }
      }
      std::move_backward(activation, activation + cols_, activation + cols_ + 1);
      std::memmove(marks + 1, marks, cols_);
      std::copy_n(&weight_[r * cols_], cols_, &weight_[(r + 1) * cols_]);
      std::memcpy(&weight_live_[(r + 1) * cols_], &weight_live_[r * cols_], cols_);
    }
    if (preload_) collect_chain();
  }

  void end_fold(std::size_t r, std::size_t c, const Sum& sum) {
    if (preload_) {
      held_sum_[r * cols_ + c] = sum;  // leaves down the column while the next fold computes
    } else {
      this->collect_result(folds_[pe_fold_[r * cols_ + c]++], r, c, sum);
    }
  }

  /// The drain chain: a token takes what the PE holds down and leaves what came from above.
  void shift_chain(std::size_t r) {
    const std::size_t at = r * cols_, next = (r + 1) * cols_;
    for (std::size_t c = 0; c < cols_; ++c) {
      const std::uint8_t marks = chain_marks_[at + c];
      if ((marks & kValid) != 0) {
        chain_[next + c] = held_sum_[at + c];
        held_sum_[at + c] = chain_[at + c];
      }
      chain_marks_[next + c] = marks;
    }
  }
  void collect_chain() {
    for (std::size_t c = 0; c < cols_; ++c) {
      std::uint8_t& marks = chain_marks_[rows_ * cols_ + c];
      if ((marks & kValid) == 0) continue;
      marks = 0;
      // A column drains from the bottom row up.
      this->collect_result(folds_[column_fold_[c]], rows_ - 1 - column_row_[c], c,
                           chain_[rows_ * cols_ + c]);
      if (++column_row_[c] == rows_) {
        column_row_[c] = 0;
        ++column_fold_[c];
      }
    }
  }

  // --- operands ---

  void issue() {
    activation_feeder_.begin_issue();
    weight_feeder_.begin_issue();
    issue_step();
    activation_feeder_.deliver([&](std::size_t r, const Activation& word, std::uint8_t marks) {
      activation_[r * (cols_ + 1)] = word;
      marks_[r * (cols_ + 1)] = marks;
    });
    weight_feeder_.deliver([&](std::size_t c, const Weight& word, std::uint8_t marks) {
      weight_[c] = word;
      weight_live_[c] = (marks & kLive) != 0;
    });
    if (preload_) issue_drain();
  }

  void issue_step() {
    if (fold_ == folds_.size()) return;
    if (!in_fold_) {
      // Preload: two captures of a PE are a whole drain apart. Serial: the array is empty.
      const bool free = preload_ ? edge_ >= next_start_ : fold_ == folds_done_;
      if (!free) return;
      in_fold_ = true;
      position_ = 0;
      stream_.begin(*this);
      mark_wave_ends_ = std::max(mark_wave_ends_, edge_ + rows_ + cols_ + 1);
    }
    const Fold& fold = folds_[fold_];
    const Geometry& g = geometry_;
    const Position position = stream_.next();
    const bool last = position_ + 1 == this->length(fold_);
    const auto marks =
        static_cast<std::uint8_t>(kValid | (position_ == 0 ? kFirst : 0) | (last ? kLast : 0));
    ++position_;
    ++run_.measured.stream_cycles;
    if (position.kind == Position::Kind::step) {
      issue_words(fold, position, marks);
    } else {
      for (std::size_t r = 0; r < rows_; ++r) {
        activation_feeder_.put(r, Activation{}, marks);
        if constexpr (requires { A::boundary(); }) {
          if (position.kind == Position::Kind::boundary) {
            activation_feeder_.put(r, A::boundary(), static_cast<std::uint8_t>(marks | kLive));
          }
        }
      }
    }
    if (!last) return;
    mark_wave_ends_ = edge_ + rows_ + cols_ + 1;
    in_fold_ = false;
    drains_.push_back(edge_ + 1);
    const std::uint64_t drain = rows_ * g.row_drain;
    ++fold_;
    const std::uint64_t next = fold_ < folds_.size() ? this->length(fold_) : 0;
    next_start_ = edge_ + 1 + (drain > next ? drain - next : 0);
  }

  void issue_words(const Fold& fold, const Position& position, std::uint8_t marks) {
    std::uint64_t live_rows = 0, live_columns = 0;
    const auto live = static_cast<std::uint8_t>(marks | kLive);
    for (std::size_t r = 0; r < rows_; ++r) {
      const auto word = this->template edge_word<false>(fold, r, position);
      activation_feeder_.put(r, word.value_or(Activation{}), word ? live : marks);
      live_rows += word ? 1 : 0;
    }
    for (std::size_t c = 0; c < cols_; ++c) {
      if (const auto word = this->template edge_word<true>(fold, c, position)) {
        weight_feeder_.put(c, *word, live);
        ++live_columns;
      }
    }
    run_.measured.mac_passes += live_rows * live_columns;
    if constexpr (Base::kStalls) {
      if (position.part + 1 == geometry_.stream_parts)
        stream_.stall(this->stall_of(fold, position));
    }
  }

  /// As many tokens as there are rows, from the edge after a fold's last step on.
  void issue_drain() {
    chain_feeder_.begin_issue();
    if (drain_steps_ == 0 && !drains_.empty() && drains_.front() <= edge_) {
      drains_.pop_front();
      drain_steps_ = rows_;
      next_drain_ = edge_;
    }
    if (drain_steps_ > 0 && edge_ >= next_drain_) {
      --drain_steps_;
      next_drain_ = edge_ + geometry_.row_drain;
      const auto marks = static_cast<std::uint8_t>(kValid | (drain_steps_ == 0 ? kLast : 0));
      for (std::size_t c = 0; c < cols_; ++c) chain_feeder_.put(c, A::zero(), marks);
      chain_wave_ends_ = edge_ + rows_ + cols_ + 1;
    }
    chain_feeder_.deliver([&](std::size_t c, const Sum& word, std::uint8_t marks) {
      chain_[c] = word;
      chain_marks_[c] = marks;
    });
  }

  const std::size_t rows_, cols_;
  const bool preload_;

  // Registers; entry (r, c) enters PE (r, c) at the next edge.
  std::vector<Activation> activation_;
  std::vector<std::uint8_t> marks_;
  std::vector<Weight> weight_;
  std::vector<std::uint8_t> weight_live_;
  std::vector<Sum> accumulator_, held_sum_;
  std::vector<Sum> chain_;
  std::vector<std::uint8_t> chain_marks_;

  SkewFeeder<Activation> activation_feeder_;
  SkewFeeder<Weight> weight_feeder_;
  SkewFeeder<Sum> chain_feeder_;
  typename Base::Stream stream_;
  std::deque<std::uint64_t> done_at_, drains_;
  std::uint64_t edge_limit_ = 0;
  std::uint64_t fold_ = 0, position_ = 0, next_start_ = 0, folds_done_ = 0;
  bool in_fold_ = false;
  std::uint64_t drain_steps_ = 0, next_drain_ = 0;
  std::uint64_t mark_wave_ends_ = 0, chain_wave_ends_ = 0;
  std::vector<std::uint64_t> pe_fold_, column_fold_, column_row_;
};

/// All PEs of a row or column take a word at the same edge; also the ideal array, which neither
/// loads nor drains.
template <class A>
class BroadcastEngine final : public EngineBase<A> {
  using Base = EngineBase<A>;
  using Weight = typename A::Weight;
  using Activation = typename A::Activation;
  using Sum = typename A::Sum;
  using Position = typename Base::Position;
  using Base::array_, Base::case_, Base::design_, Base::edge_, Base::first_edge_, Base::folds_,
      Base::geometry_, Base::last_edge_, Base::mode_, Base::run_;

 public:
  BroadcastEngine(const ArrayConfig& array, const PeDesign& design)
      : Base(array, design),
        rows_(array.rows),
        cols_(array.cols),
        ideal_(array.fold_overlap == FoldOverlap::ideal),
        preload_(array.fold_overlap == FoldOverlap::preload),
        sums_(rows_ * cols_, A::zero()) {}

  void start(const ArrayCase& work) override {
    if (!this->begin(work)) return;
    latency_ = ideal_ ? 0 : design_.stages - 1 + log2_up(mode_.depth);
    if (Base::held() && !ideal_) latency_ += log2_up(rows_);
    fold_ = position_ = 0;
    loads_done_ = 0;
    load_ends_ = 0;
    ready_ = 1;
    this->find_stalls();
  }

  bool step() override {
    ++edge_;
    if (first_edge_ == 0) first_edge_ = edge_;
    if (fold_ == folds_.size()) return edge_ >= last_edge_;
    switch (array_.dataflow) {
      case Dataflow::weight_stationary:
        step_held<true>();
        break;
      case Dataflow::input_stationary:
        step_held<false>();
        break;
      case Dataflow::output_stationary:
        step_output();
        break;
    }
    return last_edge_ != 0 && edge_ >= last_edge_;
  }

  ArrayRun take() override { return this->finish(); }

  std::optional<PeRegisters> registers(std::size_t, std::size_t) const override {
    return std::nullopt;
  }

 private:
  /// Held words enter a row a cycle. Serial: after the fold before has left; preload: from the edge
  /// at which the fold before begins to stream.
  template <bool kWeights>
  void begin_load() {
    if (!ideal_) load_ends_ = edge_ + rows_ - 1;
    load_words<kWeights>();
    ++loads_done_;
  }
  template <bool kWeights>
  void step_held() {
    const Geometry& g = geometry_;
    const Fold& fold = folds_[fold_];
    if (loads_done_ == fold_) {  // nothing loaded for this fold yet
      if (edge_ < ready_) return;
      begin_load<kWeights>();
      if (!ideal_) return;
    }
    if (position_ == 0) {
      if (!ideal_ && (edge_ <= load_ends_ || edge_ < ready_)) return;
      std::swap(held<kWeights>(), next_held<kWeights>());
      if (preload_ && loads_done_ < folds_.size() && loads_done_ == fold_ + 1)
        begin_load<kWeights>();
    }
    const std::uint64_t drain = ideal_ ? 1 : g.row_drain;
    if (position_ % drain == 0) stream_held<kWeights>(fold, position_ / drain);
    ++run_.measured.stream_cycles;
    if (++position_ < g.stream * drain) return;
    position_ = 0;
    ++fold_;
    ready_ = edge_ + 1 + (preload_ || ideal_ ? 0 : latency_);
    if (fold_ == folds_.size()) last_edge_ = edge_ + latency_;
  }

  template <bool kWeights>
  auto& held() {
    if constexpr (kWeights) {
      return held_weights_;
    } else {
      return held_activations_;
    }
  }
  template <bool kWeights>
  auto& next_held() {
    if constexpr (kWeights) {
      return next_weights_;
    } else {
      return next_activations_;
    }
  }
  template <bool kWeights>
  void load_words() {
    const Fold& fold = folds_[loads_done_];
    auto& next = next_held<kWeights>();
    next.clear();
    for (std::size_t r = 0; r < rows_; ++r) {
      for (std::size_t c = 0; c < cols_; ++c) {
        next.push_back(this->template held_word<kWeights>(fold, r, c));
      }
    }
  }
  template <bool kWeights>
  void stream_held(const Fold& fold, std::uint64_t position) {
    const Geometry& g = geometry_;
    const std::uint64_t output = position / g.stream_parts;
    const auto stream_part = static_cast<unsigned>(position % g.stream_parts);
    column_sums_.assign(cols_, A::zero());
    std::uint64_t live_rows = 0;
    for (std::size_t r = 0; r < rows_; ++r) {
      const auto word = this->template streamed_word<!kWeights>(fold, r, output, stream_part);
      if (!word) continue;
      ++live_rows;
      for (std::size_t c = 0; c < cols_; ++c) {
        const auto& held_word = held<kWeights>()[r * cols_ + c];
        if (!held_word) continue;
        if constexpr (kWeights) {
          column_sums_[c] = A::mac(column_sums_[c], *held_word, *word);
        } else {
          column_sums_[c] = A::mac(column_sums_[c], *word, *held_word);
        }
      }
    }
    const std::uint64_t live_columns =
        std::min(g.columns, this->outputs_held() - fold.column) * g.column_gang;
    run_.measured.mac_passes += live_rows * live_columns;
    for (std::size_t c = 0; c < cols_; ++c) {
      this->collect_partial_sum(fold, position, c, column_sums_[c]);
    }
  }

  void step_output() {
    const Geometry& g = geometry_;
    if (position_ == 0) {
      if (edge_ < ready_) return;
      stream_.begin(*this);
      std::fill(sums_.begin(), sums_.end(), A::zero());
    }
    const Fold& fold = folds_[fold_];
    const Position position = stream_.next();
    if (position.kind == Position::Kind::step) {
      take_step(fold, position);
    } else if (position.kind == Position::Kind::boundary) {
      if constexpr (requires { A::boundary(); }) {
        for (Sum& sum : sums_) sum = A::mac(sum, Weight{}, A::boundary());
      }
    }
    ++run_.measured.stream_cycles;
    if (++position_ < this->length(fold_)) return;
    for (std::size_t r = 0; r < rows_; ++r) {
      for (std::size_t c = 0; c < cols_; ++c) {
        this->collect_result(fold, r, c, sums_[r * cols_ + c]);
      }
    }
    position_ = 0;
    ++fold_;
    const std::uint64_t drain = ideal_ ? 0 : rows_ * g.row_drain;
    const std::uint64_t serial_drain = array_.drain_words == 0 ? 0 : drain;
    const std::uint64_t next = fold_ < folds_.size() ? this->length(fold_) : 0;
    if (ideal_) {
      ready_ = edge_ + 1;
    } else if (preload_) {
      ready_ = edge_ + 1 + (drain > next ? drain - next : 0);
    } else {
      ready_ = edge_ + 1 + latency_ + serial_drain;
    }
    if (fold_ == folds_.size()) {
      last_edge_ = edge_ + latency_ + (preload_ ? drain : ideal_ ? 0 : serial_drain);
    }
  }
  void take_step(const Fold& fold, const Position& position) {
    weights_.clear();
    std::uint64_t live_rows = 0, live_columns = 0;
    for (std::size_t c = 0; c < cols_; ++c) {
      weights_.push_back(this->template edge_word<true>(fold, c, position));
      live_columns += weights_.back() ? 1 : 0;
    }
    for (std::size_t r = 0; r < rows_; ++r) {
      const auto word = this->template edge_word<false>(fold, r, position);
      if (!word) continue;
      ++live_rows;
      for (std::size_t c = 0; c < cols_; ++c) {
        Sum& sum = sums_[r * cols_ + c];
        if (weights_[c]) sum = A::mac(sum, *weights_[c], *word);
      }
    }
    run_.measured.mac_passes += live_rows * live_columns;
    if constexpr (Base::kStalls) {
      if (position.part + 1 == geometry_.stream_parts)
        stream_.stall(this->stall_of(fold, position));
    }
  }

  const std::size_t rows_, cols_;
  const bool ideal_, preload_;
  std::vector<Sum> sums_;
  std::vector<std::optional<Weight>> held_weights_, next_weights_;
  std::vector<std::optional<Activation>> held_activations_, next_activations_;
  std::vector<Sum> column_sums_;
  std::vector<std::optional<Weight>> weights_;  ///< of one step, by column
  typename Base::Stream stream_;
  std::uint64_t latency_ = 0;
  std::uint64_t fold_ = 0, position_ = 0, loads_done_ = 0, load_ends_ = 0, ready_ = 0;
};

/// The engine for an array of a design whose arithmetic is A: what PeDesign::engine points to.
template <class A>
std::unique_ptr<ArrayEngine> make(const ArrayConfig& array, const PeDesign& design) {
  if (array.interconnect == Interconnect::broadcast || array.fold_overlap == FoldOverlap::ideal) {
    return std::make_unique<BroadcastEngine<A>>(array, design);
  }
  switch (array.dataflow) {
    case Dataflow::weight_stationary:
      return std::make_unique<HeldEngine<A, true>>(array, design);
    case Dataflow::input_stationary:
      return std::make_unique<HeldEngine<A, false>>(array, design);
    case Dataflow::output_stationary:
      break;
  }
  return std::make_unique<OutputEngine<A>>(array, design);
}

}  // namespace systole::pe::core
