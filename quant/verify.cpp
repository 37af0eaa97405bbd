// Case generation and comparison. The contract is in the header.
#include "quant/verify.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "quant/check.hpp"

namespace systole::quant {

namespace {

/// Around the tile and panel sizes, primes, one.
constexpr std::array<std::size_t, 19> kEdges = {1,  2,  3,  4,  5,  7,  8,  9,  13, 15,
                                                16, 17, 31, 32, 33, 63, 64, 65, 97};
/// Around the segments of K.
constexpr std::array<std::size_t, 12> kDepths = {1,   2,   3,   127, 128, 129,
                                                 255, 257, 511, 512, 513, 1031};

std::size_t extent(Stream& random) {
  return random.below(2) == 0 ? random.pick(kEdges) : 1 + random.below(48);
}

/// Most cases are small, around the sizes where something changes; one in sixteen is deep and
/// narrow, one in sixteen wide and shallow, so that most of the results come from those.
GemmShape draw_shape(Stream& random, bool small) {
  switch (small ? 2 + random.below(14) : random.below(16)) {
    case 0:
      return {1 + random.below(17), 1 + random.below(17), random.pick(kDepths)};
    case 1:
      return {64 + random.below(80), 96 + random.below(200), 1 + random.below(24)};
    default:
      return {extent(random), extent(random), extent(random)};
  }
}

std::size_t total_size(const Arrays& arrays) {
  std::size_t size = 0;
  for (const Array& array : arrays) size += array.size();
  return size;
}

void plant(const Fault& fault, Arrays& results) {
  const std::size_t size = total_size(results);
  if (size == 0) return;
  std::size_t element = fault.element % size;
  for (Array& array : results) {
    if (element < array.size()) {
      array.words[element] ^= 1u << fault.bit % (8 * bytes_of(array.type));
      return;
    }
    element -= array.size();
  }
}

void add(CaseOutcome& to, CaseOutcome from) {
  to.elements += from.elements;
  to.mismatches += from.mismatches;
  if (to.first_mismatch.empty()) to.first_mismatch = std::move(from.first_mismatch);
}

}  // namespace

std::vector<std::string> suite_names() {
  std::vector<std::string> names;
  for (const GoldenKernel& kernel : golden_kernels()) names.emplace_back(kernel.name);
  return names;
}

KernelCase make_case(std::string_view suite, std::uint64_t seed, std::uint64_t index) {
  const GoldenKernel& kernel = golden_kernel(suite);
  // SplitMix steps mix seed, suite and index so that neighbours share nothing. The suite counts by
  // its name: another kernel in the table changes no other's cases.
  std::uint64_t which = 0;
  for (const char letter : kernel.name) which = which * 131 + static_cast<unsigned char>(letter);
  Stream random(Stream(Stream(Stream(seed).next() ^ which).next() ^ index).next());
  const GemmShape shape = draw_shape(random, kernel.cost > 1);
  const auto values =
      static_cast<Values>(random.below(kValuesNames.size() - (kernel.non_finite ? 0 : 1)));
  return golden_case(kernel.name, shape, random.next(), values, true);
}

CaseOutcome run_case(const KernelCase& c, const Fault* fault) {
  const Problem problem = golden_kernel(c.kernel).make(c);
  const Arrays expected = problem.reference();
  CaseOutcome outcome;
  for (const Problem::Twin& twin : problem.twins) {
    Arrays actual = twin.run();
    if (fault != nullptr && twin.name.starts_with(fault->path)) plant(*fault, actual);
    add(outcome, compare_arrays(expected, actual, describe(c) + ", " + twin.name));
  }
  return outcome;
}

CaseOutcome run_case(std::string_view suite, std::uint64_t seed, std::uint64_t index) {
  return run_case(make_case(suite, seed, index));
}

std::vector<CaseOutcome> run_cases(std::string_view suite, std::uint64_t seed, std::uint64_t first,
                                   std::uint64_t count, unsigned threads, const Fault* fault) {
  std::vector<CaseOutcome> outcomes(count);
  std::atomic<std::uint64_t> next{0};
  std::exception_ptr error;
  std::mutex error_lock;
  const auto work = [&] {
    try {
      for (std::uint64_t i = next++; i < count; i = next++) {
        outcomes[i] = run_case(make_case(suite, seed, first + i), fault);
      }
    } catch (...) {
      const std::lock_guard lock(error_lock);
      if (!error) error = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (unsigned t = 1; t < threads && t < count; ++t) helpers.emplace_back(work);
    work();
  }
  if (error) std::rethrow_exception(error);
  return outcomes;
}

std::string repeat_arguments(const KernelCase& c) {
  return "verify --kernel " + std::string(c.kernel) + " --shape " + std::to_string(c.shape.m) +
         "x" + std::to_string(c.shape.n) + "x" + std::to_string(c.shape.k) + " --seed " +
         std::to_string(c.seed) + " --values " +
         std::string(kValuesNames[static_cast<std::size_t>(c.values)]) +
         (c.drawn ? " --options drawn" : "");
}

CaseOutcome compare_arrays(const Arrays& expected, const Arrays& actual, std::string_view label) {
  require(expected.size() == actual.size(), "compare_arrays: another number of results");
  CaseOutcome outcome;
  for (std::size_t r = 0; r < expected.size(); ++r) {
    const Array& want = expected[r];
    const Array& got = actual[r];
    require(want.type == got.type && want.shape == got.shape,
            "compare_arrays: type or shape differ");
    outcome.elements += want.size();
    if (want.words == got.words) continue;
    for (std::size_t i = 0; i < want.size(); ++i) {
      if (same(want.type, want.words[i], got.words[i])) continue;
      if (outcome.mismatches++ > 0) continue;
      outcome.first_mismatch = std::string(label) + ": " + want.name + place(want, i) +
                               " should be " + describe(want.type, want.words[i]) + " and is " +
                               describe(got.type, got.words[i]);
    }
  }
  return outcome;
}

CaseOutcome compare_bits(std::span<const float> expected, std::span<const float> actual,
                         std::string_view label) {
  return compare_arrays({array_of("element ", {expected.size()}, expected)},
                        {array_of("element ", {actual.size()}, actual)}, label);
}

}  // namespace systole::quant
