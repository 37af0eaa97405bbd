// Random cases and the comparison.
#include "pe/verify.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <tuple>

#include "pe/dequantiser.hpp"
#include "pe/systolic_array.hpp"
#include "quant/float16.hpp"
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

constexpr std::uint64_t kCasesPerArray = 16;
// A longer run meets the same arrays again with other cases: building many takes quadratic time in
// SystemC.
constexpr std::uint64_t kArrays = 128;
constexpr std::int64_t kLargestSide = 16;
// Keeps arrays apart from cases in the seed's streams.
constexpr std::uint64_t kArrayStream = std::uint64_t{1} << 63;

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

/// Operand values. Besides the bell curve: all at the extreme codes, mostly zeros, many magnitudes
/// and, where the format has them, infinities and NaNs.
std::vector<float> random_values(Random& random, std::size_t count, bool non_finite) {
  const std::int64_t kind = random.uniform(0, non_finite ? 4 : 3);
  std::vector<float> values(count);
  for (float& value : values) {
    const auto normal = static_cast<float>(random.normal());
    switch (kind) {
      case 0:
        value = random.uniform(0, 1) == 0 ? 1.0f : -1.0f;
        break;
      case 1:
        value = random.uniform(0, 7) == 0 ? normal : 0.0f;
        break;
      case 2:  // down to the subnormals of fp16
        value = std::ldexp(normal, static_cast<int>(random.uniform(-22, 6)));
        break;
      case 3: {
        constexpr float kInfinity = std::numeric_limits<float>::infinity();
        const std::int64_t special = non_finite ? random.uniform(0, 99) : 99;
        value = special == 0   ? kInfinity
                : special == 1 ? -kInfinity
                : special == 2 ? std::numeric_limits<float>::quiet_NaN()
                               : normal;
        break;
      }
      default:
        value = normal;
    }
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
    ++outcome_.elements;
    if (array == expected) return;
    differs(what, std::to_string(array), std::to_string(expected));
  }
  /// Bit for bit; of a NaN only that it is one.
  void same_bits(const std::string& what, float array, float expected) {
    ++outcome_.elements;
    if (std::bit_cast<std::uint32_t>(array) == std::bit_cast<std::uint32_t>(expected)) return;
    if (std::isnan(array) && std::isnan(expected)) return;
    differs(what, text(array), text(expected));
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

std::string at(std::size_t m, std::size_t n) {
  return "[" + std::to_string(m) + ", " + std::to_string(n) + "]";
}

/// The reference's operands and the array's, from the same values.
struct Operands {
  std::vector<float> moving_values, stationary_values;
  quant::QuantizedMatrix moving, stationary;  // integer designs
  ArrayCase work;
};

Operands make_operands(const VerifyCase& c) {
  Random random(c.values);
  const GemmShape& shape = c.shape;
  const bool integers = quant::is_integer(shape.stationary);
  Operands operands;
  operands.moving_values = random_values(random, shape.m * shape.k, !integers);
  operands.stationary_values = random_values(random, shape.n * shape.k, !integers);
  operands.work.shape = shape;
  if (integers) {
    operands.moving = quant::quantise(operands.moving_values, shape.m, shape.k, c.moving);
    operands.stationary =
        quant::quantise(operands.stationary_values, shape.n, shape.k, c.stationary);
    operands.work.moving = operand_words(operands.moving);
    operands.work.stationary = operand_words(operands.stationary);
  } else {
    for (const float value : operands.moving_values) {
      operands.work.moving.push_back(quant::Fp16::encode(value).to_bits());
    }
    for (const float value : operands.stationary_values) {
      operands.work.stationary.push_back(quant::Fp16::encode(value).to_bits());
    }
  }
  return operands;
}

void compare_integers(const VerifyCase& c, const Operands& operands, const ArrayRun& run,
                      Comparison& comparison) {
  const GemmShape& shape = c.shape;
  const quant::QuantizedMatrix& w = operands.stationary;
  if (run.sums.size() != shape.m * shape.n * w.groups) {
    comparison.equal("number of group sums", run.sums.size(), shape.m * shape.n * w.groups);
    return;
  }
  std::vector<std::int8_t> signed_codes;  // as they entered the array
  for (const OperandWord word : operands.work.stationary) {
    signed_codes.push_back(static_cast<std::int8_t>(word));
  }
  for (std::size_t m = 0; m < shape.m; ++m) {
    for (std::size_t n = 0; n < shape.n; ++n) {
      for (std::size_t g = 0; g < w.groups; ++g) {
        const std::span a(operands.moving.codes.data() + m * shape.k + g * w.group, w.group);
        const std::span b(signed_codes.data() + n * shape.k + g * w.group, w.group);
        comparison.equal("group sum " + at(m, n) + " of group " + std::to_string(g),
                         static_cast<std::int32_t>(run.sums[(m * shape.n + n) * w.groups + g]),
                         quant::integer_dot(a, b));
      }
    }
  }
  std::vector<float> expected(shape.m * shape.n);
  quant::gemm_dequantise_after(operands.moving, w, expected);
  const std::vector<float> outputs = dequantise_sums(run.sums, operands.moving, w);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    comparison.same_bits("output " + at(i / shape.n, i % shape.n), outputs[i], expected[i]);
  }
}

void compare_floats(const VerifyCase& c, const Operands& operands, const ArrayRun& run,
                    Comparison& comparison) {
  const GemmShape& shape = c.shape;
  const std::size_t chunk =
      c.array.dataflow == Dataflow::weight_stationary ? c.array.rows : shape.k;
  std::vector<float> expected(shape.m * shape.n);
  quant::gemm_fp16(operands.moving_values, operands.stationary_values, {shape.m, shape.n, shape.k},
                   chunk, expected);
  if (run.sums.size() != expected.size()) {
    comparison.equal("number of outputs", run.sums.size(), expected.size());
    return;
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    comparison.same_bits("output " + at(i / shape.n, i % shape.n),
                         std::bit_cast<float>(run.sums[i]), expected[i]);
  }
}

void compare_counts(const VerifyCase& c, const ArrayRun& run, Comparison& comparison) {
  ArrayWork expected = array_work(c.array, find_design(c.array.pe), c.shape);
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
  count("folds", &ArrayWork::folds);
  count("passes", &ArrayWork::passes);
  count("multiply-accumulate passes", &ArrayWork::mac_passes);
  count("stationary words", &ArrayWork::stationary_words);
  count("stationary bits", &ArrayWork::stationary_bits);
  count("moving words", &ArrayWork::moving_words);
  count("moving bits", &ArrayWork::moving_bits);
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
    run.sums[element] ^= AccumulatorWord{1} << fault.bit % 32;
  }
}

/// Runs the cases one after the other, each on its array.
class Driver : public sc_core::sc_module {
 public:
  struct Job {
    VerifyCase test;
    std::uint64_t index = 0;
    SystolicArray* array = nullptr;
  };

  Driver(const sc_core::sc_module_name& name, std::uint64_t seed, std::vector<Job> jobs,
         const VerifyProgress& progress, const quant::Fault* fault)
      : sc_module(name), seed_(seed), jobs_(std::move(jobs)), progress_(progress), fault_(fault) {
    SC_HAS_PROCESS(Driver);
    SC_THREAD(run);
  }

  bool done() const { return outcomes_.size() == jobs_.size(); }
  std::uint64_t completed() const { return outcomes_.size(); }
  std::vector<VerifyOutcome> take() { return std::move(outcomes_); }

 private:
  void run() {
    for (const Job& job : jobs_) {
      outcomes_.push_back(run_one(job));
      if (progress_) progress_(outcomes_.size());
    }
  }

  VerifyOutcome run_one(const Job& job) {
    VerifyOutcome outcome;
    outcome.index = job.index;
    Comparison comparison(seed_, job.test, outcome);
    const Operands operands = make_operands(job.test);
    ArrayRun run = job.array->run(operands.work);
    if (fault_ != nullptr) plant(*fault_, run);
    if (quant::is_integer(job.test.shape.stationary)) {
      compare_integers(job.test, operands, run, comparison);
    } else {
      compare_floats(job.test, operands, run, comparison);
    }
    compare_counts(job.test, run, comparison);
    return outcome;
  }

  std::uint64_t seed_;
  std::vector<Job> jobs_;
  const VerifyProgress& progress_;
  const quant::Fault* fault_;
  std::vector<VerifyOutcome> outcomes_;
};

auto key_of(const ArrayConfig& array) {
  return std::tuple(array.pe, array.rows, array.cols, array.dataflow, array.fold_overlap);
}

}  // namespace

VerifyCase verify_case(std::uint64_t seed, std::uint64_t index) {
  VerifyCase c;
  Random array_random = Random::stream(seed, (index / kCasesPerArray % kArrays) | kArrayStream);
  c.array.rows = static_cast<std::uint32_t>(interesting_size(array_random, kLargestSide));
  c.array.cols = static_cast<std::uint32_t>(interesting_size(array_random, kLargestSide));
  c.array.dataflow = static_cast<Dataflow>(pick(array_random, configs::kDataflowNames.size()));
  c.array.fold_overlap =
      static_cast<FoldOverlap>(pick(array_random, configs::kFoldOverlapNames.size()));
  const PeDesign& design = all_designs()[pick(array_random, all_designs().size())];
  c.array.pe = design.name;

  Random random = Random::stream(seed, index);
  const OperandPair& pair = design.pairs[pick(random, design.pairs.size())];
  c.shape.stationary = pair.stationary;
  c.shape.moving = pair.moving;
  c.shape.m = interesting_size(random, 40);
  c.shape.n = interesting_size(random, 40);
  c.shape.k = interesting_size(random, 70);
  c.shape.group = random_group(random, c.shape.k);

  c.stationary.format = pair.stationary;
  c.stationary.affine = static_cast<Affine>(pick(random, quant::kAffineNames.size()));
  c.stationary.scale = std::array{Format::fp32, Format::fp16, Format::bf16}[pick(random, 3)];
  if (c.shape.group != 0) {
    c.stationary.granularity = Granularity::group;
    c.stationary.group = static_cast<std::uint32_t>(c.shape.group);
  } else {
    c.stationary.granularity =
        random.uniform(0, 1) == 0 ? Granularity::tensor : Granularity::channel;
  }
  c.moving.format = pair.moving;
  c.moving.granularity = random.uniform(0, 1) == 0 ? Granularity::tensor : Granularity::token;
  c.values = random.next();
  return c;
}

std::string describe(const VerifyCase& c) {
  const auto number = [](std::uint64_t n) { return std::to_string(n); };
  const bool integers = quant::is_integer(c.shape.stationary);
  return c.array.pe + " " + number(c.array.rows) + "x" + number(c.array.cols) + " " +
         std::string(configs::kDataflowNames[static_cast<std::size_t>(c.array.dataflow)]) + " " +
         std::string(configs::kFoldOverlapNames[static_cast<std::size_t>(c.array.fold_overlap)]) +
         ", M " + number(c.shape.m) + " N " + number(c.shape.n) + " K " + number(c.shape.k) +
         ", stationary " +
         (integers ? quant::describe(c.stationary) : std::string(name_of(c.shape.stationary))) +
         ", moving " +
         (integers ? quant::describe(c.moving) : std::string(name_of(c.shape.moving)));
}

std::vector<VerifyOutcome> verify_cases(std::uint64_t seed, std::span<const std::uint64_t> indices,
                                        const VerifyProgress& progress, const quant::Fault* fault) {
  std::vector<std::unique_ptr<SystolicArray>> arrays;
  const auto array_of = [&](const ArrayConfig& config) {
    for (const auto& array : arrays) {
      if (key_of(array->config()) == key_of(config)) return array.get();
    }
    const std::string name = "array" + std::to_string(arrays.size());
    arrays.push_back(std::make_unique<SystolicArray>(name.c_str(), config));
    return arrays.back().get();
  };
  std::vector<Driver::Job> jobs;
  for (const std::uint64_t index : indices) {
    const VerifyCase c = verify_case(seed, index);
    jobs.push_back({c, index, array_of(c.array)});
  }
  Driver driver("driver", seed, std::move(jobs), progress, fault);
  // Each array ends a GEMM that does not finish by itself, so patience only has to exceed the
  // longest case: 40 x 70 x 2 folds on one PE.
  kernel::run_until([&] { return driver.done(); }, sc_core::sc_time(10, sc_core::SC_MS),
                    [&] { return driver.completed(); });
  return driver.take();
}

}  // namespace systole::pe
