// OliVe's scale search: the definition by full passes over the matrix, and the same at speed, all
// candidates of a pair at once. The contract is in ovp.hpp.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <thread>

#include "quant/check.hpp"
#include "quant/clones.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/formats/ovp_lane.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/kernels/parallel.hpp"

namespace systole::quant {
namespace {

using detail::OvpKind;
using detail::OvpLimits;

std::vector<float> candidate_factors(const OliveCandidates& c) {
  require(c.step != 0 && c.low < c.high && c.high <= 10000, "olive: low < high and a step");
  std::vector<float> factors;
  for (unsigned p = c.low; p < c.high; p += c.step) factors.push_back(static_cast<float>(p * 0.01));
  return factors;
}

float scale_of(float start, float factor, const OvpType& type, Format scale_format) {
  return store_parameter(scale_format, start * factor / static_cast<float>(type.largest_normal));
}

void check_search(std::span<const float> values, const OvpShape& shape) {
  require(shape.cols == 0
              ? values.empty()
              : values.size() / shape.cols == shape.rows && values.size() % shape.cols == 0,
          "olive: values is not [rows, cols]");
  require(values.empty() || (shape.box != 0 && values.size() % shape.box == 0),
          "olive: the boxes do not divide the matrix");
}

/// Boxes by full passes: every box at candidate c, then every box keeps its best.
template <class Quantise>
OliveScales search_by_passes(std::span<const float> values, const OvpShape& shape,
                             const OvpType& type, Format scale_format,
                             const OliveCandidates& candidates, const Quantise& quantise) {
  const std::size_t boxes = values.empty() ? 0 : values.size() / shape.box;
  std::vector<float> starts(boxes), scales(boxes), q(values.size());
  for (std::size_t b = 0; b < boxes; ++b)
    starts[b] = olive_start(values.subspan(b * shape.box, shape.box));
  OliveScales best;
  best.scales.resize(boxes);
  best.errors.assign(boxes, std::numeric_limits<double>::infinity());
  for (const float factor : candidate_factors(candidates)) {
    for (std::size_t b = 0; b < boxes; ++b)
      scales[b] = scale_of(starts[b], factor, type, scale_format);
    quantise(scales, q);
    for (std::size_t b = 0; b < boxes; ++b) {
      double error = 0;
      for (std::size_t i = b * shape.box; i < (b + 1) * shape.box; ++i) {
        const double d = q[i] * scales[b] - values[i];
        error += d * d;
      }
      if (error < best.errors[b]) {
        best.errors[b] = error;
        best.scales[b] = scales[b];
      }
    }
  }
  return best;
}

/// The candidates of one box that one thread follows.
struct Candidates {
  const float* scales;
  double* errors;
  std::size_t count;
};

/// One element whose neighbour is outside the matrix; `first`, where given, makes it a victim.
template <OvpKind kKind, unsigned kMantissa>
void add_single(float x, const float* first, const OvpLimits& limits, const Candidates& c) {
  for (std::size_t k = 0; k < c.count; ++k) {
    const float s = c.scales[k];
    float q = detail::ovp_lane<kKind, kMantissa>(x / s, limits);
    if (first != nullptr &&
        std::fabs(detail::ovp_lane<kKind, kMantissa>(*first / s, limits)) > limits.top)
      q = 0.0f;
    const double d = q * s - x;
    c.errors[k] += d * d;
  }
}

/// Consecutive pairs. The inner loop is over independent candidates, so it vectorises and every sum
/// keeps its order.
template <OvpKind kKind, unsigned kMantissa>
SYSTOLE_CLONES void add_pairs(const float* x, std::size_t pairs, bool keep_left, const OvpLimits& l,
                              const Candidates& c) {
  const OvpLimits limits = l;
  const float* const scales = c.scales;
  double* const errors = c.errors;
  for (std::size_t p = 0; p < pairs; ++p) {
    const float a = x[2 * p];
    const float b = x[2 * p + 1];
    const bool a_stays = keep_left || std::fabs(a) >= std::fabs(b);
    for (std::size_t k = 0; k < c.count; ++k) {
      const float s = scales[k];
      const float qa = detail::ovp_lane<kKind, kMantissa>(a / s, limits);
      const float qb = detail::ovp_lane<kKind, kMantissa>(b / s, limits);
      const bool outlier_a = std::fabs(qa) > limits.top;
      const bool outlier_b = std::fabs(qb) > limits.top;
      const bool a_wins = outlier_a & (!outlier_b | a_stays);
      const bool b_wins = outlier_b & !a_wins;
      const double da = detail::select(b_wins, 0.0f, qa) * s - a;
      const double db = detail::select(a_wins, 0.0f, qb) * s - b;
      errors[k] = (errors[k] + da * da) + db * db;
    }
  }
}

struct Search {
  std::span<const float> values;
  OvpShape shape;
  const OvpRules& rules;
  OvpLimits limits;
  std::size_t segment;  ///< a line, or the part of it in one box
};

template <OvpKind kKind, unsigned kMantissa>
void add_box(const Search& search, std::size_t box, const Candidates& c) {
  const std::size_t begin = box * search.shape.box;
  for (std::size_t i = begin; i < begin + search.shape.box; i += search.segment) {
    const float* x = search.values.data() + i;
    add_pairs<kKind, kMantissa>(x, search.segment / 2, search.rules.keep_left, search.limits, c);
    if (search.segment % 2 == 0) continue;
    const bool wraps = search.rules.wraps && search.shape.box == search.values.size();
    add_single<kKind, kMantissa>(x[search.segment - 1], wraps ? search.values.data() : nullptr,
                                 search.limits, c);
  }
}

/// Whether no pair has its two elements in different boxes.
bool pairs_stay_in_boxes(const OvpShape& shape, const OvpRules& rules) {
  const std::size_t length = detail::line_length(shape, rules);
  return shape.box % length == 0 || (shape.box % 2 == 0 && length % shape.box == 0);
}

std::size_t thread_count(std::size_t wanted, std::size_t work) {
  if (wanted != 0) return wanted;
  if (work < (std::size_t{1} << 22)) return 1;
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

double OliveScales::total_error() const {
  double sum = 0;
  for (const double e : errors) sum += e;
  return sum;
}

float olive_start(std::span<const float> values) {
  require(!values.empty(), "olive: no values");
  double sum = 0;
  for (const float x : values) sum += static_cast<double>(x);
  const double mean = sum / static_cast<double>(values.size());
  double squares = 0;
  for (const float x : values)
    squares += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean);
  const double sigma =
      values.size() < 2 ? 0.0 : std::sqrt(squares / static_cast<double>(values.size() - 1));
  return static_cast<float>(std::max(std::fabs(mean + 3 * sigma), std::fabs(mean - 3 * sigma)));
}

OliveScales olive_search_scan(std::span<const float> values, const OvpShape& shape,
                              const OvpType& type, const OvpRules& rules, Format scale_format,
                              const OliveCandidates& candidates) {
  check_search(values, shape);
  return search_by_passes(values, shape, type, scale_format, candidates,
                          [&](const std::vector<float>& scales, std::vector<float>& q) {
                            ovp_quantise_scan(values, shape, scales, type, rules, q);
                          });
}

OliveScales olive_search(std::span<const float> values, const OvpShape& shape, const OvpType& type,
                         const OvpRules& rules, Format scale_format,
                         const OliveCandidates& candidates, std::size_t threads) {
  check_search(values, shape);
  if (values.empty()) return {};
  if (!pairs_stay_in_boxes(shape, rules)) {
    return search_by_passes(values, shape, type, scale_format, candidates,
                            [&](const std::vector<float>& scales, std::vector<float>& q) {
                              ovp_quantise(values, shape, scales, type, rules, q);
                            });
  }
  const std::vector<float> factors = candidate_factors(candidates);
  const std::size_t boxes = values.size() / shape.box;
  const Search search{values, shape, rules, detail::ovp_limits(type, rules),
                      std::min(shape.box, detail::line_length(shape, rules))};
  threads = thread_count(threads, values.size());
  OliveScales best;
  best.scales.resize(boxes);
  best.errors.resize(boxes);
  // Threads share the boxes, or where there are few the candidates of each.
  const bool share_boxes = boxes >= threads;
  const auto one_box = [&](std::size_t b) {
    const float start = olive_start(values.subspan(b * shape.box, shape.box));
    std::vector<float> scales(factors.size());
    for (std::size_t k = 0; k < factors.size(); ++k)
      scales[k] = scale_of(start, factors[k], type, scale_format);
    std::vector<double> errors(factors.size(), 0.0);
    parallel_ranges(
        share_boxes ? 1 : threads, factors.size(), [&](std::size_t begin, std::size_t end) {
          const Candidates part{scales.data() + begin, errors.data() + begin, end - begin};
          detail::with_ovp_lane(type, [&]<OvpKind kKind, unsigned kMantissa>() {
            add_box<kKind, kMantissa>(search, b, part);
          });
        });
    const auto least = std::ranges::min_element(errors);  // the first of equals
    best.errors[b] = *least;
    best.scales[b] = scales[static_cast<std::size_t>(least - errors.begin())];
  };
  parallel_ranges(share_boxes ? threads : 1, boxes, [&](std::size_t begin, std::size_t end) {
    for (std::size_t b = begin; b < end; ++b) one_box(b);
  });
  return best;
}

Format choose_ovp4(std::span<const float> values, const OvpShape& shape, Contract contract,
                   Format scale_format) {
  const auto error = [&](Format format) {
    return olive_search(values, shape, ovp_type(format, contract), ovp_rules(format, contract),
                        scale_format)
        .total_error();
  };
  return error(Format::ovp4_flint) < error(Format::ovp4_int) ? Format::ovp4_flint
                                                             : Format::ovp4_int;
}

}  // namespace systole::quant
