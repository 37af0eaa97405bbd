#include "pe/clocked_array.hpp"

#include <utility>

#include "sim/core/error.hpp"

namespace systole::pe {

std::unique_ptr<ArrayEngine> make_engine(const configs::ArrayConfig& array) {
  SYSTOLE_CHECK(array.rows > 0 && array.cols > 0, "an array has rows and columns");
  const PeDesign& design = find_design(array.pe);
  return design.engine(array, design);
}

ClockedArray::ClockedArray(const sc_core::sc_module_name& name) : sc_module(name) {
  SC_HAS_PROCESS(ClockedArray);
  SC_METHOD(tick);
  sensitive << clock_;
  dont_initialize();
}

ClockedArray::~ClockedArray() = default;

void ClockedArray::tick() {
  if (engine_->step()) {
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
