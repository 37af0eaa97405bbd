#include "pe/clocked_array.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "sim/core/error.hpp"

namespace systole::pe {

std::unique_ptr<ArrayEngine> make_engine(const configs::ArrayConfig& array) {
  SYSTOLE_CHECK(array.rows > 0 && array.cols > 0, "an array has rows and columns");
  const PeDesign& design = find_design(array.pe);
  return design.engine(array, design);
}

void check_traceable(const configs::ArrayConfig& array, std::uint64_t cycles,
                     std::string_view shown, std::string_view advice) {
  constexpr std::uint64_t kMostTraced = std::uint64_t{1} << 22;
  const std::uint64_t pes = std::uint64_t{array.rows} * array.cols;
  if (cycles <= kMostTraced / pes) return;
  throw ConfigError(
      fmt::format("--vcd: {}, {} PEs for {} cycles, make a file of gigabytes; expected at most {} "
                  "PEs x cycles: {}",
                  shown, pes, cycles, kMostTraced, advice));
}

ClockedArray::ClockedArray(const sc_core::sc_module_name& name) : sc_module(name) {
  SC_HAS_PROCESS(ClockedArray);
  SC_METHOD(tick);
  sensitive << clock_;
  dont_initialize();
}

ClockedArray::~ClockedArray() = default;

void ClockedArray::trace(sc_core::sc_trace_file* file, const configs::ArrayConfig& array) {
  if (array.interconnect == configs::Interconnect::broadcast) {
    throw ConfigError(
        "a waveform shows the registers of PEs; an array that broadcasts has none, "
        "expected interconnect systolic");
  }
  traced_rows_ = array.rows;
  traced_columns_ = array.cols;
  traced_.assign(traced_rows_ * traced_columns_, {});
  sc_core::sc_trace(file, edge_, "array.edge");
  for (std::size_t r = 0; r < traced_rows_; ++r) {
    for (std::size_t c = 0; c < traced_columns_; ++c) {
      const PeRegisters& pe = traced_[r * traced_columns_ + c];
      const std::string scope = fmt::format("array.row_{:03}.pe_{:03}.", r, c);
      sc_core::sc_trace(file, pe.valid, scope + "valid");
      sc_core::sc_trace(file, pe.first, scope + "first");
      sc_core::sc_trace(file, pe.last, scope + "last");
      sc_core::sc_trace(file, pe.moving, scope + "moving", 64);
      sc_core::sc_trace(file, pe.held, scope + "held", 64);
      sc_core::sc_trace(file, pe.sum, scope + "sum", 64);
    }
  }
}

void ClockedArray::look() {
  ++edge_;
  for (std::size_t r = 0; r < traced_rows_; ++r) {
    for (std::size_t c = 0; c < traced_columns_; ++c) {
      traced_[r * traced_columns_ + c] = engine_->registers(r, c).value_or(PeRegisters{});
    }
  }
}

void ClockedArray::tick() {
  const bool ended = engine_->step();
  if (sampled_ && !traced_.empty()) look();
  if (ended) {
    finished_.notify();
  } else {
    next_trigger(1.0, sc_core::SC_NS);
  }
}

ArrayRun ClockedArray::run(const configs::ArrayConfig& array, const ArrayCase& work) {
  SYSTOLE_CHECK(!running_, std::string(name()) + ": a GEMM while another runs");
  if (!engine_ || array != config_) {
    engine_ = make_engine(array);
    config_ = array;
  }
  const GemmShape& shape = work.shape;
  engine_->start(work);
  if (shape.m == 0 || shape.n == 0 || shape.k == 0) return {};
  running_ = true;
  clock_.notify(1.0, sc_core::SC_NS);
  sc_core::wait(finished_);
  running_ = false;
  return engine_->take();
}

}  // namespace systole::pe
