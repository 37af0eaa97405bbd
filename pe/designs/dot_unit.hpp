// A dot unit: N elements of another design's arithmetic a step, their products added in a tree.
#pragma once

#include <array>

#include "pe/arithmetic.hpp"

namespace systole::pe::designs {

/// `Base` multiplies one element; its sums are integers, so that the tree's order does not matter.
template <class Base, unsigned N>
struct DotUnit : Base {
  using Weight = std::array<typename Base::Weight, N>;
  using Activation = std::array<typename Base::Activation, N>;
  using Sum = typename Base::Sum;

  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    Weight word{};
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      word[i] = Base::weight(lanes.subspan(i, 1), mode, part);
    }
    return word;
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    Activation word{};
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      word[i] = Base::activation(lanes.subspan(i, 1), mode, part);
    }
    return word;
  }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    for (unsigned i = 0; i < N; ++i) sum = Base::mac(sum, weight[i], activation[i]);
    return sum;
  }
};

}  // namespace systole::pe::designs
