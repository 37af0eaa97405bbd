// Outlier-victim pairs: types, the nearest entry, victims, codes and bytes. The contract is in the
// header; the scale search is olive_search.cpp.
#include "quant/formats/ovp.hpp"

#include <algorithm>
#include <cmath>

#include "quant/check.hpp"
#include "quant/formats/flint.hpp"
#include "quant/formats/ovp_lane.hpp"

namespace systole::quant {
namespace {

constexpr float kReach = 102400.0f;  ///< the released search starts from this distance

void check_shape(std::span<const float> values, const OvpShape& shape,
                 std::span<const float> scales) {
  require(shape.cols == 0
              ? values.empty()
              : values.size() / shape.cols == shape.rows && values.size() % shape.cols == 0,
          "ovp: values is not [rows, cols]");
  require(values.empty() || (shape.box != 0 && values.size() % shape.box == 0 &&
                             scales.size() == values.size() / shape.box),
          "ovp: not one scale a box");
}

/// The nearest of a list after the best so far; a later entry wins ties.
struct Nearest {
  float distance;
  float entry = 0.0f;
  void scan(float x, const std::vector<float>& list) {
    for (const float e : list) {
      const float d = std::fabs(x - e);
      if (d <= distance) {
        distance = d;
        entry = e;
      }
    }
  }
};

/// Both lists of a type, built once for a matrix.
struct Lists {
  std::vector<float> normal, outlier;
  explicit Lists(const OvpType& t) : normal(ovp_normal_grid(t)), outlier(ovp_outlier_grid(t)) {}
};

float nearest_scan(float x, const Lists& lists, const OvpType& type, const OvpRules& rules) {
  Nearest best{std::numeric_limits<float>::infinity()};
  if (rules.reach > 0) {
    best.distance = rules.reach;
  } else {
    const float last = lists.outlier.back();
    const float limit = rules.clip > 0 ? std::min(rules.clip, last) : last;
    x = std::clamp(x, -limit, limit);
  }
  const bool both = rules.border == 0;
  const bool above = std::fabs(x) > rules.border * static_cast<float>(type.largest_normal);
  if (both || !above) best.scan(x, lists.normal);
  if (both || above) best.scan(x, lists.outlier);
  return best.entry;
}

/// Entries to entries after victims, pair by pair of each line.
void victimise(std::span<const float> values, const OvpShape& shape, const OvpType& type,
               const OvpRules& rules, std::span<float> q) {
  const auto top = static_cast<float>(type.largest_normal);
  const std::size_t length = detail::line_length(shape, rules);
  const bool first_is_outlier = !q.empty() && std::fabs(q[0]) > top;
  for (std::size_t line = 0; line < q.size(); line += length) {
    for (std::size_t i = line; i + 1 < line + length; i += 2) {
      const bool left = std::fabs(q[i]) > top;
      const bool right = std::fabs(q[i + 1]) > top;
      if (left && right) {
        q[detail::left_stays(values[i], values[i + 1], rules) ? i + 1 : i] = 0.0f;
      } else if (left) {
        q[i + 1] = 0.0f;
      } else if (right) {
        q[i] = 0.0f;
      }
    }
  }
  if (rules.wraps && q.size() % 2 != 0 && first_is_outlier) q.back() = 0.0f;
}

template <class ToEntry>
void quantise_with(std::span<const float> values, const OvpShape& shape,
                   std::span<const float> scales, std::span<float> out, const ToEntry& to_entry) {
  require(out.size() == values.size(), "ovp: out is not of the size of values");
  for (std::size_t b = 0; b < scales.size(); ++b) {
    for (std::size_t i = b * shape.box; i < (b + 1) * shape.box; ++i) {
      out[i] = scales[b] == 0.0f ? 0.0f : to_entry(values[i] / scales[b]) + 0.0f;
    }
  }
}

void nearest_all(std::span<const float> values, const OvpShape& shape,
                 std::span<const float> scales, const OvpType& type, const OvpRules& rules,
                 std::span<float> out) {
  const detail::OvpLimits limits = detail::ovp_limits(type, rules);
  detail::with_ovp_lane(type, [&]<detail::OvpKind kKind, unsigned kMantissa>() {
    quantise_with(values, shape, scales, out,
                  [&limits](float x) { return detail::ovp_lane<kKind, kMantissa>(x, limits); });
  });
}

template <class IsOutlier>
PairCounts count_with(std::size_t size, std::size_t length, const IsOutlier& is_outlier) {
  PairCounts counts;
  for (std::size_t line = 0; line < size; line += length) {
    for (std::size_t i = line; i < line + length; i += 2) {
      const int outliers =
          (is_outlier(i) ? 1 : 0) + (i + 1 < line + length && is_outlier(i + 1) ? 1 : 0);
      ++(outliers == 0   ? counts.normal_normal
         : outliers == 1 ? counts.outlier_normal
                         : counts.outlier_outlier);
    }
  }
  return counts;
}

std::int32_t sign_extend(std::uint32_t code, unsigned bits) {
  const auto sign = static_cast<std::int32_t>(1u << (bits - 1));
  return (static_cast<std::int32_t>(code) ^ sign) - sign;
}

std::uint8_t encode_normal(std::int32_t value, const OvpType& type) {
  if (type.flint) {
    const std::uint32_t code = ant_encode(static_cast<float>(value), Format::flint4);
    require(ant_values(Format::flint4)[code] == value, "ovp: not an entry of the normal grid");
    return static_cast<std::uint8_t>(code);
  }
  require(std::abs(value) <= type.largest_normal, "ovp: not an entry of the normal grid");
  return static_cast<std::uint8_t>(static_cast<std::uint32_t>(value) & ((1u << type.bits) - 1));
}

ExponentInteger decode_normal(std::uint8_t code, const OvpType& type) {
  if (code == ovp_identifier(type)) return {};
  return type.flint ? ant_operand(code, Format::flint4)
                    : ExponentInteger{0, sign_extend(code, type.bits)};
}

}  // namespace

OvpType ovp_type(Format format, Contract contract) {
  switch (format) {
    case Format::ovp4_int:
      return {false, 4, true, kOutlierOfInt4, 7, 4.0f};
    case Format::ovp4_flint:
      return {true, 4, true, kOutlierOfFlint4, 16, 2.0f};
    case Format::ovp8_int:
      return {false, 8,    true, follows_code(contract) ? kOutlierOfInt8Code : kOutlierOfInt8,
              127,   0.25f};
    default:
      throw std::invalid_argument("not an outlier-victim pair format");
  }
}

OvpType ovp_unsigned_type(bool flint) {
  if (flint) return {true, 4, false, kOutlierOfUflint4, 64, 0.5f};
  return {false, 4, false, kOutlierOfUint4, 15, 2.0f};
}

OvpRules ovp_rules(Format format, Contract contract, float border) {
  OvpRules rules;
  if (follows_code(contract)) {
    rules = {true, true, true, 0.0f, 0.0f, kReach / ovp_type(format, contract).unit};
  } else {
    rules.border = 1.0f;
    if (format == Format::ovp8_int) rules.clip = 32768.0f;
  }
  require(border >= 0 && border < 1e3f, "ovp: the border is a positive multiple of alpha");
  if (border > 0) rules.border = border;
  return rules;
}

float ovp_nearest_border(const OvpType& type) {
  const float middle = 0.5f * static_cast<float>(type.largest_normal + type.outlier.smallest());
  return middle / static_cast<float>(type.largest_normal);
}

std::vector<float> ovp_normal_grid(const OvpType& type) {
  std::vector<float> grid;
  if (type.flint) {
    const Format format = type.is_signed ? Format::flint4 : Format::uflint4;
    for (std::uint32_t code = 0; code < 16; ++code) {
      if (type.is_signed && code == 8) continue;
      grid.push_back(static_cast<float>(ant_values(format)[code]));
    }
    std::ranges::sort(grid);
    return grid;
  }
  for (std::int32_t v = type.is_signed ? -type.largest_normal : 0; v <= type.largest_normal; ++v)
    grid.push_back(static_cast<float>(v));
  return grid;
}

std::vector<float> ovp_outlier_grid(const OvpType& type) {
  std::vector<float> grid;
  for (const std::int32_t magnitude : abfloat_magnitudes(type.outlier)) {
    grid.push_back(static_cast<float>(magnitude));
    if (type.is_signed) grid.push_back(static_cast<float>(-magnitude));
  }
  std::ranges::sort(grid);
  return grid;
}

float ovp_nearest_scan(float x, const OvpType& type, const OvpRules& rules) {
  return nearest_scan(x, Lists(type), type, rules);
}

float ovp_nearest(float x, const OvpType& type, const OvpRules& rules) {
  const detail::OvpLimits limits = detail::ovp_limits(type, rules);
  return detail::with_ovp_lane(type, [&]<detail::OvpKind kKind, unsigned kMantissa>() {
    return detail::ovp_lane<kKind, kMantissa>(x, limits) + 0.0f;  // no -0
  });
}

void ovp_quantise_scan(std::span<const float> values, const OvpShape& shape,
                       std::span<const float> scales, const OvpType& type, const OvpRules& rules,
                       std::span<float> out) {
  check_shape(values, shape, scales);
  const Lists lists(type);
  quantise_with(values, shape, scales, out,
                [&](float x) { return nearest_scan(x, lists, type, rules); });
  victimise(values, shape, type, rules, out);
}

void ovp_quantise(std::span<const float> values, const OvpShape& shape,
                  std::span<const float> scales, const OvpType& type, const OvpRules& rules,
                  std::span<float> out) {
  check_shape(values, shape, scales);
  nearest_all(values, shape, scales, type, rules, out);
  victimise(values, shape, type, rules, out);
}

PairCounts count_pairs(std::span<const float> values, std::size_t cols, float threshold) {
  require(cols == 0 ? values.empty() : values.size() % cols == 0,
          "pairs: values is not [rows, cols]");
  return count_with(values.size(), cols,
                    [&](std::size_t i) { return std::fabs(values[i]) > threshold; });
}

PairCounts count_pairs(std::span<const float> values, const OvpShape& shape,
                       std::span<const float> scales, const OvpType& type, const OvpRules& rules) {
  check_shape(values, shape, scales);
  std::vector<float> q(values.size());
  nearest_all(values, shape, scales, type, rules, q);
  const auto top = static_cast<float>(type.largest_normal);
  return count_with(q.size(), detail::line_length(shape, rules),
                    [&](std::size_t i) { return std::fabs(q[i]) > top; });
}

// --- codes -------------------------------------------------------------------------------------

OvpPair ovp_encode_pair(std::int32_t left, std::int32_t right, const OvpType& type) {
  require(type.is_signed, "ovp: unsigned pairs have no code");
  const auto outlier_code = [&type](std::int32_t outlier, std::int32_t victim) {
    require(victim == 0, "ovp: the neighbour of an outlier must be 0");
    return static_cast<std::uint8_t>(abfloat_encode(outlier, type.outlier));
  };
  const std::uint8_t identifier = ovp_identifier(type);
  if (std::abs(left) > type.largest_normal) return {outlier_code(left, right), identifier};
  if (std::abs(right) > type.largest_normal) return {identifier, outlier_code(right, left)};
  return {encode_normal(left, type), encode_normal(right, type)};
}

OvpOperands ovp_decode_pair(OvpPair pair, const OvpType& type) {
  require(type.is_signed, "ovp: unsigned pairs have no code");
  const std::uint8_t identifier = ovp_identifier(type);
  if (pair.right == identifier) return {abfloat_decode(pair.left, type.outlier), {}};
  if (pair.left == identifier) return {{}, abfloat_decode(pair.right, type.outlier)};
  return {decode_normal(pair.left, type), decode_normal(pair.right, type)};
}

std::size_t ovp_slots(std::size_t rows, std::size_t cols, const OvpRules& rules) {
  if (rules.flattened) return rows * cols + (rows * cols) % 2;
  return rows * (cols + cols % 2);
}

std::vector<std::uint16_t> ovp_encode_slots(std::span<const float> entries, std::size_t cols,
                                            const OvpType& type, const OvpRules& rules) {
  if (entries.empty()) return {};
  require(cols != 0 && entries.size() % cols == 0, "ovp: entries is not [rows, cols]");
  const std::size_t length = rules.flattened ? entries.size() : cols;
  std::vector<std::uint16_t> codes;
  codes.reserve(ovp_slots(entries.size() / cols, cols, rules));
  for (std::size_t line = 0; line < entries.size(); line += length) {
    for (std::size_t i = line; i < line + length; i += 2) {
      const float right = i + 1 < line + length ? entries[i + 1] : 0.0f;
      const OvpPair pair = ovp_encode_pair(static_cast<std::int32_t>(entries[i]),
                                           static_cast<std::int32_t>(right), type);
      codes.push_back(pair.left);
      codes.push_back(pair.right);
    }
  }
  return codes;
}

std::vector<ExponentInteger> ovp_decode_slots(std::span<const std::uint16_t> codes,
                                              std::size_t rows, std::size_t cols,
                                              const OvpType& type, const OvpRules& rules) {
  require(codes.size() == ovp_slots(rows, cols, rules), "ovp: the codes are not of that shape");
  std::vector<ExponentInteger> slots(codes.size());
  for (std::size_t i = 0; i < codes.size(); i += 2) {
    require(codes[i] < (1u << type.bits) && codes[i + 1] < (1u << type.bits),
            "ovp: a code is too wide");
    const OvpOperands pair = ovp_decode_pair(
        {static_cast<std::uint8_t>(codes[i]), static_cast<std::uint8_t>(codes[i + 1])}, type);
    slots[i] = pair.left;
    slots[i + 1] = pair.right;
  }
  std::vector<ExponentInteger> out;
  out.reserve(rows * cols);
  for (std::size_t row = 0; row < rows; ++row) {
    const auto begin = slots.begin() + static_cast<std::ptrdiff_t>(ovp_slot(row, 0, cols, rules));
    out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(cols));
  }
  return out;
}

std::vector<std::uint8_t> ovp_pack(std::span<const std::uint16_t> codes, unsigned bits) {
  require(codes.size() % 2 == 0 && (bits == 4 || bits == 8), "ovp: not whole pairs");
  std::vector<std::uint8_t> bytes;
  bytes.reserve(codes.size() * bits / 8);
  for (std::size_t i = 0; i < codes.size(); i += 2) {
    if (bits == 4) {
      bytes.push_back(static_cast<std::uint8_t>((codes[i] & 15u) | (codes[i + 1] & 15u) << 4));
    } else {
      bytes.push_back(static_cast<std::uint8_t>(codes[i]));
      bytes.push_back(static_cast<std::uint8_t>(codes[i + 1]));
    }
  }
  return bytes;
}

std::vector<std::uint16_t> ovp_unpack(std::span<const std::uint8_t> bytes, unsigned bits) {
  require((bits == 4 || bits == 8) && (bits == 4 || bytes.size() % 2 == 0), "ovp: not whole pairs");
  std::vector<std::uint16_t> codes;
  codes.reserve(bytes.size() * 8 / bits);
  for (const std::uint8_t byte : bytes) {
    if (bits == 4) {
      codes.push_back(byte & 15u);
      codes.push_back(byte >> 4);
    } else {
      codes.push_back(byte);
    }
  }
  return codes;
}

std::vector<std::uint8_t> ovp_encode(std::span<const float> values, std::size_t cols, float scale,
                                     const OvpType& type, const OvpRules& rules) {
  if (values.empty()) return {};
  require(cols != 0, "ovp: values is not [rows, cols]");
  std::vector<float> entries(values.size());
  const OvpShape shape{values.size() / cols, cols, values.size()};
  ovp_quantise(values, shape, std::span(&scale, 1), type, rules, entries);
  return ovp_pack(ovp_encode_slots(entries, cols, type, rules), type.bits);
}

std::vector<float> ovp_decode(std::span<const std::uint8_t> bytes, std::size_t rows,
                              std::size_t cols, float scale, const OvpType& type,
                              const OvpRules& rules) {
  std::vector<float> out;
  for (const ExponentInteger& x :
       ovp_decode_slots(ovp_unpack(bytes, type.bits), rows, cols, type, rules))
    out.push_back(scale * static_cast<float>(x.value()));
  return out;
}

std::int64_t ovp_worst_product(const OvpType& a, const OvpRules& a_rules, const OvpType& w,
                               const OvpRules& w_rules) {
  const auto largest = [](const OvpType& t, const OvpRules& rules) -> std::int64_t {
    return rules.clip > 0 ? std::min(static_cast<std::int32_t>(rules.clip), t.outlier.largest())
                          : t.outlier.largest();
  };
  return largest(a, a_rules) * largest(w, w_rules);
}

std::uint64_t ovp_safe_k(std::int64_t worst_product) {
  require(worst_product > 0, "ovp: a product of two operands");
  return static_cast<std::uint64_t>(INT32_MAX / worst_product);
}

}  // namespace systole::quant
