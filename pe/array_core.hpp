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
#include <cstring>
#include <deque>
#include <map>
#include <memory>
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
  bool step_exists(std::uint64_t step) const { return step < geometry_.steps; }

  Weight weight_word(std::uint64_t n, std::uint64_t group, std::uint64_t step,
                     unsigned part) const {
    const auto [k, count] = span_of(group, step);
    return A::weight(std::span(weight_.elements).subspan(n * case_->shape.k + k, count), mode_,
                     part);
  }
  Activation activation_word(std::uint64_t m, std::uint64_t group, std::uint64_t step,
                             unsigned part) const {
    const auto [k, count] = span_of(group, step);
    return A::activation(std::span(activation_.elements).subspan(m * case_->shape.k + k, count),
                         mode_, part);
  }
  /// A read of a word, or of a part of it. The first part brings the bits.
  void count_weight(std::uint64_t group, std::uint64_t step, bool first_part) {
    ++run_.measured.weight_words;
    if (first_part) {
      run_.measured.weight_bits +=
          span_of(group, step).second * quant::bits_of(case_->shape.weight);
    }
  }
  void count_activation(std::uint64_t group, std::uint64_t step, bool first_part) {
    ++run_.measured.activation_words;
    if (first_part) {
      run_.measured.activation_bits +=
          span_of(group, step).second * quant::bits_of(case_->shape.activation);
    }
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

  /// Further cycles that the words of a step ask for: the slowest PE holds up all.
  unsigned stall_of(const Fold& fold, const Position& position) const {
    unsigned stall = 0;
    if constexpr (requires(const Weight& w) { A::weight_stall(w); }) {
      for (std::uint64_t c = 0; c < geometry_.columns; ++c) {
        const std::uint64_t n = fold.column + c;
        if (n >= case_->shape.n) break;
        stall = std::max(stall,
                         A::weight_stall(weight_word(n, fold.group, position.step, position.part)));
      }
    }
    if constexpr (requires(const Activation& a) { A::activation_stall(a); }) {
      for (std::uint64_t r = 0; r < geometry_.rows; ++r) {
        const std::uint64_t m = fold.row + r;
        if (m >= case_->shape.m) break;
        stall = std::max(stall, A::activation_stall(
                                    activation_word(m, fold.group, position.step, position.part)));
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

  ArrayConfig array_;
  const PeDesign& design_;
  const ArrayCase* case_ = nullptr;
  Geometry geometry_;
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
    leaving_.clear();
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

  /// Row r's place in a fold: its step, and its part of the word where rows act together.
  bool row_exists(const Fold& fold, std::size_t r) const {
    return r / geometry_.row_gang < geometry_.rows &&
           this->step_exists(fold.row + r / geometry_.row_gang);
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
    const Geometry& g = geometry_;
    for (std::size_t c = 0; c < cols_; ++c) {
      const std::uint64_t output = fold.column + c / g.column_gang;
      const bool live =
          row_exists(fold, r) && c / g.column_gang < g.columns && output < this->outputs_held();
      if (!live) {
        link_feeder_.put(c, Held{}, kValid);
        continue;
      }
      const std::uint64_t step = fold.row + r / g.row_gang;
      const auto gang = static_cast<unsigned>(c % g.column_gang);
      if constexpr (kWeightsHeld) {
        const unsigned index = mode_.spatial ? gang : fold.part;
        const unsigned part =
            mode_.spatial || design_.holds_parts ? index * mode_.activation_parts : kWhole;
        link_feeder_.put(c, this->weight_word(output, fold.group, step, part), kValid | kLive);
        // Rows that act together hold the same word.
        if (r % g.row_gang == 0) this->count_weight(fold.group, step, index == 0);
      } else {
        const unsigned index = mode_.spatial ? gang : fold.part;
        const unsigned part = mode_.spatial || design_.holds_parts ? index : kWhole;
        link_feeder_.put(c, this->activation_word(output, fold.group, step, part), kValid | kLive);
        if (r % g.row_gang == 0) this->count_activation(fold.group, step, index == 0);
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
      if (!row_exists(fold, r)) {
        moving_feeder_.put(r, Moving{}, marks);
        continue;
      }
      ++live_rows;
      const std::uint64_t step = fold.row + r / g.row_gang;
      const auto gang = static_cast<unsigned>(r % g.row_gang);
      const auto live = static_cast<std::uint8_t>(marks | kLive);
      if constexpr (kWeightsHeld) {
        // In parts: beside each other, one after the other beside a held part, or all of them.
        const unsigned part = mode_.spatial ? gang : stream_part;
        moving_feeder_.put(r, this->activation_word(output, fold.group, step, part), live);
        if (mode_.spatial || design_.holds_parts || stream_part == 0) {
          this->count_activation(fold.group, step, part == 0);
        }
      } else {
        const unsigned part = mode_.spatial         ? gang * mode_.activation_parts
                              : design_.holds_parts ? stream_part * mode_.activation_parts
                                                    : stream_part;
        moving_feeder_.put(r, this->weight_word(output, fold.group, step, part), live);
        if (mode_.spatial || design_.holds_parts || stream_part == 0) {
          this->count_weight(fold.group, step, part == 0);
        }
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
  std::vector<int> leaving_;
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
    stalls_ = this->fold_stalls();
    std::uint64_t stalls = 0;
    for (const std::uint64_t s : stalls_) stalls += s;
    run_.measured.stall_cycles = stalls;
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

  std::uint64_t length(std::uint64_t fold) const {
    return geometry_.stream + (stalls_.empty() ? 0 : stalls_[fold]);
  }

  void issue_step() {
    if (fold_ == folds_.size()) return;
    if (!in_fold_) {
      // Preload: two captures of a PE are a whole drain apart. Serial: the array is empty.
      const bool free = preload_ ? edge_ >= next_start_ : fold_ == folds_done_;
      if (!free) return;
      in_fold_ = true;
      fold_start_ = edge_;
      position_ = 0;
      stream_.begin(*this);
      mark_wave_ends_ = std::max(mark_wave_ends_, edge_ + rows_ + cols_ + 1);
    }
    const Fold& fold = folds_[fold_];
    const Geometry& g = geometry_;
    const Position position = stream_.next();
    const bool last = position_ + 1 == length(fold_);
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
    const std::uint64_t next = fold_ < folds_.size() ? length(fold_) : 0;
    next_start_ = edge_ + 1 + (drain > next ? drain - next : 0);
  }

  void issue_words(const Fold& fold, const Position& position, std::uint8_t marks) {
    const Geometry& g = geometry_;
    const bool whole = !mode_.spatial && !design_.holds_parts;
    std::uint64_t live_rows = 0, live_columns = 0;
    const auto live = static_cast<std::uint8_t>(marks | kLive);
    for (std::size_t r = 0; r < rows_; ++r) {
      const std::uint64_t m = fold.row + r / g.row_gang;
      if (r / g.row_gang >= g.rows || m >= case_->shape.m) {
        activation_feeder_.put(r, Activation{}, marks);
        continue;
      }
      ++live_rows;
      const auto gang = static_cast<unsigned>(r % g.row_gang);
      const unsigned part = mode_.spatial ? gang : position.part;
      activation_feeder_.put(r, this->activation_word(m, fold.group, position.step, part), live);
      // The word stays at the edge while all its parts are taken: one read.
      const unsigned own = activation_part(mode_, part);
      const bool reads = mode_.spatial || (whole ? part == 0 : weight_part(mode_, part) == 0);
      if (reads) this->count_activation(fold.group, position.step, own == 0);
    }
    for (std::size_t c = 0; c < cols_; ++c) {
      const std::uint64_t n = fold.column + c / g.column_gang;
      if (c / g.column_gang >= g.columns || n >= case_->shape.n) continue;
      ++live_columns;
      const auto gang = static_cast<unsigned>(c % g.column_gang);
      const unsigned part = mode_.spatial ? gang * mode_.activation_parts : position.part;
      weight_feeder_.put(c, this->weight_word(n, fold.group, position.step, part), live);
      const unsigned own = weight_part(mode_, part);
      const bool reads = mode_.spatial || (whole ? part == 0 : activation_part(mode_, part) == 0);
      if (reads) this->count_weight(fold.group, position.step, own == 0);
    }
    run_.measured.mac_passes += live_rows * live_columns;
    if constexpr (Base::kStalls) {
      if (position.part + 1 == g.stream_parts) stream_.stall(this->stall_of(fold, position));
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
  std::vector<std::uint64_t> stalls_;
  std::uint64_t edge_limit_ = 0;
  std::uint64_t fold_ = 0, position_ = 0, fold_start_ = 0, next_start_ = 0, folds_done_ = 0;
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
    latency_ = ideal_ ? 0 : design_.stages - 1 + levels(mode_.depth);
    if (this->held() && !ideal_) latency_ += levels(rows_);
    fold_ = position_ = 0;
    loads_done_ = 0;
    load_ends_ = 0;
    ready_ = 1;
    stalls_ = this->fold_stalls();
    for (const std::uint64_t s : stalls_) run_.measured.stall_cycles += s;
  }

  bool step() override {
    ++edge_;
    if (first_edge_ == 0) first_edge_ = edge_;
    if (fold_ == folds_.size()) return edge_ >= last_edge_;
    if (this->held()) {
      step_held();
    } else {
      step_output();
    }
    return last_edge_ != 0 && edge_ >= last_edge_;
  }

  ArrayRun take() override { return this->finish(); }

 private:
  static std::uint64_t levels(std::uint64_t n) {
    std::uint64_t l = 0;
    while ((std::uint64_t{1} << l) < n) ++l;
    return l;
  }

  /// Held words enter a row a cycle. Serial: after the fold before has left; preload: from the edge
  /// at which the fold before begins to stream.
  void begin_load() {
    if (!ideal_) load_ends_ = edge_ + rows_ - 1;
    load_words();
    ++loads_done_;
  }
  void step_held() {
    const Geometry& g = geometry_;
    const Fold& fold = folds_[fold_];
    if (loads_done_ == fold_) {  // nothing loaded for this fold yet
      if (edge_ < ready_) return;
      begin_load();
      if (!ideal_) return;
    }
    if (position_ == 0) {
      if (!ideal_ && (edge_ <= load_ends_ || edge_ < ready_)) return;
      std::swap(held_, next_held_);
      if (preload_ && loads_done_ < folds_.size() && loads_done_ == fold_ + 1) begin_load();
    }
    const std::uint64_t drain = ideal_ ? 1 : g.row_drain;
    if (position_ % drain == 0) stream_held(fold, position_ / drain);
    ++run_.measured.stream_cycles;
    if (++position_ < g.stream * drain) return;
    position_ = 0;
    ++fold_;
    ready_ = edge_ + 1 + (preload_ || ideal_ ? 0 : latency_);
    if (fold_ == folds_.size()) last_edge_ = edge_ + latency_;
  }

  struct HeldWord {
    Weight weight{};
    Activation activation{};
    bool live = false;
  };
  void load_words() {
    const Geometry& g = geometry_;
    const Fold& fold = folds_[loads_done_];
    next_held_.assign(rows_ * cols_, {});
    for (std::size_t r = 0; r < rows_; ++r) {
      const std::uint64_t step = fold.row + r / g.row_gang;
      if (r / g.row_gang >= g.rows || !this->step_exists(step)) continue;
      for (std::size_t c = 0; c < cols_; ++c) {
        const std::uint64_t output = fold.column + c / g.column_gang;
        if (c / g.column_gang >= g.columns || output >= this->outputs_held()) continue;
        HeldWord& word = next_held_[r * cols_ + c];
        word.live = true;
        const unsigned index = mode_.spatial ? static_cast<unsigned>(c % g.column_gang) : fold.part;
        const bool in_parts = mode_.spatial || design_.holds_parts;
        if (this->weights_held()) {
          word.weight = this->weight_word(output, fold.group, step,
                                          in_parts ? index * mode_.activation_parts : kWhole);
          if (r % g.row_gang == 0) this->count_weight(fold.group, step, index == 0);
        } else {
          word.activation =
              this->activation_word(output, fold.group, step, in_parts ? index : kWhole);
          if (r % g.row_gang == 0) this->count_activation(fold.group, step, index == 0);
        }
      }
    }
  }
  void stream_held(const Fold& fold, std::uint64_t position) {
    const Geometry& g = geometry_;
    const std::uint64_t output = position / g.stream_parts;
    const auto stream_part = static_cast<unsigned>(position % g.stream_parts);
    column_sums_.assign(cols_, A::zero());
    std::uint64_t live_rows = 0;
    for (std::size_t r = 0; r < rows_; ++r) {
      const std::uint64_t step = fold.row + r / g.row_gang;
      if (r / g.row_gang >= g.rows || !this->step_exists(step)) continue;
      ++live_rows;
      const auto gang = static_cast<unsigned>(r % g.row_gang);
      const bool counts = mode_.spatial || design_.holds_parts || stream_part == 0;
      if (this->weights_held()) {
        const unsigned part = mode_.spatial ? gang : stream_part;
        const Activation word = this->activation_word(output, fold.group, step, part);
        if (counts) this->count_activation(fold.group, step, part == 0);
        for (std::size_t c = 0; c < cols_; ++c) {
          const HeldWord& held = held_[r * cols_ + c];
          if (held.live) column_sums_[c] = A::mac(column_sums_[c], held.weight, word);
        }
      } else {
        const unsigned part = mode_.spatial         ? gang * mode_.activation_parts
                              : design_.holds_parts ? stream_part * mode_.activation_parts
                                                    : stream_part;
        const Weight word = this->weight_word(output, fold.group, step, part);
        if (counts) this->count_weight(fold.group, step, part == 0);
        for (std::size_t c = 0; c < cols_; ++c) {
          const HeldWord& held = held_[r * cols_ + c];
          if (held.live) column_sums_[c] = A::mac(column_sums_[c], word, held.activation);
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

  std::uint64_t length(std::uint64_t fold) const {
    return geometry_.stream + (stalls_.empty() ? 0 : stalls_[fold]);
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
    if (++position_ < length(fold_)) return;
    for (std::size_t r = 0; r < rows_; ++r) {
      for (std::size_t c = 0; c < cols_; ++c) {
        this->collect_result(fold, r, c, sums_[r * cols_ + c]);
      }
    }
    position_ = 0;
    ++fold_;
    const std::uint64_t drain = ideal_ ? 0 : rows_ * g.row_drain;
    const std::uint64_t serial_drain = array_.drain_words == 0 ? 0 : drain;
    const std::uint64_t next = fold_ < folds_.size() ? length(fold_) : 0;
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
    const Geometry& g = geometry_;
    const bool whole = !mode_.spatial && !design_.holds_parts;
    words_w_.assign(cols_, {});
    live_w_.assign(cols_, 0);
    std::uint64_t live_rows = 0, live_columns = 0;
    for (std::size_t c = 0; c < cols_; ++c) {
      const std::uint64_t n = fold.column + c / g.column_gang;
      if (c / g.column_gang >= g.columns || n >= case_->shape.n) continue;
      ++live_columns;
      live_w_[c] = 1;
      const auto gang = static_cast<unsigned>(c % g.column_gang);
      const unsigned part = mode_.spatial ? gang * mode_.activation_parts : position.part;
      words_w_[c] = this->weight_word(n, fold.group, position.step, part);
      const bool reads = mode_.spatial || (whole ? part == 0 : activation_part(mode_, part) == 0);
      if (reads) this->count_weight(fold.group, position.step, weight_part(mode_, part) == 0);
    }
    for (std::size_t r = 0; r < rows_; ++r) {
      const std::uint64_t m = fold.row + r / g.row_gang;
      if (r / g.row_gang >= g.rows || m >= case_->shape.m) continue;
      ++live_rows;
      const auto gang = static_cast<unsigned>(r % g.row_gang);
      const unsigned part = mode_.spatial ? gang : position.part;
      const Activation word = this->activation_word(m, fold.group, position.step, part);
      const bool reads = mode_.spatial || (whole ? part == 0 : weight_part(mode_, part) == 0);
      if (reads) {
        this->count_activation(fold.group, position.step, activation_part(mode_, part) == 0);
      }
      for (std::size_t c = 0; c < cols_; ++c) {
        Sum& sum = sums_[r * cols_ + c];
        if (live_w_[c] != 0) sum = A::mac(sum, words_w_[c], word);
      }
    }
    run_.measured.mac_passes += live_rows * live_columns;
    if constexpr (Base::kStalls) {
      if (position.part + 1 == g.stream_parts) stream_.stall(this->stall_of(fold, position));
    }
  }

  const std::size_t rows_, cols_;
  const bool ideal_, preload_;
  std::vector<Sum> sums_;
  std::vector<HeldWord> held_, next_held_;
  std::vector<Sum> column_sums_;
  std::vector<Weight> words_w_;
  std::vector<std::uint8_t> live_w_;
  typename Base::Stream stream_;
  std::vector<std::uint64_t> stalls_;
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
