// Grid, sequencer, edge feeders and collectors of the clocked array.
//
// Edges of the clock: everything reads the links as they were before the edge and writes what the
// next edge reads. The sequencer issues whole vectors (one word a row, one a column); the feeders
// delay row r by r and column c by c edges, which is the triangle of skew registers. The sequencer
// never computes when something ends: it sees the last mark arrive at the far corner's PE, and a
// wrong schedule would show as wrong values.
#include "pe/systolic_array.hpp"

#include <algorithm>
#include <string>

#include "pe/processing_element.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::pe {

using configs::Dataflow;
using configs::FoldOverlap;

namespace {

const sc_core::sc_time& half_cycle() {
  static const sc_core::sc_time half(500, sc_core::SC_PS);
  return half;
}

/// The skew registers of one edge: lane i gets what was issued i edges ago.
template <class Link>
class SkewFeeder {
 public:
  explicit SkewFeeder(std::size_t lanes) : lanes_(lanes), issued_(lanes * lanes) {}

  /// The vector to fill for the edge that comes next, all lanes idle.
  Link* begin_issue() {
    now_ = (now_ + 1) % lanes_;
    Link* vector = &issued_[now_ * lanes_];
    std::fill(vector, vector + lanes_, Link{});
    return vector;
  }
  const Link& lane(std::size_t i) const {
    return issued_[((now_ + lanes_ - i) % lanes_) * lanes_ + i];
  }

 private:
  std::size_t lanes_;
  std::size_t now_ = 0;
  std::vector<Link> issued_;
};

/// One array-sized piece of the GEMM.
struct Fold {
  std::uint64_t row_tile = 0;     // output stationary: first m
  std::uint64_t column_tile = 0;  // first n
  std::uint64_t group = 0;
  std::uint64_t k_begin = 0, k_end = 0;
  unsigned pass = 0;
  bool opens_group = true;   // weight stationary: overwrites the edge accumulators
  bool closes_group = true;  // weight stationary: the accumulators then hold finished sums
};

/// The folds in the order in which they run: column tiles outermost, then groups, pieces of a group
/// and passes, so that partial sums of one output are added with k ascending.
std::vector<Fold> folds_of(const configs::ArrayConfig& array, const GemmShape& shape,
                           unsigned passes) {
  const std::uint64_t length = group_length(shape);
  const std::uint64_t groups = group_count(shape);
  std::vector<Fold> folds;
  if (array.dataflow == Dataflow::output_stationary) {
    for (std::uint64_t m = 0; m < shape.m; m += array.rows) {
      for (std::uint64_t n = 0; n < shape.n; n += array.cols) {
        for (std::uint64_t g = 0; g < groups; ++g) {
          folds.push_back({m, n, g, g * length, (g + 1) * length, 0, true, true});
        }
      }
    }
    return folds;
  }
  for (std::uint64_t n = 0; n < shape.n; n += array.cols) {
    for (std::uint64_t g = 0; g < groups; ++g) {
      const std::uint64_t end = (g + 1) * length;
      for (std::uint64_t k = g * length; k < end; k += array.rows) {
        for (unsigned pass = 0; pass < passes; ++pass) {
          const std::uint64_t piece_end = std::min(k + array.rows, end);
          folds.push_back({0, n, g, k, piece_end, pass, k == g * length && pass == 0,
                           piece_end == end && pass + 1 == passes});
        }
      }
    }
  }
  return folds;
}

}  // namespace

/// The PEs and the links between them. Link (r, c) enters PE (r, c); the last row and column leave
/// the array.
struct SystolicArray::Grid {
  Grid(const configs::ArrayConfig& config, const PeDesign& design)
      : rows(config.rows),
        cols(config.cols),
        clock("clock"),
        moving("moving", rows * (cols + 1)),
        stationary("stationary", (rows + 1) * cols),
        sum("sum", (rows + 1) * cols),
        elements("pe") {
    elements.init(rows * cols, [&](const char* name, std::size_t) {
      return new ProcessingElement(name, config, design);
    });
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < cols; ++c) {
        ProcessingElement& element = elements[r * cols + c];
        element.clock(clock);
        element.moving_in(moving_at(r, c));
        element.moving_out(moving_at(r, c + 1));
        element.stationary_in(stationary_at(r, c));
        element.stationary_out(stationary_at(r + 1, c));
        element.sum_in(sum_at(r, c));
        element.sum_out(sum_at(r + 1, c));
      }
    }
  }

  sc_core::sc_signal<MovingLink>& moving_at(std::size_t r, std::size_t c) {
    return moving[r * (cols + 1) + c];
  }
  sc_core::sc_signal<StationaryLink>& stationary_at(std::size_t r, std::size_t c) {
    return stationary[r * cols + c];
  }
  sc_core::sc_signal<SumLink>& sum_at(std::size_t r, std::size_t c) { return sum[r * cols + c]; }
  std::uint64_t mac_passes() {
    std::uint64_t passes = 0;
    for (std::size_t i = 0; i < elements.size(); ++i) passes += elements[i].mac_passes();
    return passes;
  }

  const std::size_t rows, cols;
  sc_core::sc_signal<bool, sc_core::SC_MANY_WRITERS> clock;  // whoever runs a case drives it
  sc_core::sc_vector<sc_core::sc_signal<MovingLink>> moving;
  sc_core::sc_vector<sc_core::sc_signal<StationaryLink>> stationary;
  sc_core::sc_vector<sc_core::sc_signal<SumLink>> sum;
  sc_core::sc_vector<ProcessingElement> elements;
};

/// Sequencer, feeders and collectors: everything at the edges, one clocked process.
class SystolicArray::Control : public sc_core::sc_module {
 public:
  Control(const sc_core::sc_module_name& name, const configs::ArrayConfig& config,
          const PeDesign& design, Grid& grid)
      : sc_module(name),
        config_(config),
        design_(design),
        grid_(grid),
        weight_stationary_(config.dataflow == Dataflow::weight_stationary),
        preload_(config.fold_overlap == FoldOverlap::preload),
        moving_feeder_(grid.rows),
        stationary_feeder_(grid.cols),
        drain_feeder_(grid.cols),
        column_fold_(grid.cols),
        column_step_(grid.cols) {
    SC_HAS_PROCESS(Control);
    SC_METHOD(tick);
    sensitive << grid.clock.posedge_event();
    dont_initialize();
  }

  void start(const ArrayCase& work, unsigned passes) {
    case_ = &work;
    passes_ = passes;
    folds_ = folds_of(config_, work.shape, passes);
    stream_length_ =
        weight_stationary_ ? work.shape.m : group_length(work.shape) * std::uint64_t{passes};
    run_ = {};
    run_.sums.assign(work.shape.m * work.shape.n * group_count(work.shape), 0);
    run_.measured.folds = folds_.size();
    run_.measured.passes = passes;
    edge_ = first_edge_ = last_edge_ = 0;
    // Every fold alone, loaded, streamed and drained, and one edge to collect: no schedule takes
    // longer.
    edge_limit_ = 2 + (folds_.size() + 1) * (stream_length_ + 3 * grid_.rows + grid_.cols);
    load_fold_ = load_step_ = stream_fold_ = stream_step_ = drain_steps_ = folds_done_ = 0;
    edges_since_start_ = grid_.rows;
    drain_fold_ = 0;
    collected_ = 0;
    std::fill(column_fold_.begin(), column_fold_.end(), 0);
    std::fill(column_step_.begin(), column_step_.end(), 0);
    partial_sums_.assign(weight_stationary_ ? work.shape.m * grid_.cols : 0, 0);
    mac_passes_before_ = grid_.mac_passes();
  }
  /// True from the edge after the last result left the last PE: that edge collects it.
  bool finished() const { return last_edge_ != 0 && edge_ > last_edge_; }

  ArrayRun take() {
    SYSTOLE_CHECK(collected_ == run_.sums.size(), "every group sum leaves the array once");
    run_.measured.cycles = last_edge_ - first_edge_ + 1;
    run_.measured.fill_drain_cycles = run_.measured.cycles - run_.measured.stream_cycles;
    run_.measured.mac_passes = grid_.mac_passes() - mac_passes_before_;
    run_.measured.moving_bits = run_.measured.moving_words * bits_of(case_->shape.moving);
    run_.measured.results = collected_;
    return std::move(run_);
  }

 private:
  void tick() {
    ++edge_;
    SYSTOLE_CHECK(edge_ <= edge_limit_, std::string(this->name()) + ": nothing ends this GEMM");
    observe();
    collect();
    issue();
    write_edges();
  }

  /// Watches the links into the first and into the last PE; both are about to be read at this edge.
  void observe() {
    if (first_edge_ == 0 &&
        (grid_.moving_at(0, 0).read().valid || grid_.stationary_at(0, 0).read().valid)) {
      first_edge_ = edge_;
    }
    const std::size_t r = grid_.rows - 1;
    const std::size_t c = grid_.cols - 1;
    const bool stream_ends =
        grid_.moving_at(r, c).read().valid && grid_.moving_at(r, c).read().last;
    const bool drain_ends = grid_.sum_at(r, c).read().valid && grid_.sum_at(r, c).read().last;
    if (!weight_stationary_ && preload_ ? drain_ends : stream_ends) {
      ++folds_done_;
      if (folds_done_ == folds_.size()) last_edge_ = edge_;
    }
  }

  // --- results ---

  void collect() {
    for (std::size_t c = 0; c < grid_.cols; ++c) {
      if (weight_stationary_) {
        const SumLink& sum = grid_.sum_at(grid_.rows, c).read();
        if (sum.valid) collect_partial_sum(c, sum.word);
      } else if (preload_) {
        const SumLink& sum = grid_.sum_at(grid_.rows, c).read();
        // A column drains from the bottom row up.
        if (sum.valid) collect_result(grid_.rows - 1 - column_step_[c], c, sum.word, grid_.rows);
      } else {
        for (std::size_t r = 0; r < grid_.rows; ++r) {
          const SumLink& sum = grid_.sum_at(r + 1, c).read();
          // Row r of a column is one edge behind row r - 1, so results of a fold arrive in row
          // order.
          if (sum.valid) collect_result(column_step_[c], c, sum.word, grid_.rows);
        }
      }
    }
  }

  /// The edge accumulator of a column adds what leaves it. Columns are at different folds at the
  /// same time.
  void collect_partial_sum(std::size_t c, AccumulatorWord word) {
    const Fold& fold = folds_[column_fold_[c]];
    const std::uint64_t m = column_step_[c];
    advance_column(c, case_->shape.m);
    const std::uint64_t n = fold.column_tile + c;
    if (n >= case_->shape.n) return;
    AccumulatorWord& accumulator = partial_sums_[m * grid_.cols + c];
    if (fold.opens_group) {
      accumulator = word;
    } else {
      accumulator = design_.add(accumulator, word);
      ++run_.measured.partial_sum_reads;
    }
    ++run_.measured.partial_sum_writes;
    if (fold.closes_group) deliver(m, n, fold.group, accumulator);
  }
  void collect_result(std::size_t r, std::size_t c, AccumulatorWord word, std::size_t rows) {
    const Fold& fold = folds_[column_fold_[c]];
    advance_column(c, rows);
    const std::uint64_t m = fold.row_tile + r;
    const std::uint64_t n = fold.column_tile + c;
    if (m < case_->shape.m && n < case_->shape.n) deliver(m, n, fold.group, word);
  }
  void advance_column(std::size_t c, std::uint64_t steps) {
    if (++column_step_[c] < steps) return;
    column_step_[c] = 0;
    ++column_fold_[c];
  }
  void deliver(std::uint64_t m, std::uint64_t n, std::uint64_t group, AccumulatorWord word) {
    run_.sums[(m * case_->shape.n + n) * group_count(case_->shape) + group] = word;
    ++collected_;
  }

  // --- operands ---

  void issue() {
    MovingLink* moving = moving_feeder_.begin_issue();
    StationaryLink* stationary = stationary_feeder_.begin_issue();
    SumLink* drain = drain_feeder_.begin_issue();
    ++edges_since_start_;
    if (weight_stationary_) {
      // Streaming first: a load that ends at this edge is complete only for the next.
      issue_weight_stationary_stream(moving);
      issue_load(stationary);
    } else {
      issue_drain(drain);
      issue_output_stationary_stream(moving, stationary);
    }
  }

  /// A fold's weights may enter once the fold before it uses its own: the holding registers are
  /// free then.
  void issue_load(StationaryLink* stationary) {
    if (load_fold_ == folds_.size()) return;
    if (load_step_ == 0) {
      const bool free = preload_ ? load_fold_ == 0 || stream_has_begun(load_fold_ - 1)
                                 : load_fold_ == folds_done_;
      if (!free) return;
    }
    // The bottom row's weights go first.
    const Fold& fold = folds_[load_fold_];
    const std::uint64_t k = fold.k_begin + (grid_.rows - 1 - load_step_);
    for (std::size_t c = 0; c < grid_.cols; ++c) {
      stationary[c] = stationary_word(fold, k, fold.column_tile + c, fold.pass);
    }
    if (++load_step_ == grid_.rows) {
      load_step_ = 0;
      ++load_fold_;
    }
  }
  bool stream_has_begun(std::uint64_t fold) const {
    return stream_fold_ > fold || (stream_fold_ == fold && stream_step_ > 0);
  }

  void issue_weight_stationary_stream(MovingLink* moving) {
    if (stream_fold_ == folds_.size() || stream_fold_ >= load_fold_) return;
    const Fold& fold = folds_[stream_fold_];
    for (std::size_t r = 0; r < grid_.rows; ++r) {
      moving[r] = moving_word(fold, stream_step_, fold.k_begin + r);
    }
    advance_stream();
  }

  void issue_output_stationary_stream(MovingLink* moving, StationaryLink* stationary) {
    if (stream_fold_ == folds_.size()) return;
    if (stream_step_ == 0) {
      // Preload: the drain of the fold before needs `rows` edges between two captures. Serial: the
      // array is empty.
      const bool free = preload_ ? edges_since_start_ >= grid_.rows : stream_fold_ == folds_done_;
      if (!free) return;
      edges_since_start_ = 0;
    }
    const Fold& fold = folds_[stream_fold_];
    const std::uint64_t k = fold.k_begin + stream_step_ / passes_;
    const auto pass = static_cast<unsigned>(stream_step_ % passes_);
    for (std::size_t r = 0; r < grid_.rows; ++r) {
      moving[r] = moving_word(fold, fold.row_tile + r, k);
      // The word stays at the edge during its passes: one read.
      if (moving[r].live && pass != 0) --run_.measured.moving_words;
    }
    for (std::size_t c = 0; c < grid_.cols; ++c) {
      stationary[c] = stationary_word(fold, k, fold.column_tile + c, pass);
    }
    advance_stream();
  }

  void advance_stream() {
    ++run_.measured.stream_cycles;
    if (++stream_step_ < stream_length_) return;
    stream_step_ = 0;
    ++stream_fold_;
  }

  /// Preload output stationary: as many shifts as there are rows, from the edge after a fold's last
  /// step on.
  void issue_drain(SumLink* drain) {
    if (!preload_) return;
    if (drain_steps_ == 0 && drain_fold_ < stream_fold_) {
      drain_steps_ = grid_.rows;
      ++drain_fold_;
    }
    if (drain_steps_ == 0) return;
    --drain_steps_;
    for (std::size_t c = 0; c < grid_.cols; ++c) drain[c] = {0, true, drain_steps_ == 0};
  }

  /// The moving operand at (m, k), or padding outside the fold. Reads of the scratchpad are counted
  /// here.
  MovingLink moving_word(const Fold& fold, std::uint64_t m, std::uint64_t k) {
    MovingLink link;
    link.valid = true;
    link.first = stream_step_ == 0;
    link.last = stream_step_ + 1 == stream_length_;
    if (m < case_->shape.m && k < fold.k_end) {
      link.live = true;
      link.word = case_->moving[m * case_->shape.k + k];
      ++run_.measured.moving_words;
    }
    return link;
  }
  StationaryLink stationary_word(const Fold& fold, std::uint64_t k, std::uint64_t n,
                                 unsigned pass) {
    StationaryLink link;
    link.valid = true;
    if (n < case_->shape.n && k < fold.k_end) {
      const quant::Format format = case_->shape.stationary;
      link.live = true;
      link.slice = design_.slice(case_->stationary[n * case_->shape.k + k], format, pass);
      ++run_.measured.stationary_words;
      // The slices of an operand split its bits: all but the last are four bits wide.
      run_.measured.stationary_bits +=
          pass + 1 < passes_ ? 4 : bits_of(format) - 4 * std::uint64_t{passes_ - 1};
    }
    return link;
  }

  void write_edges() {
    for (std::size_t r = 0; r < grid_.rows; ++r)
      grid_.moving_at(r, 0).write(moving_feeder_.lane(r));
    for (std::size_t c = 0; c < grid_.cols; ++c) {
      grid_.stationary_at(0, c).write(stationary_feeder_.lane(c));
      // Partial sums start from zero at the top row.
      grid_.sum_at(0, c).write(weight_stationary_ ? SumLink{0, true, false}
                                                  : drain_feeder_.lane(c));
    }
  }

  const configs::ArrayConfig& config_;
  const PeDesign& design_;
  Grid& grid_;
  const bool weight_stationary_;
  const bool preload_;
  SkewFeeder<MovingLink> moving_feeder_;
  SkewFeeder<StationaryLink> stationary_feeder_;
  SkewFeeder<SumLink> drain_feeder_;

  const ArrayCase* case_ = nullptr;
  unsigned passes_ = 1;
  std::vector<Fold> folds_;
  std::uint64_t stream_length_ = 0;
  ArrayRun run_;

  std::uint64_t edge_ = 0, edge_limit_ = 0;
  std::uint64_t first_edge_ = 0, last_edge_ = 0;  // 0: not seen yet
  std::uint64_t load_fold_ = 0, load_step_ = 0;
  std::uint64_t stream_fold_ = 0, stream_step_ = 0;
  std::uint64_t edges_since_start_ = 0;  // of the current fold's stream
  std::uint64_t drain_fold_ = 0, drain_steps_ = 0;
  std::uint64_t folds_done_ = 0;
  std::uint64_t collected_ = 0;
  std::uint64_t mac_passes_before_ = 0;
  std::vector<std::uint64_t> column_fold_,
      column_step_;                            // what each column's collector expects next
  std::vector<AccumulatorWord> partial_sums_;  // weight stationary: [M, cols]
};

SystolicArray::SystolicArray(const sc_core::sc_module_name& name,
                             const configs::ArrayConfig& config)
    : sc_module(name), config_(config), design_(find_design(config.pe)) {
  SYSTOLE_CHECK(config.rows > 0 && config.cols > 0, "an array has rows and columns");
  grid_ = std::make_unique<Grid>(config_, design_);
  control_ = std::make_unique<Control>("control", config_, design_, *grid_);
}

SystolicArray::~SystolicArray() = default;

ArrayRun SystolicArray::run(const ArrayCase& work) {
  const GemmShape& shape = work.shape;
  const unsigned passes = design_.require_passes(shape.stationary, shape.moving);
  SYSTOLE_CHECK(work.moving.size() == shape.m * shape.k, "the moving operand is [M, K]");
  SYSTOLE_CHECK(work.stationary.size() == shape.n * shape.k, "the stationary operand is [N, K]");
  if (shape.m == 0 || shape.n == 0 || shape.k == 0) return {};
  control_->start(work, passes);
  while (!control_->finished()) {
    grid_->clock.write(true);
    sc_core::wait(half_cycle());
    grid_->clock.write(false);
    sc_core::wait(half_cycle());
  }
  return control_->take();
}

}  // namespace systole::pe
