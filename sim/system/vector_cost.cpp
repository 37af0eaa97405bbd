#include "sim/system/vector_cost.hpp"

namespace systole::sim {
namespace {

// The sequences below are counted from the normative kernels in quant/kernels; where a unit would
// use an iteration (reciprocal, reciprocal square root) three Newton steps of two multiplies and
// one subtraction are assumed, and for exp a range reduction of three operations and a polynomial
// of degree 6 by Horner's rule.
constexpr LaneOps kReciprocal{3, 6};
constexpr LaneOps kExp{3 + 6, 2 + 6};

}  // namespace

LaneOps lane_ops(workloads::VectorOp op, std::uint64_t rows, std::uint64_t width) {
  using workloads::VectorOp;
  const std::uint64_t elements = rows * width;
  switch (op) {
    case VectorOp::none:
    case VectorOp::kv_append:  // a copy: the DMA moves it
      return {};
    case VectorOp::embedding:  // decode the stored row
      return LaneOps{0, 1} * elements;
    case VectorOp::rms_norm:  // x*x, sum; x*r, *w; one reciprocal square root a row
      return LaneOps{1, 3} * elements + kReciprocal * rows;
    case VectorOp::rope:  // four multiplies and two adds a pair
      return LaneOps{1, 2} * elements;
    case VectorOp::softmax:  // max, subtract, exp, sum, scale; one reciprocal a row
      return (LaneOps{3, 1} + kExp) * elements + kReciprocal * rows;
    case VectorOp::swiglu:  // g / (1 + exp(-g)) * u
      return (LaneOps{2, 2} + kExp + kReciprocal) * elements;
    case VectorOp::residual_add:
      return LaneOps{1, 0} * elements;
    case VectorOp::route:    // a product-sum an element: `width` is experts x hidden
    case VectorOp::combine:  // an expert's output times its weight, onto the sum
      return LaneOps{1, 1} * elements;
    case VectorOp::quantise:  // |x| and max, multiply, round and clamp; one reciprocal a row
      return LaneOps{4, 1} * elements + kReciprocal * rows;
    case VectorOp::argmax:
      return LaneOps{1, 0} * elements;
  }
  return {};
}

}  // namespace systole::sim
