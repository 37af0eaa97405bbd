// systolic_array of pe/rtl: cycles and values against the clocked array of the `pe` timing, cycles
// against the closed forms of pe/array_timing.hpp, values against integer group sums, words read
// against what the closed forms count; random shapes, stalls and padding.
#include "array_models.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "pe/clocked_array.hpp"
#include "tests/rtl/driver.hpp"
#include "tests/rtl/reference.hpp"

namespace systole::rtl {
namespace {

namespace reference = rtl_reference;
using quant::ExponentInteger;

enum class Design : std::uint8_t { int_, mixpe, olive };
constexpr Design kint = Design::int_, kmixpe = Design::mixpe, kolive = Design::olive;

/// A model behind one face: the port types differ with the size of the array.
class Array {
 public:
  virtual ~Array() = default;
  virtual void eval(bool clock) = 0;
  struct Sizes {
    std::uint64_t m, n, group_length, groups;
    bool two_passes;
  };
  virtual void reset() = 0;
  virtual void set_control(bool start, bool enabled, const Sizes& sizes) = 0;
  virtual void set_moving(std::size_t lane, std::uint64_t word) = 0;
  virtual void set_stationary(std::size_t lane, std::uint64_t word) = 0;
  struct Request {
    bool valid;
    std::uint64_t outer, k, live;  // m or n
  };
  virtual Request moving() const = 0;
  virtual Request stationary() const = 0;
  struct Result {
    bool valid;
    std::uint64_t m, n, group;
    std::uint32_t word;
  };
  virtual Result result(std::size_t column) const = 0;
  virtual bool busy() const = 0;
  virtual bool done() const = 0;
};

template <class Model>
class VerilatedArray final : public Array {
 public:
  VerilatedArray(std::size_t moving_bits, std::size_t stationary_bits)
      : moving_bits_(moving_bits), stationary_bits_(stationary_bits) {}
  void eval(bool clock) override {
    model_.clk = clock;
    model_.eval();
  }
  void reset() override { rtl::reset(model_); }
  void set_control(bool start, bool enabled, const Sizes& sizes) override {
    model_.start = start;
    model_.en = enabled;
    model_.size_m = static_cast<SData>(sizes.m);
    model_.size_n = static_cast<SData>(sizes.n);
    model_.group_length = static_cast<SData>(sizes.group_length);
    model_.groups = static_cast<SData>(sizes.groups);
    model_.two_passes = sizes.two_passes;
  }
  void set_moving(std::size_t lane, std::uint64_t word) override {
    set_bits(model_.moving_data, lane * moving_bits_, moving_bits_, word);
  }
  void set_stationary(std::size_t lane, std::uint64_t word) override {
    set_bits(model_.stationary_data, lane * stationary_bits_, stationary_bits_, word);
  }
  Request moving() const override {
    return {model_.moving_request != 0, model_.moving_m, model_.moving_k, model_.moving_live};
  }
  Request stationary() const override {
    return {model_.stationary_request != 0, model_.stationary_n, model_.stationary_k,
            model_.stationary_live};
  }
  Result result(std::size_t column) const override {
    return {get_bits(model_.result_valid, column, 1) != 0,
            get_bits(model_.result_m, 16 * column, 16), get_bits(model_.result_n, 16 * column, 16),
            get_bits(model_.result_group, 16 * column, 16),
            static_cast<std::uint32_t>(get_bits(model_.result, 32 * column, 32))};
  }
  bool busy() const override { return model_.busy != 0; }
  bool done() const override { return model_.done != 0; }

 private:
  Model model_;
  std::size_t moving_bits_, stationary_bits_;
};

struct Variant {
  const char* name;
  Design design;
  std::uint32_t rows, cols;
  bool output_stationary, preload;
  std::unique_ptr<Array> (*make)();
};

template <class Model>
std::unique_ptr<Array> make(Design design) {
  const std::size_t bits = design == Design::olive ? 7 : 8;
  return std::make_unique<VerilatedArray<Model>>(bits, bits);
}

#define SYSTOLE_ROW(name, design, rows, cols, output_stationary, preload)          \
  Variant{#name, k##design, rows, cols, output_stationary != 0, preload != 0, [] { \
            return make<V##name>(k##design);                                       \
          }},
const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {SYSTOLE_RTL_ARRAYS(SYSTOLE_ROW)};
  return all;
}
#undef SYSTOLE_ROW

/// One GEMM with operands: integers, or exponent-integers as the edge's decoders give them.
struct Case {
  std::uint64_t m = 1, n = 1, k = 1, group = 0;
  unsigned passes = 1;
  std::vector<ExponentInteger> moving, stationary;  // [M, K], [N, K]
  std::uint64_t group_length() const { return group == 0 ? k : group; }
};

std::uint64_t size(Stream& stream, std::uint64_t side, std::uint64_t largest) {
  // 1, the side of the array and its neighbours and multiples, primes, or any.
  const std::array<std::uint64_t, 12> corners = {
      1, 2, 3, 5, 7, 13, 17, side, side + 1, side > 1 ? side - 1 : 1, 2 * side, 2 * side + 1};
  const std::uint64_t any = 1 + stream.below(largest);
  return stream.below(3) == 0 ? any : std::min(stream.pick(corners), largest);
}

Case draw_case(Stream& stream, const Variant& variant) {
  Case c;
  c.m = size(stream, variant.rows, 36);
  c.n = size(stream, variant.cols, 24);
  c.k = size(stream, variant.rows, 40);
  if (stream.below(2) == 0) {
    std::vector<std::uint64_t> divisors;
    for (std::uint64_t d = 1; d <= c.k; ++d) {
      if (c.k % d == 0) divisors.push_back(d);
    }
    c.group = divisors[stream.below(divisors.size())];
  }
  c.passes = variant.design == Design::mixpe && stream.below(2) == 0 ? 2 : 1;
  const std::size_t style = stream.below(4);
  const auto word = [&](bool weight) -> ExponentInteger {
    const std::uint64_t any = stream.next();
    switch (variant.design) {
      case Design::olive: {
        if (style == 1) return {6, any % 2 == 0 ? 3 : -3};
        const auto format = any >> 32 & 1u ? quant::Format::ovp4_int : quant::Format::ovp4_flint;
        return reference::ovp_decode(any & 15u, static_cast<std::uint8_t>(any >> 4 & 15u), format)
            .left;
      }
      case Design::mixpe:
        if (weight && c.passes == 1)
          return {0, style == 1 ? -8 : static_cast<std::int32_t>(any % 16) - 8};
        [[fallthrough]];
      case Design::int_:
        break;
    }
    return {0, style == 1 ? -128 : static_cast<std::int32_t>(any % 256) - 128};
  };
  for (std::uint64_t i = 0; i < c.m * c.k; ++i) c.moving.push_back(word(false));
  for (std::uint64_t i = 0; i < c.n * c.k; ++i) c.stationary.push_back(word(true));
  return c;
}

std::uint64_t code_of(ExponentInteger x, Design design) {
  const auto integer = static_cast<std::uint64_t>(static_cast<std::int64_t>(x.integer));
  return design == Design::olive ? static_cast<std::uint64_t>(x.exponent) << 4 | (integer & 15u)
                                 : integer & 255u;
}

class RtlArray : public testing::TestWithParam<std::size_t> {
 protected:
  const Variant& variant() const { return variants()[GetParam()]; }

  /// The `pe` timing of the same GEMM: the same sums in as many cycles. (Exponent-integers enter
  /// our arrays as codes, here as operands: those are compared with quant alone.)
  void expect_clocked_array(const Case& c, std::uint64_t cycles,
                            const std::vector<std::uint32_t>& sums) const {
    const Variant& v = variant();
    if (v.design == Design::olive) return;
    configs::ArrayConfig config;
    config.pe = v.design == Design::mixpe ? "mixpe-w4a8" : "int8-mac";
    config.rows = v.rows;
    config.cols = v.cols;
    config.dataflow = v.output_stationary ? configs::Dataflow::output_stationary
                                          : configs::Dataflow::weight_stationary;
    config.fold_overlap = v.preload ? configs::FoldOverlap::preload : configs::FoldOverlap::serial;
    pe::ArrayCase work;
    const bool nibbles = v.design == Design::mixpe && c.passes == 1;
    work.shape = {c.m,
                  c.n,
                  c.k,
                  c.group,
                  nibbles ? quant::Format::int4 : quant::Format::int8,
                  quant::Format::int8};
    for (const ExponentInteger x : c.moving) work.activation.push_back(pe::operand_word(x.integer));
    for (const ExponentInteger x : c.stationary) work.weight.push_back(pe::operand_word(x.integer));
    const std::unique_ptr<pe::ArrayEngine> engine = pe::make_engine(config);
    engine->start(work);
    while (!engine->step()) {
    }
    const pe::ArrayRun run = engine->take();
    EXPECT_EQ(run.measured.cycles, cycles);
    ASSERT_EQ(run.sums.size(), sums.size());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      ASSERT_EQ(static_cast<std::uint32_t>(run.sums[i]), sums[i]) << "sum " << i;
    }
  }

  /// Runs one GEMM and compares everything.
  void run(Array& array, const Case& c, Stream& stream) {
    const Variant& v = variant();
    SCOPED_TRACE("M " + std::to_string(c.m) + " N " + std::to_string(c.n) + " K " +
                 std::to_string(c.k) + " group " + std::to_string(c.group) + " passes " +
                 std::to_string(c.passes));
    const std::uint64_t length = c.group_length(), groups = c.k / length;
    const reference::ArrayWork work = reference::array_work(
        v.rows, v.cols, v.output_stationary, v.preload, c.m, c.n, c.k, c.group, c.passes);
    const Array::Sizes sizes{c.m, c.n, length, groups, c.passes == 2};
    std::vector<std::uint32_t> sums(c.m * c.n * groups);
    std::vector<unsigned> delivered(sums.size());
    std::uint64_t cycles = 0, edges = 0, moving_words = 0, stationary_words = 0, moving_vectors = 0;
    const std::size_t stalling = stream.below(2) == 0 ? 2 + stream.below(6) : 0;
    bool start = true;
    while (start || !array.done()) {
      ASSERT_LT(edges, 8 * work.cycles + 200) << "nothing ends this GEMM";
      const bool enabled = stalling == 0 || stream.below(stalling) != 0;
      array.set_control(start, enabled, sizes);
      array.eval(false);
      // The scratchpads answer; lanes that are not live, and cycles without a request, give
      // anything.
      const Array::Request moving = array.moving(), stationary = array.stationary();
      for (std::size_t r = 0; r < v.rows; ++r) {
        std::uint64_t word = stream.next();
        if (moving.valid && (moving.live >> r & 1u) != 0 && enabled) {
          const std::uint64_t m = v.output_stationary ? moving.outer + r : moving.outer;
          const std::uint64_t k = v.output_stationary ? moving.k : moving.k + r;
          ASSERT_TRUE(m < c.m && k < c.k) << "reads outside the moving operand";
          word = code_of(c.moving[m * c.k + k], v.design);
          ++moving_words;
        }
        array.set_moving(r, word);
      }
      for (std::size_t col = 0; col < v.cols; ++col) {
        std::uint64_t word = stream.next();
        if (stationary.valid && (stationary.live >> col & 1u) != 0 && enabled) {
          const std::uint64_t n = stationary.outer + col;
          ASSERT_TRUE(n < c.n && stationary.k < c.k) << "reads outside the stationary operand";
          word = code_of(c.stationary[n * c.k + stationary.k], v.design);
          ++stationary_words;
        }
        array.set_stationary(col, word);
      }
      array.eval(false);
      if (enabled) {
        cycles += array.busy();
        moving_vectors += moving.valid;
        for (std::size_t col = 0; col < v.cols; ++col) {
          const Array::Result result = array.result(col);
          if (!result.valid) continue;
          ASSERT_TRUE(result.m < c.m && result.n < c.n && result.group < groups);
          const std::size_t at = (result.m * c.n + result.n) * groups + result.group;
          sums[at] = result.word;
          ++delivered[at];
        }
        start = false;
      }
      array.eval(true);
      ++edges;
    }
    EXPECT_EQ(cycles, work.cycles);
    EXPECT_EQ(moving_vectors, work.stream_cycles);
    EXPECT_EQ(stationary_words, work.stationary_words);
    EXPECT_EQ(moving_words, work.moving_words);
    expect_clocked_array(c, cycles, sums);
    for (std::uint64_t m = 0; m < c.m; ++m) {
      for (std::uint64_t n = 0; n < c.n; ++n) {
        for (std::uint64_t g = 0; g < groups; ++g) {
          std::uint32_t expected = 0;
          for (std::uint64_t k = g * length; k < (g + 1) * length; ++k) {
            expected = reference::exponent_integer_mac(expected, c.stationary[n * c.k + k],
                                                       c.moving[m * c.k + k]);
          }
          const std::size_t at = (m * c.n + n) * groups + g;
          ASSERT_EQ(delivered[at], 1u) << "[" << m << ", " << n << "] of group " << g;
          ASSERT_EQ(sums[at], expected) << "[" << m << ", " << n << "] of group " << g;
        }
      }
    }
  }
};

TEST_P(RtlArray, TakesTheCyclesOfTheClosedFormAndDeliversEverySum) {
  const std::unique_ptr<Array> array = variant().make();
  array->reset();
  const std::uint64_t seed = 100 + GetParam();
  Stream stream(seed);
  const unsigned cases = variant().rows == 16 ? 60 : 150;
  for (unsigned i = 0; i < cases; ++i) {
    SCOPED_TRACE("case " + std::to_string(i) + " of seed " + std::to_string(seed));
    run(*array, draw_case(stream, variant()), stream);
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Arrays, RtlArray, testing::Range<std::size_t>(0, variants().size()),
                         [](const testing::TestParamInfo<std::size_t>& variant) {
                           return std::string(variants()[variant.param].name);
                         });

}  // namespace
}  // namespace systole::rtl
