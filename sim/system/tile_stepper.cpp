#include "sim/system/tile_stepper.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>

#include "pe/dequantiser.hpp"
#include "pe/multi_array.hpp"
#include "pe/reference.hpp"
#include "pe/verify.hpp"
#include "quant/kernels/element_grid.hpp"
#include "sim/core/error.hpp"
#include "sim/system/simulate.hpp"

namespace systole::sim {
namespace {

using workloads::OperandMatrix;
using workloads::Operation;
using workloads::OpKind;
using workloads::Product;
using workloads::ProductName;
using workloads::ProductOperands;

constexpr double kMostPeSteps = 1e12;  // about half an hour
constexpr std::uint64_t kMostCheckedMacs = 1u << 22;

double pes_of(const configs::ArrayConfig& array) {
  return static_cast<double>(array.rows) * array.cols;
}

/// Rows, columns and depth of a whole product.
pe::GemmShape whole(const Operation& op, Product product) {
  if (op.kind == OpKind::gemm) return {op.m, op.n, op.k};
  return product == Product::scores ? pe::GemmShape{op.m * op.share, op.n, op.k}
                                    : pe::GemmShape{op.m * op.share, op.k, op.n};
}

/// "attn_q", "attention.scores": what a product is called where a reader sees it.
std::string shown_name(const Operation& operation, Product product) {
  switch (product) {
    case Product::scores:
      return operation.name + ".scores";
    case Product::context:
      return operation.name + ".context";
    default:
      return operation.name;
  }
}

bool is_pair(quant::Format format) {
  return quant::info_of(format).kind == quant::FormatClass::pair;
}

std::vector<pe::OperandWord> slice_of(const std::vector<std::uint16_t>& words, std::uint64_t cols,
                                      std::uint64_t r0, std::uint64_t rows, std::uint64_t c0,
                                      std::uint64_t width) {
  std::vector<pe::OperandWord> part;
  part.reserve(rows * width);
  for (std::uint64_t r = r0; r < r0 + rows; ++r) {
    const auto first = words.begin() + static_cast<std::ptrdiff_t>(r * cols + c0);
    part.insert(part.end(), first, first + static_cast<std::ptrdiff_t>(width));
  }
  return part;
}

/// Whether group sums of these operands make outputs by the dequantiser's rules.
bool has_integer_outputs(const ProductOperands& operands) {
  const OperandMatrix &a = *operands.moving_matrix, &w = *operands.stationary_matrix;
  if (operands.outputs.empty()) return false;
  if (a.integers && w.integers) return a.integers->spec.affine == quant::Affine::symmetric;
  return a.coded && w.coded && quant::to_grid(*a.coded) && quant::to_grid(*w.coded) &&
         quant::to_grid(*a.coded)->groups == 1;
}

std::uint64_t groups_of(const OperandMatrix& w) {
  return w.integers ? w.integers->groups : w.coded->groups;
}

}  // namespace

void refuse_endless_stepping(Mapper& mapper, const workloads::Program& program) {
  const configs::ArrayConfig& array = mapper.machine().array;
  std::vector<std::pair<pe::GemmShape, pe::ArrayWork>> known;
  double cycles = 0, largest_step = 0;
  for (const workloads::Step& step : program.steps) {
    double in_step = 0;
    for (const workloads::Segment& segment : step.segments) {
      const ArrayTimer count = [&](const pe::GemmShape& shape, const TilePlace&) {
        const auto same = [&](const auto& entry) { return entry.first == shape; };
        auto at = std::ranges::find_if(known, same);
        if (at == known.end()) {
          known.emplace_back(shape, pe::array_work(array, mapper.design(), shape));
          at = known.end() - 1;
        }
        in_step += static_cast<double>(segment.repeats) * static_cast<double>(at->second.cycles);
        return TimedTile{at->second, {}};
      };
      schedule(mapper, segment, {}, count);
    }
    cycles += in_step;
    largest_step = std::max(largest_step, in_step);
  }
  const double steps = cycles * pes_of(array);
  if (steps <= kMostPeSteps) return;
  throw ConfigError(fmt::format(
      "--timing pe steps every PE through every tile of the model's own operands: {:.1e} PE-steps "
      "here, {:.1e} of them in the longest of {} model passes; at most {:.0e} are stepped (about "
      "half an hour). Shorten it with a smaller --prefill or --decode, a smaller model or array, "
      "--no-eval (random codes, each tile shape once), or take --timing tile",
      steps, largest_step * pes_of(array), program.steps.size(), kMostPeSteps));
}

std::optional<TracedTile> traced_tile(Mapper& mapper, const workloads::Program& program,
                                      const WaveformRequest* request) {
  if (request == nullptr) return std::nullopt;
  const configs::ArrayConfig& array = mapper.machine().array;
  std::vector<std::string> known;
  std::optional<TracedTile> found;
  for (const workloads::Step& step : program.steps) {
    for (const workloads::Segment& segment : step.segments) {
      const ArrayTimer look = [&](const pe::GemmShape& shape, const TilePlace& place) {
        const std::string name = shown_name(segment.operations[place.operation], place.product);
        const pe::ArrayWork work = pe::array_work(array, mapper.design(), shape);
        if (std::ranges::find(known, name) == known.end()) known.push_back(name);
        if (!found && (request->operation.empty() || name == request->operation)) {
          found = {
              request->file, name,
              fmt::format("the first tile of {}, {} x {} x {}", name, shape.m, shape.n, shape.k)};
          pe::check_traceable(array, work.cycles, found->what,
                              "a smaller array or prompt, or another --vcd-operation");
        }
        return TimedTile{work, {}};
      };
      schedule(mapper, segment, {}, look);
      if (found) return found;
    }
  }
  throw ConfigError("--vcd-operation: " +
                    unknown_name_message("product", request->operation, known));
}

TileStepper::TileStepper(const Mapper& mapper, workloads::OperandSource* operands,
                         const std::optional<TracedTile>& traced)
    : mapper_(mapper), operands_(operands) {
  if (!traced) return;
  traced_ = traced->operation;
  const configs::ArrayConfig& array = mapper.machine().array;
  waveform_.emplace(traced->file, fmt::format("{} on {} x {} {}", traced->what, array.rows,
                                              array.cols, mapper.design().name));
  clocked_.trace(waveform_->file(), array);
  clocked_.sample(false);
}

void TileStepper::begin(std::size_t step, std::uint64_t tokens) {
  if (operands_ != nullptr) operands_->begin(step, tokens);
}

void TileStepper::end() { SYSTOLE_CHECK(open_.empty(), "every tile of a product was stepped"); }

TimedTile TileStepper::step(const pe::GemmShape& shape, const Operation& operation,
                            std::uint64_t layer, const TilePlace& place) {
  pe::GemmShape exact = shape;
  exact.stall = 0;  // the operands themselves say
  const ProductName name{layer, operation.name, place.product, place.head};
  const std::string shown = shown_name(operation, place.product);
  shows_ = shown == traced_;
  if (const ProductOperands* all = operands_of(exact, operation, name, place)) {
    on_model_.insert(shown);
    pe::ArrayCase work;
    work.shape = exact;
    work.activation = slice_of(all->moving, all->k, place.m0, exact.m, place.k0, exact.k);
    work.weight = slice_of(all->stationary, all->k, place.n0, exact.n, place.k0, exact.k);
    const TimedTile timed = run(work, shape, true);
    if (!mapper_.design().float_results && has_integer_outputs(*all)) {
      collect(name, *all, work, place);
    }
    return timed;
  }
  on_random_.insert(shown);
  for (const auto& [known, timed] : random_) {
    if (known == shape && !shows_) return timed;
  }
  const pe::ArrayCase work = pe::random_case(mapper_.design(), exact, random_.size());
  const TimedTile timed = run(work, shape, false);
  random_.emplace_back(shape, timed);
  return timed;
}

const ProductOperands* TileStepper::operands_of(const pe::GemmShape& shape,
                                                const Operation& operation, const ProductName& name,
                                                const TilePlace& place) {
  if (operands_ == nullptr || shape.classes != 1) return nullptr;
  const ProductOperands* all = operands_->find(name, shape.weight, shape.activation);
  if (all == nullptr) return nullptr;
  const pe::GemmShape product = whole(operation, place.product);
  if (all->m != product.m || all->n != product.n || all->k != product.k) return nullptr;
  // A tile cannot begin in the middle of a pair.
  const bool pairs = is_pair(shape.weight) || is_pair(shape.activation);
  return pairs && place.k0 % 2 != 0 ? nullptr : all;
}

TimedTile TileStepper::run(const pe::ArrayCase& work, const pe::GemmShape& shape, bool count) {
  const configs::ArrayConfig& array = mapper_.machine().array;
  const std::unique_ptr<pe::ArrayEngine> engine = pe::make_engine(array);
  const pe::ArrayWork closed =
      pe::array_work(array, mapper_.design(), work.shape, engine->stalls(work));
  if (!count) {
    random_steps_ += static_cast<double>(closed.cycles) * pes_of(array);
    if (random_steps_ > kMostPeSteps) {
      throw ConfigError(
          "--timing pe steps every PE of every distinct tile: more than 1e12 steps here; use a "
          "smaller array or prompt, or --timing tile, whose cycles are the same");
    }
  }
  pe::ArrayRun run = shows_ ? shown(work) : clocked_.run(array, work);
  ++tiles_;
  SYSTOLE_CHECK(run.measured.cycles == closed.cycles,
                "the clocked array takes the cycles of the closed form");
  if (shape.m * shape.n * shape.k <= kMostCheckedMacs) {
    SYSTOLE_CHECK(run.sums == pe::reference_sums(array, mapper_.design(), work),
                  "the clocked array computes what quant defines");
  }
  TimedTile timed{run.measured, {}};
  timed.work.repeat_cycles = closed.repeat_cycles;  // not visible in one run
  if (count) {
    if (const auto activity = engine->activity(work)) {
      const std::uint64_t known = activity->zero + activity->traced + activity->hold;
      SYSTOLE_CHECK(mapper_.design().counts_toggles() ? known == timed.work.mac_passes
                                                      : known <= timed.work.mac_passes,
                    "every pass is of one kind");
      timed.passes = {activity->zero, activity->hold, activity->traced, activity->toggles};
    } else {
      timed.passes = held_passes(array, mapper_.design(), work.shape, timed.work.mac_passes);
    }
  }
  sums_ = std::move(run.sums);
  return timed;
}

pe::ArrayRun TileStepper::shown(const pe::ArrayCase& work) {
  clocked_.sample(true);
  waveform_->begin();
  pe::ArrayRun run = clocked_.run(mapper_.machine().array, work);
  clocked_.sample(false);
  // The last edge is sampled when its time ends. Sampling costs far more than stepping: no longer
  // than needed.
  sc_core::wait(1.0, sc_core::SC_NS);
  waveform_->finish();
  waveform_.reset();
  traced_.clear();
  return run;
}

void TileStepper::collect(const ProductName& name, const ProductOperands& operands,
                          const pe::ArrayCase& work, const TilePlace& place) {
  const pe::GemmShape& tile = work.shape;
  const std::uint64_t groups = groups_of(*operands.stationary_matrix);
  const std::uint64_t in_tile = pe::group_count(mapper_.design(), tile);
  const std::uint64_t first = groups == 1 ? 0 : place.k0 / (operands.k / groups);
  // Where the array's sums span groups, a scale cannot be put to them.
  if (groups > 1 && pe::group_length(mapper_.design(), tile) != operands.k / groups) return;
  Open& open = open_[name];
  if (open.sums.empty()) {
    open.sums.assign(operands.m * operands.n * groups, 0);
    open.groups = groups;
  }
  std::size_t next = 0;
  for (std::uint64_t m = place.m0; m < place.m0 + tile.m; ++m) {
    for (std::uint64_t n = place.n0; n < place.n0 + tile.n; ++n) {
      for (std::uint64_t g = first; g < first + in_tile; ++g) {
        open.sums.at((m * operands.n + n) * groups + g) += sums_[next++];
      }
    }
  }
  open.products += tile.m * tile.n * tile.k;
  if (open.products < operands.m * operands.n * operands.k) return;
  compare(name, operands, open);
  open_.erase(name);
}

void TileStepper::compare(const ProductName& name, const ProductOperands& operands,
                          const Open& open) {
  const OperandMatrix &a = *operands.moving_matrix, &w = *operands.stationary_matrix;
  const std::vector<float> outputs =
      a.integers && w.integers
          ? pe::dequantise_sums(open.sums, *a.integers, *w.integers)
          : pe::dequantise_sums(open.sums, *quant::to_grid(*a.coded), *quant::to_grid(*w.coded));
  SYSTOLE_CHECK(outputs.size() == operands.outputs.size(), "outputs are [M, N]");
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    SYSTOLE_CHECK(std::bit_cast<std::uint32_t>(outputs[i]) ==
                      std::bit_cast<std::uint32_t>(operands.outputs[i]),
                  fmt::format("layer {}, {}: output {} of the clocked array is {}, of the "
                              "functional run {}",
                              name.layer, name.operation, i, outputs[i], operands.outputs[i]));
  }
  outputs_ += outputs.size();
}

KeyValues TileStepper::notes() const {
  KeyValues notes;
  std::string operands = "random codes of each product's formats, every tile shape once";
  if (!on_model_.empty()) {
    operands = fmt::format("model: {}; {}", operands_->describe(), fmt::join(on_model_, ", "));
    if (!on_random_.empty()) {
      operands += fmt::format("; random codes: {}", fmt::join(on_random_, ", "));
    }
  }
  notes.emplace_back("stepped operands", operands);
  notes.emplace_back(
      "timing",
      fmt::format("pe: {} tiles stepped clock by clock; cycles equal to the closed form of their "
                  "data, sums to quant's; {} outputs equal to the functional run's, bit for bit",
                  tiles_, outputs_));
  return notes;
}

}  // namespace systole::sim
