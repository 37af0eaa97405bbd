// What operands do to the ports of the PEs, counted beside the array, against every PE's registers
// followed one by one.
#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <vector>

#include "pe/clocked_array.hpp"
#include "sim/core/random.hpp"

namespace systole::pe {
namespace {

using configs::ArrayConfig;
using configs::Dataflow;

/// The ports of one PE.
struct Registers {
  std::uint32_t weight = 0, activation = 0;
};

constexpr std::uint32_t kMask = 0xFF;

class ByHand {
 public:
  ByHand(const ArrayConfig& array, const ArrayCase& work)
      : array_(array), work_(work), pes_(std::size_t{array.rows} * array.cols) {}

  ArrayActivity count() {
    const GemmShape& s = work_.shape;
    const std::uint64_t length = s.group == 0 ? s.k : s.group;
    const bool sums_held = array_.dataflow == Dataflow::output_stationary;
    const bool weights_held = array_.dataflow == Dataflow::weight_stationary;
    if (sums_held) {
      for (std::uint64_t m = 0; m < s.m; m += array_.rows) {
        for (std::uint64_t n = 0; n < s.n; n += array_.cols) {
          for (std::uint64_t k = 0; k < s.k; ++k) {
            each_pe([&](std::uint64_t r, std::uint64_t c) { pass(r, c, m + r, n + c, k); });
          }
        }
      }
      return total_;
    }
    const std::uint64_t held = weights_held ? s.n : s.m, streamed = weights_held ? s.m : s.n;
    for (std::uint64_t h = 0; h < held; h += array_.cols) {
      for (std::uint64_t group = 0; group < s.k; group += length) {
        for (std::uint64_t k = group; k < group + length; k += array_.rows) {
          for (std::uint64_t i = 0; i < streamed; ++i) {
            each_pe([&](std::uint64_t r, std::uint64_t c) {
              const std::uint64_t at = k + r < group + length ? k + r : s.k;
              weights_held ? pass(r, c, i, h + c, at) : pass(r, c, h + c, i, at);
            });
          }
        }
      }
    }
    return total_;
  }

 private:
  template <class Visit>
  void each_pe(Visit visit) {
    for (std::uint64_t r = 0; r < array_.rows; ++r) {
      for (std::uint64_t c = 0; c < array_.cols; ++c) visit(r, c);
    }
  }
  /// Padding puts zeros on the ports and is no pass.
  void pass(std::uint64_t r, std::uint64_t c, std::uint64_t m, std::uint64_t n, std::uint64_t k) {
    const GemmShape& s = work_.shape;
    const bool has_weight = n < s.n && k < s.k, has_activation = m < s.m && k < s.k;
    const std::uint32_t w = has_weight ? work_.weight[n * s.k + k] & kMask : 0u;
    const std::uint32_t a = has_activation ? work_.activation[m * s.k + k] & kMask : 0u;
    Registers& pe = pes_[r * array_.cols + c];
    if (has_weight && has_activation) {
      if (w == 0 || a == 0) {
        ++total_.zero;
      } else {
        ++total_.traced;
        total_.toggles += static_cast<std::uint64_t>(std::popcount(w ^ pe.weight)) +
                          static_cast<std::uint64_t>(std::popcount(a ^ pe.activation));
      }
    }
    pe = {w, a};
  }

  const ArrayConfig& array_;
  const ArrayCase& work_;
  std::vector<Registers> pes_;
  ArrayActivity total_;
};

TEST(ArrayActivity, IsThatOfEveryPesRegisters) {
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    ArrayConfig array;
    array.pe = "int8-mac";
    array.rows = static_cast<std::uint32_t>(random.uniform(1, 5));
    array.cols = static_cast<std::uint32_t>(random.uniform(1, 5));
    array.dataflow = static_cast<Dataflow>(random.uniform(0, 2));
    ArrayCase work;
    GemmShape& s = work.shape;
    s.m = static_cast<std::uint64_t>(random.uniform(1, 12));
    s.n = static_cast<std::uint64_t>(random.uniform(1, 12));
    s.group = array.dataflow == Dataflow::output_stationary || i % 2 == 0
                  ? 0
                  : static_cast<std::uint64_t>(random.uniform(1, 7));
    s.k = s.group == 0 ? static_cast<std::uint64_t>(random.uniform(1, 12)) : 2 * s.group;
    s.weight = s.activation = quant::Format::int8;
    const auto code = [&] {
      const bool zero = random.uniform(0, 3) == 0;
      return operand_word(zero ? 0 : static_cast<int>(random.uniform(-128, 127)));
    };
    for (std::uint64_t e = 0; e < s.m * s.k; ++e) work.activation.push_back(code());
    for (std::uint64_t e = 0; e < s.n * s.k; ++e) work.weight.push_back(code());
    const ArrayActivity counted = make_engine(array)->activity(work).value();
    EXPECT_EQ(counted, ByHand(array, work).count())
        << "case " << i << ": " << array.rows << "x" << array.cols << " "
        << configs::kDataflowNames[static_cast<std::size_t>(array.dataflow)] << ", " << s.m << "x"
        << s.n << "x" << s.k << " group " << s.group;
    EXPECT_EQ(counted.zero + counted.traced, s.m * s.n * s.k);
  }
}

TEST(ArrayActivity, OfAWordThatNeverChangesIsOneRiseOfItsBits) {
  ArrayConfig array;
  array.pe = "mixpe-w4a8";
  array.rows = array.cols = 1;
  ArrayCase work;
  work.shape.m = 50;
  work.shape.n = work.shape.k = 1;
  work.shape.weight = quant::Format::int4;
  work.shape.activation = quant::Format::int8;
  work.activation.assign(50, operand_word(-1));
  work.weight = {operand_word(5)};
  EXPECT_EQ(make_engine(array)->activity(work).value(),
            (ArrayActivity{.zero = 0, .traced = 50, .toggles = 8 + 2, .hold = 0}));
}

}  // namespace
}  // namespace systole::pe
