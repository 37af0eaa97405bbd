#include "quant/ggml/search.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "quant/ggml/blocks.hpp"

namespace systole::quant::ggml {

Extreme extreme_of(std::span<const float> x) {
  Extreme result;
  for (const float v : x) {
    const float magnitude = std::fabs(v);
    if (magnitude > result.magnitude) result = {v, magnitude};
  }
  return result;
}

namespace {

constexpr std::size_t kMostElements = 32;  // of a sub-block

std::uint8_t affine_code(float x, float min, float inverse, int levels) {
  return static_cast<std::uint8_t>(std::clamp(nearest_int(inverse * (x - min)), 0, levels));
}

/// Sum of w * |scale * q + min - x| or of its square.
float affine_error(std::span<const float> x, std::span<const float> weights,
                   std::span<const std::uint8_t> codes, float scale, float min, bool absolute) {
  float error = 0.0f;
  for (std::size_t i = 0; i < x.size(); ++i) {
    float difference = scale * static_cast<float>(codes[i]) + min - x[i];
    difference = absolute ? std::fabs(difference) : difference * difference;
    error += weights[i] * difference;
  }
  return error;
}

/// Weighted sums that do not depend on the codes.
struct Totals {
  float weight;
  float x;
  float min;
  float max;
};
Totals totals_of(std::span<const float> x, std::span<const float> weights) {
  Totals t{weights[0], weights[0] * x[0], x[0], x[0]};
  for (std::size_t i = 1; i < x.size(); ++i) {
    if (x[i] < t.min) t.min = x[i];
    if (x[i] > t.max) t.max = x[i];
    t.weight += weights[i];
    t.x += weights[i] * x[i];
  }
  if (t.min > 0.0f) t.min = 0.0f;
  return t;
}

/// Weighted sums over the codes of one candidate.
struct Moments {
  float q = 0.0f;
  float qq = 0.0f;
  float xq = 0.0f;
};
Moments moments_of(std::span<const float> x, std::span<const float> weights,
                   std::span<const std::uint8_t> codes) {
  Moments m;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float q = codes[i];
    const float wq = weights[i] * q;
    m.q += wq;
    m.qq += wq * q;
    m.xq += wq * x[i];
  }
  return m;
}

/// Least-squares scale and (signed) minimum for given codes; a minimum above 0 is fixed at 0.
struct Line {
  float scale;
  float min;
};
Line line_through(const Totals& t, const Moments& m, float determinant) {
  const Line line{(t.weight * m.xq - t.x * m.q) / determinant,
                  (m.qq * t.x - m.q * m.xq) / determinant};
  return line.min > 0.0f ? Line{m.xq / m.qq, 0.0f} : line;
}

}  // namespace

AffineFit search_affine(std::span<const float> x, std::span<const float> weights,
                        const AffineSearch& how, std::span<std::uint8_t> codes) {
  const Totals totals = totals_of(x, weights);
  if (totals.max == totals.min) {
    std::fill(codes.begin(), codes.end(), std::uint8_t{0});
    return {0.0f, -totals.min};
  }
  const auto levels = static_cast<float>(how.levels);
  const float inverse = levels / (totals.max - totals.min);
  Line best{1.0f / inverse, totals.min};
  for (std::size_t i = 0; i < x.size(); ++i)
    codes[i] = affine_code(x[i], best.min, inverse, how.levels);
  float best_error = affine_error(x, weights, codes, best.scale, best.min, how.absolute);

  std::array<std::uint8_t, kMostElements> candidate_codes{};
  const std::span<std::uint8_t> candidate(candidate_codes.data(), x.size());
  for (int step = 0; step <= how.steps; ++step) {
    const float tried = (how.first + how.step * static_cast<float>(step) + levels) /
                        (totals.max - best.min);  // the minimum of the best one so far
    for (std::size_t i = 0; i < x.size(); ++i)
      candidate[i] = affine_code(x[i], best.min, tried, how.levels);
    const Moments moments = moments_of(x, weights, candidate);
    const float determinant = totals.weight * moments.qq - moments.q * moments.q;
    if (!(determinant > 0.0f)) continue;
    const Line line = line_through(totals, moments, determinant);
    const float error = affine_error(x, weights, candidate, line.scale, line.min, how.absolute);
    if (error < best_error) {
      std::copy(candidate.begin(), candidate.end(), codes.begin());
      best_error = error;
      best = line;
    }
  }
  return {best.scale, -best.min};
}

namespace {

int symmetric_code(float x, float inverse, int magnitude) {
  return std::clamp(nearest_int(inverse * x), -magnitude, magnitude - 1);
}

/// Sums of w x q and w q^2 with w = x^2.
struct Projection {
  float xq = 0.0f;
  float qq = 0.0f;
};
void add(Projection& p, float x, float q) {
  const float w = x * x;
  p.xq += w * x * q;
  p.qq += w * q * q;
}

}  // namespace

float search_symmetric(std::span<const float> x, int magnitude, std::span<std::uint8_t> codes) {
  const Extreme extreme = extreme_of(x);
  if (extreme.magnitude < kZeroBlock) {
    std::fill(codes.begin(), codes.end(), std::uint8_t{0});
    return 0.0f;
  }
  const auto store = [&](float inverse) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      codes[i] = static_cast<std::uint8_t>(symmetric_code(x[i], inverse, magnitude) + magnitude);
    }
  };
  const auto project = [&](float inverse) {
    Projection p;
    for (const float v : x) add(p, v, static_cast<float>(symmetric_code(v, inverse, magnitude)));
    return p;
  };
  const auto largest = static_cast<float>(magnitude);
  const float first = -largest / extreme.value;
  store(first);
  const Projection start = project(first);
  float scale = start.qq != 0.0f ? start.xq / start.qq : 0.0f;
  float best = scale * start.xq;
  for (int i = -9; i <= 9; ++i) {
    if (i == 0) continue;
    const float inverse = -(largest + 0.1f * static_cast<float>(i)) / extreme.value;
    const Projection p = project(inverse);
    if (p.qq > 0.0f && p.xq * p.xq > best * p.qq) {
      store(inverse);
      scale = p.xq / p.qq;
      best = scale * p.xq;
    }
  }
  return scale;
}

float search_symmetric_refined(std::span<const float> x, int magnitude,
                               std::span<std::uint8_t> codes) {
  const Extreme extreme = extreme_of(x);
  if (extreme.magnitude < kZeroBlock) {
    std::fill(codes.begin(), codes.end(), std::uint8_t{0});
    return 0.0f;
  }
  const float inverse = static_cast<float>(-magnitude) / extreme.value;
  std::array<int, kMostElements> q{};
  Projection p;
  for (std::size_t i = 0; i < x.size(); ++i) {
    q[i] = symmetric_code(x[i], inverse, magnitude);
    add(p, x[i], static_cast<float>(q[i]));
  }
  bool changed = true;
  for (int round = 0; round < 5 && changed; ++round) {
    changed = false;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float w = x[i] * x[i];
      const auto old = static_cast<float>(q[i]);
      Projection rest{p.xq - w * x[i] * old, p.qq - w * old * old};
      if (!(rest.xq > 0.0f)) continue;
      const int moved =
          std::clamp(nearest_int(x[i] * rest.qq / rest.xq), -magnitude, magnitude - 1);
      if (moved == q[i]) continue;
      add(rest, x[i], static_cast<float>(moved));
      if (rest.qq > 0.0f && rest.xq * rest.xq * p.qq > p.xq * p.xq * rest.qq) {
        q[i] = moved;
        p = rest;
        changed = true;
      }
    }
  }
  for (std::size_t i = 0; i < x.size(); ++i) codes[i] = static_cast<std::uint8_t>(q[i] + magnitude);
  return p.qq > 0.0f ? p.xq / p.qq : 0.0f;
}

std::uint8_t nearest_level(float x) {
  if (x <= static_cast<float>(kIq4Levels.front())) return 0;
  if (x >= static_cast<float>(kIq4Levels.back())) return 15;
  std::size_t upper = 1;  // the first level above x (a NaN is above none: the last)
  while (upper < 15 && !(x < static_cast<float>(kIq4Levels[upper]))) ++upper;
  const float below = x - static_cast<float>(kIq4Levels[upper - 1]);
  const float above = static_cast<float>(kIq4Levels[upper]) - x;
  return static_cast<std::uint8_t>(below < above ? upper - 1 : upper);
}

float search_levels(std::span<const float> x, int tries, std::span<std::uint8_t> codes) {
  const Extreme extreme = extreme_of(x);
  if (extreme.magnitude < kZeroBlock) {
    std::fill(codes.begin(), codes.end(), nearest_level(0.0f));
    return 0.0f;
  }
  const auto project = [&](float inverse, bool store) {
    Projection p;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::uint8_t code = nearest_level(inverse * x[i]);
      if (store) codes[i] = code;
      const auto level = static_cast<float>(kIq4Levels[code]);
      const float w = x[i] * x[i];
      p.xq += w * level * x[i];  // not w * x * level, as in the other searches
      p.qq += w * level * level;
    }
    return p;
  };
  const auto lowest = static_cast<float>(kIq4Levels.front());
  const float range_scale = (tries > 0 ? -extreme.value : extreme.value) / lowest;
  const Projection start = project(1.0f / range_scale, true);
  float scale = start.qq > 0.0f ? start.xq / start.qq : 0.0f;
  float best = scale * start.xq;
  for (int i = -tries; i <= tries; ++i) {
    const Projection p = project((static_cast<float>(i) + lowest) / extreme.value, false);
    if (p.qq > 0.0f && p.xq * p.xq > best * p.qq) {
      scale = p.xq / p.qq;
      best = scale * p.xq;
    }
  }
  return scale;
}

}  // namespace systole::quant::ggml
