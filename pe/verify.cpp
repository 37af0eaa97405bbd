// Random cases and the comparison.
#include "pe/verify.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>

#include "pe/clocked_array.hpp"
#include "pe/dequantiser.hpp"
#include "pe/reference.hpp"
#include "quant/bfloat16.hpp"
#include "quant/float16.hpp"
#include "quant/formats/bitmod.hpp"
#include "quant/kernels/gemm.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"
#include "sim/kernel/simulation.hpp"

namespace systole::pe {
namespace {

using configs::ArrayConfig;
using configs::Dataflow;
using configs::FoldOverlap;
using quant::Affine;
using quant::Format;
using quant::Granularity;

constexpr std::int64_t kLargestSide = 16;

std::size_t pick(Random& random, std::size_t count) {
  return static_cast<std::size_t>(random.uniform(0, static_cast<std::int64_t>(count) - 1));
}

/// A size that finds boundary faults: half the time 1, a prime, a power of two or its neighbour,
/// else any.
std::uint64_t interesting_size(Random& random, std::int64_t largest) {
  constexpr std::array<std::int64_t, 24> kCorners = {
      1, 1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 15, 16, 17, 19, 23, 29, 31, 32, 33, 37, 47, 63, 65};
  if (random.uniform(0, 1) == 0) return static_cast<std::uint64_t>(random.uniform(1, largest));
  std::int64_t size = largest + 1;
  while (size > largest) size = kCorners[pick(random, kCorners.size())];
  return static_cast<std::uint64_t>(size);
}

/// A group: none, a divisor of k, or a length that does not divide it.
std::uint64_t random_group(Random& random, std::uint64_t k) {
  switch (random.uniform(0, 3)) {
    case 0:
      return 0;
    case 1:
      return interesting_size(random, 65);
    default: {
      std::vector<std::uint64_t> divisors;
      for (std::uint64_t d = 1; d <= k; ++d) {
        if (k % d == 0) divisors.push_back(d);
      }
      return divisors[pick(random, divisors.size())];
    }
  }
}

/// Operand values. Besides the bell curve: all at the extreme codes, mostly zeros, many magnitudes.
std::vector<float> random_values(Random& random, std::size_t count) {
  const std::int64_t kind = random.uniform(0, 3);
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(random.normal());
    if (kind == 0) value = random.uniform(0, 1) == 0 ? 1.0f : -1.0f;
    if (kind == 1) value = random.uniform(0, 7) == 0 ? value : 0.0f;
    if (kind == 2) value = std::ldexp(value, static_cast<int>(random.uniform(-22, 6)));
  }
  return values;
}

/// The array's side of a comparison that failed.
class Comparison {
 public:
  Comparison(std::uint64_t seed, const VerifyCase& c, VerifyOutcome& outcome)
      : seed_(seed), case_(c), outcome_(outcome) {}

  template <class T>
  void equal(const std::string& what, T array, T expected) {
    equal(
        what, [] { return std::string(); }, array, expected);
  }
  template <class Where, class T>
  void equal(const std::string& what, Where where, T array, T expected) {
    ++outcome_.elements;
    if (array == expected) return;
    differs(what + where(), std::to_string(array), std::to_string(expected));
  }
  /// Bit for bit; of a NaN only that it is one.
  template <class Where>
  void same_bits(const std::string& what, Where where, float array, float expected) {
    ++outcome_.elements;
    if (std::bit_cast<std::uint32_t>(array) == std::bit_cast<std::uint32_t>(expected)) return;
    if (std::isnan(array) && std::isnan(expected)) return;
    differs(what + where(), text(array), text(expected));
  }
  void differs(const std::string& what, const std::string& array, const std::string& expected) {
    if (outcome_.mismatches++ != 0) return;
    outcome_.first_mismatch = "case " + std::to_string(outcome_.index) + " of seed " +
                              std::to_string(seed_) + " (" + describe(case_) + "): " + what +
                              ": array " + array + ", expected " + expected;
  }

 private:
  static std::string text(float value) {
    char buffer[48];
    std::snprintf(buffer, sizeof buffer, "%.9g (0x%08X)", static_cast<double>(value),
                  std::bit_cast<std::uint32_t>(value));
    return buffer;
  }

  std::uint64_t seed_;
  const VerifyCase& case_;
  VerifyOutcome& outcome_;
};

/// Values of one row of an operand in one format, as the array takes them. What encoders never give
/// (a NaN in a block, more non-zero weights than a sparse format stores) does not occur.
class CodeSource {
 public:
  CodeSource(Random& random, const PeDesign& design, Format format)
      : random_(random), design_(design), format_(format) {
    kind_ = random.uniform(0, 3);
  }

  std::vector<OperandWord> row(std::uint64_t k) {
    std::vector<OperandWord> words;
    for (std::uint64_t i = 0; i < k; ++i) words.push_back(word());
    return words;
  }

 private:
  OperandWord word() {
    const bool zero = kind_ == 1 && random_.uniform(0, 7) != 0;
    if (quant::info_of(format_).kind == quant::FormatClass::integer) return integer(zero);
    switch (format_) {
      case Format::fp16:
      case Format::bf16:
        return float_bits(zero);
      case Format::bitmod3:
      case Format::bitmod4: {
        const unsigned codes = 1u << bits_of(format_);
        const auto code = static_cast<std::uint32_t>(random_.uniform(0, codes - 1));
        const auto tag = static_cast<unsigned>(random_.uniform(0, 3));
        return zero ? 0 : operand_word(quant::bitmod_value(code, format_, tag));
      }
      case Format::nf3:  // GOBO: an entry of the dictionary, or now and then an outlier
        return random_.uniform(0, 31) == 0 ? quant::Fp16::encode(normal() * 8.0f).to_bits() | 8u
                                           : static_cast<OperandWord>(random_.uniform(0, 7));
      case Format::mxfp8_e4m3:
      case Format::fp8_e4m3:
        return finite_code(0x7F, zero);
      case Format::mxfp8_e5m2:
      case Format::fp8_e5m2:
        return finite_code(0x7C, zero);
      default:
        return zero ? 0 : any_code();
    }
  }
  OperandWord any_code() {
    return static_cast<OperandWord>(random_.uniform(0, (1 << bits_of(format_)) - 1));
  }
  /// Codes whose magnitude is below `limit`: neither NaN nor infinity.
  OperandWord finite_code(unsigned limit, bool zero) {
    const auto magnitude = static_cast<unsigned>(random_.uniform(0, limit - 1));
    return static_cast<OperandWord>(zero ? 0 : magnitude | (random_.uniform(0, 1) != 0 ? 0x80 : 0));
  }
  OperandWord integer(bool zero) {
    if (zero) return 0;
    const int top = 1 << (bits_of(format_) - 1);
    if (kind_ == 0) return operand_word(random_.uniform(0, 1) != 0 ? -top : top - 1);
    // Outlier-aware designs: most codes small.
    if (design_.data_dependent() && random_.uniform(0, 9) != 0) {
      return operand_word(static_cast<int>(random_.uniform(-7, 7)));
    }
    return operand_word(static_cast<int>(random_.uniform(-top, top - 1)));
  }
  float normal() { return static_cast<float>(random_.normal()); }
  OperandWord float_bits(bool zero) {
    float value = zero ? 0.0f : normal();
    if (kind_ == 0) value = random_.uniform(0, 1) != 0 ? 1.0f : -1.0f;
    // Down to the subnormals of fp16.
    if (kind_ == 2) value = std::ldexp(value, static_cast<int>(random_.uniform(-22, 6)));
    // Where operands are aligned or taken apart, hardware has no place for infinities.
    const bool takes_all = design_.kind == Arithmetic::floating || design_.name == "mixpe-w4a16";
    if (kind_ == 3 && takes_all) {
      constexpr float kInfinity = std::numeric_limits<float>::infinity();
      const std::int64_t special = random_.uniform(0, 99);
      if (special < 2) value = special == 0 ? kInfinity : -kInfinity;
      if (special == 2) value = std::numeric_limits<float>::quiet_NaN();
    }
    return format_ == Format::fp16 ? quant::Fp16::encode(value).to_bits()
                                   : quant::Bf16::encode(value).to_bits();
  }

  Random& random_;
  const PeDesign& design_;
  Format format_;
  std::int64_t kind_ = 0;
};

/// The reference's operands and the array's.
struct Operands {
  bool quantised = false;  ///< integer designs: from values, with scales and zeros
  quant::QuantizedMatrix activation, weight;
  ArrayCase work;
};

/// Sparse designs: two of four stay.
void prune(std::vector<OperandWord>& words, std::uint64_t group) {
  for (std::uint64_t begin = 0; begin < words.size(); begin += group) {
    for (std::uint64_t i = 0; i < group; ++i) {
      if (i % 4 == 1 || i % 4 == 2) words[begin + i] = 0;
    }
  }
}

void fill_codes(Random& random, const PeDesign& design, ArrayCase& work) {
  const GemmShape& shape = work.shape;
  CodeSource activations(random, design, shape.activation);
  CodeSource weights(random, design, shape.weight);
  work.activation = activations.row(shape.m * shape.k);
  work.weight = weights.row(shape.n * shape.k);
  if (design.name == "flexcim") prune(work.weight, group_length(design, shape));
}

Operands make_operands(const VerifyCase& c) {
  Random random(c.values);
  const GemmShape& shape = c.shape;
  const PeDesign& design = find_design(c.array.pe);
  Operands operands;
  ArrayCase& work = operands.work;
  work.shape = shape;
  for (std::uint64_t i = 1; i < shape.classes; ++i) {
    work.boundaries.push_back(
        static_cast<std::uint64_t>(random.uniform(0, static_cast<std::int64_t>(shape.k))));
  }
  std::sort(work.boundaries.begin(), work.boundaries.end());
  operands.quantised = quant::is_integer(shape.weight) && quant::is_integer(shape.activation) &&
                       design.sums_by_group && design.name != "flexcim";
  if (operands.quantised) {
    const std::vector<float> a = random_values(random, shape.m * shape.k);
    const std::vector<float> w = random_values(random, shape.n * shape.k);
    operands.activation = quant::quantise(a, shape.m, shape.k, c.activation);
    operands.weight = quant::quantise(w, shape.n, shape.k, c.weight);
    work.activation = operand_words(operands.activation);
    work.weight = operand_words(operands.weight);
    return operands;
  }
  fill_codes(random, design, work);
  return operands;
}

void compare_values(const VerifyCase& c, const Operands& operands, const ArrayRun& run,
                    Comparison& comparison) {
  const PeDesign& design = find_design(c.array.pe);
  const GemmShape& shape = c.shape;
  const std::vector<ResultWord> expected = reference_sums(c.array, design, operands.work);
  if (run.sums.size() != expected.size()) {
    comparison.equal("number of group sums", run.sums.size(), expected.size());
    return;
  }
  const std::uint64_t groups = group_count(design, shape);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto where = [&] {
      return "[" + std::to_string(i / groups / shape.n) + ", " +
             std::to_string(i / groups % shape.n) + "] of group " + std::to_string(i % groups);
    };
    if (design.float_results) {
      comparison.same_bits("sum ", where,
                           std::bit_cast<float>(static_cast<std::uint32_t>(run.sums[i])),
                           std::bit_cast<float>(static_cast<std::uint32_t>(expected[i])));
    } else {
      comparison.equal("sum ", where, static_cast<std::int64_t>(run.sums[i]),
                       static_cast<std::int64_t>(expected[i]));
    }
  }
  if (!operands.quantised) return;
  // Behind the dequantiser: the outputs of the kernel that the functional run uses.
  std::vector<float> outputs_expected(shape.m * shape.n);
  quant::gemm_dequantise_after(operands.activation, operands.weight, outputs_expected);
  const std::vector<float> outputs =
      dequantise_sums(run.sums, operands.activation, operands.weight);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto where = [&] {
      return "[" + std::to_string(i / shape.n) + ", " + std::to_string(i % shape.n) + "]";
    };
    comparison.same_bits("output ", where, outputs[i], outputs_expected[i]);
  }
}

void compare_counts(const VerifyCase& c, const ArrayRun& run,
                    const std::vector<std::uint64_t>& stalls, Comparison& comparison) {
  ArrayWork expected = array_work(c.array, find_design(c.array.pe), c.shape, stalls);
  const ArrayWork& measured = run.measured;
  expected.repeat_cycles = measured.repeat_cycles;  // not visible in one run
  comparison.equal("cycles", measured.cycles, expected.cycles);
  if (measured == expected) return;
  const auto count = [&](const char* what, std::uint64_t ArrayWork::*field) {
    if (measured.*field != expected.*field) {
      comparison.differs(what, std::to_string(measured.*field), std::to_string(expected.*field));
    }
  };
  count("stream cycles", &ArrayWork::stream_cycles);
  count("stall cycles", &ArrayWork::stall_cycles);
  count("folds", &ArrayWork::folds);
  count("passes", &ArrayWork::passes);
  count("multiply-accumulate passes", &ArrayWork::mac_passes);
  count("weight words", &ArrayWork::weight_words);
  count("weight bits", &ArrayWork::weight_bits);
  count("activation words", &ArrayWork::activation_words);
  count("activation bits", &ArrayWork::activation_bits);
  count("partial sum reads", &ArrayWork::partial_sum_reads);
  count("partial sum writes", &ArrayWork::partial_sum_writes);
  count("results", &ArrayWork::results);
}

/// Flips the fault's bit in what the array gave.
void plant(const quant::Fault& fault, ArrayRun& run) {
  if (!std::string_view("clocked array").starts_with(fault.path)) return;
  const std::size_t element = fault.element % (run.sums.size() + 1);
  if (element == run.sums.size()) {
    run.measured.cycles ^= std::uint64_t{1} << fault.bit % 64;
  } else {
    run.sums[element] ^= ResultWord{1} << fault.bit % 32;
  }
}

VerifyOutcome run_case(ClockedArray& array, std::uint64_t seed, std::uint64_t index,
                       const quant::Fault* fault) {
  const VerifyCase test = verify_case(seed, index);
  VerifyOutcome outcome;
  outcome.index = index;
  Comparison comparison(seed, test, outcome);
  const Operands operands = make_operands(test);
  const std::vector<std::uint64_t> stalls = make_engine(test.array)->stalls(operands.work);
  ArrayRun run = array.run(test.array, operands.work);
  if (fault != nullptr) plant(*fault, run);
  compare_values(test, operands, run, comparison);
  compare_counts(test, run, stalls, comparison);
  return outcome;
}

template <std::size_t N>
std::string_view named(const std::array<std::string_view, N>& names, auto value) {
  return names[static_cast<std::size_t>(value)];
}

}  // namespace

ArrayCase random_case(const PeDesign& design, const GemmShape& shape, std::uint64_t seed) {
  Random random(seed);
  ArrayCase work;
  work.shape = shape;
  SYSTOLE_CHECK(shape.classes == 1, "boundaries between classes are the caller's");
  fill_codes(random, design, work);
  return work;
}

VerifyCase verify_case(std::uint64_t seed, std::uint64_t index) {
  Random random = Random::stream(seed, index);
  VerifyCase c;
  // Designs and dataflows in turn, so that any run of cases covers them all.
  const PeDesign& design = all_designs()[index % all_designs().size()];
  c.array.pe = design.name;
  do {
    c.array.dataflow = static_cast<Dataflow>(pick(random, configs::kDataflowNames.size()));
  } while (!design.works_in(c.array.dataflow));
  c.array.fold_overlap = static_cast<FoldOverlap>(pick(random, configs::kFoldOverlapNames.size()));
  c.array.interconnect =
      static_cast<configs::Interconnect>(pick(random, configs::kInterconnectNames.size()));
  const Mode& mode = design.modes[pick(random, design.modes.size())];
  const std::int64_t least = mode.spatial ? 2 : 1;  // two neighbours act as one
  const auto side = [&] {
    return static_cast<std::uint32_t>(
        std::max(least, static_cast<std::int64_t>(interesting_size(random, kLargestSide))));
  };
  c.array.rows = side();
  c.array.cols = side();
  if (random.uniform(0, 3) == 0) {
    c.array.drain_words = static_cast<std::uint32_t>(random.uniform(1, c.array.cols));
  }

  c.shape.weight = mode.weight;
  c.shape.activation = mode.activation;
  c.shape.m = interesting_size(random, 40);
  c.shape.n = interesting_size(random, 40);
  // Deep words need more than one of them.
  c.shape.k = interesting_size(random, 65) * (mode.depth > 16 ? 5 : mode.depth > 4 ? 2 : 1);
  c.shape.group = random_group(random, c.shape.k);
  if (design.class_boundary_cycles > 0) {
    c.shape.classes = static_cast<std::uint64_t>(random.uniform(1, 5));
  }

  c.weight.format = mode.weight;
  c.weight.affine = static_cast<Affine>(pick(random, quant::kAffineNames.size()));
  c.weight.scale = std::array{Format::fp32, Format::fp16, Format::bf16}[pick(random, 3)];
  if (c.shape.group != 0) {
    c.weight.granularity = Granularity::group;
    c.weight.group = static_cast<std::uint32_t>(c.shape.group);
  } else {
    c.weight.granularity = random.uniform(0, 1) == 0 ? Granularity::tensor : Granularity::channel;
  }
  c.activation.format = mode.activation;
  c.activation.granularity = random.uniform(0, 1) == 0 ? Granularity::tensor : Granularity::token;
  c.values = random.next();
  return c;
}

std::string describe(const VerifyCase& c) {
  const auto number = [](std::uint64_t n) { return std::to_string(n); };
  return c.array.pe + " " + number(c.array.rows) + "x" + number(c.array.cols) + " " +
         std::string(named(configs::kDataflowNames, c.array.dataflow)) + " " +
         std::string(named(configs::kFoldOverlapNames, c.array.fold_overlap)) + " " +
         std::string(named(configs::kInterconnectNames, c.array.interconnect)) +
         (c.array.drain_words == 0 ? "" : " drain " + number(c.array.drain_words)) + ", M " +
         number(c.shape.m) + " N " + number(c.shape.n) + " K " + number(c.shape.k) + " group " +
         number(c.shape.group) + ", weight " + std::string(name_of(c.shape.weight)) +
         ", activation " + std::string(name_of(c.shape.activation));
}

std::vector<VerifyOutcome> verify_cases(std::uint64_t seed, std::span<const std::uint64_t> indices,
                                        const VerifyProgress& progress, const quant::Fault* fault) {
  std::vector<VerifyOutcome> outcomes;
  ClockedArray array("array");  // one module, rebuilt for each case
  kernel::Task task("task", [&] {
    for (const std::uint64_t index : indices) {
      outcomes.push_back(run_case(array, seed, index, fault));
      if (progress) progress(outcomes.size());
    }
  });
  // An array ends a GEMM that does not finish by itself, so patience only has to exceed the longest
  // case.
  task.run(sc_core::sc_time(100, sc_core::SC_MS), [&] { return outcomes.size(); });
  return outcomes;
}

}  // namespace systole::pe
