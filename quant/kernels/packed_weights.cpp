// Packing: the coding of the elements, their place in the panels, and what belongs to each group.
#include "quant/kernels/packed_weights.hpp"

#include <array>
#include <utility>

#include "quant/check.hpp"

namespace systole::quant {

using detail::Aligned;
using detail::Coding;

namespace {

/// Codes of the integer formats: nibbles up to 4 bits, sextets up to 6 where the tiles take them;
/// the affine forms unsigned.
Coding coding_of(const QuantSpec& spec, bool sextets) {
  const bool is_signed = spec.affine == Affine::symmetric;
  Coding coding;
  if (sextets && (bits_of(spec.format) == 5 || bits_of(spec.format) == 6)) {
    coding.kind = Coding::Kind::sextets;
    coding.offset = is_signed ? 32 : 0;
    coding.table_is_index = true;
    for (int i = 0; i < 64; ++i) coding.wide[i] = static_cast<std::int8_t>(i - coding.offset);
    return coding;
  }
  if (bits_of(spec.format) > 4) {
    coding.offset = is_signed ? 128 : 0;
    return coding;
  }
  coding.kind = Coding::Kind::nibbles;
  coding.offset = is_signed ? 8 : 0;
  coding.table_is_index = true;
  for (int i = 0; i < 16; ++i) coding.table[i] = static_cast<std::int8_t>(i - coding.offset);
  return coding;
}

constexpr std::size_t index_of(std::int8_t element) {
  return static_cast<std::size_t>(element + 128);
}

/// Fills `table` with the elements that are set; false when there are more than `most`.
bool tabulate(const std::array<bool, 256>& present, std::size_t most, std::int8_t* table) {
  std::size_t count = 0;
  for (int element = -128; element < 128; ++element) {
    if (!present[index_of(static_cast<std::int8_t>(element))]) continue;
    if (count == most) return false;
    table[count++] = static_cast<std::int8_t>(element);
  }
  return true;
}

std::size_t place_in(const std::int8_t (&table)[16], std::int8_t element) {
  return static_cast<std::size_t>(std::ranges::find(table, element) - table);
}

/// Pairs of which one may be an outlier where the other is 0; false when they do not hold these.
bool code_as_pairs(const GridMatrix& m, const std::array<bool, 256>& all, Coding& coding) {
  if (m.cols % 2 != 0 || m.group % 2 != 0) return false;
  std::array<bool, 256> normal{};
  normal[index_of(0)] = true;
  for (std::size_t i = 0; i < m.integers.size(); i += 2) {
    if (m.integers[i] == 0 || m.integers[i + 1] == 0) continue;
    normal[index_of(m.integers[i])] = normal[index_of(m.integers[i + 1])] = true;
  }
  std::array<bool, 256> outlier{};
  for (std::size_t i = 0; i < all.size(); ++i) outlier[i] = all[i] && !normal[i];
  if (!tabulate(normal, Coding::kPairMark, coding.table) ||
      !tabulate(outlier, Coding::kPairMark, coding.outliers)) {
    return false;
  }
  coding.kind = Coding::Kind::pairs;
  coding.table[Coding::kPairMark] = 0;
  return true;
}

/// The narrowest coding that holds these integers: a table of 16, pairs, a table of 64 where the
/// tiles take it, or bytes.
Coding coding_of(const GridMatrix& m, bool sextets) {
  Coding coding;
  coding.offset = 128;
  std::array<bool, 256> all{};
  for (const std::int8_t v : m.integers) all[index_of(v)] = true;
  if (tabulate(all, 16, coding.table)) {
    coding.kind = Coding::Kind::nibbles;
    return coding;
  }
  if (code_as_pairs(m, all, coding)) return coding;
  if (sextets && tabulate(all, 64, coding.wide)) coding.kind = Coding::Kind::sextets;
  return coding;
}

/// The codes of a pair, low nibble first. A neighbour of an outlier becomes the mark; no outlier
/// has the mark's own code, or the two could not be told apart.
std::uint8_t pair_byte(const Coding& coding, std::int8_t even, std::int8_t odd) {
  const auto code = [&](std::int8_t v) {
    const std::size_t at = place_in(coding.table, v);
    return at < Coding::kPairMark ? at : std::size_t{16};
  };
  std::size_t low = code(even);
  std::size_t high = code(odd);
  if (low == 16) {
    low = place_in(coding.outliers, even);
    high = Coding::kPairMark;
  } else if (high == 16) {
    high = place_in(coding.outliers, odd);
    low = Coding::kPairMark;
  }
  return static_cast<std::uint8_t>(low | (high << 4));
}

}  // namespace

void PackedWeights::Impl::lay_out() {
  const std::size_t unit = tiles->unit;
  group_steps = detail::ceil_div(group, unit);
  steps = group_steps * groups;
  step_bytes = tiles->columns * unit * coding.bits() / 8;
  packed = Aligned<std::uint8_t>(panels() * steps * step_bytes);
  scales = Aligned<float>(panels() * groups * tiles->columns);
}

/// visit(row, column of cols, byte, shift): where each element lies, of pairs the even ones; a
/// sextet may go on in the next byte.
template <class Visit>
void PackedWeights::Impl::for_each_place(const Visit& visit) const {
  const std::size_t unit = tiles->unit;
  const std::size_t columns = tiles->columns;
  const std::size_t half = columns * unit / 2;
  const bool pairs = coding.kind == Coding::Kind::pairs;
  const bool nibbles = coding.kind == Coding::Kind::nibbles;
  const bool sextets = coding.kind == Coding::Kind::sextets;
  const std::size_t stride = pairs ? 2 : 1;
  for (std::size_t n = 0; n < rows; ++n) {
    const std::size_t column = n % columns;
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t start = g * group;
      const std::size_t end = std::min(cols, start + group);
      const std::size_t first = (n / columns * steps + g * group_steps) * step_bytes;
      for (std::size_t k = start; k < end; k += stride) {
        const std::size_t within = (k - start) & (unit - 1);  // a unit is a power of two
        const std::size_t place = column * unit + within;
        const std::size_t at = first + (k - start - within) / unit * step_bytes;
        if (pairs) {
          visit(n, k, at + tiles->pair_place(column, within / 2), 0u);
        } else if (nibbles) {
          visit(n, k, at + (place < half ? place : place - half), place < half ? 0u : 4u);
        } else if (sextets) {
          visit(n, k, at + place * 6 / 8, static_cast<unsigned>(place * 6 % 8));
        } else {
          visit(n, k, at + place, 0u);
        }
      }
    }
  }
}

/// element(n, k): the integer, as wide as the coding takes it.
template <class Element>
void PackedWeights::Impl::pack_elements(const Element& element) {
  std::uint8_t* bytes = packed.data();
  const bool coded = !coding.table_is_index && coding.kind != Coding::Kind::bytes;
  std::array<std::uint8_t, 256> code_of{};  // by element, where a table says it
  const bool wide = coding.kind == Coding::Kind::sextets;
  for (std::size_t code = wide ? 64 : 16; coded && code-- > 0;) {
    code_of[index_of(wide ? coding.wide[code] : coding.table[code])] =
        static_cast<std::uint8_t>(code);
  }
  for_each_place([&](std::size_t n, std::size_t k, std::size_t at, unsigned shift) {
    const int v = element(n, k);
    unsigned code = 0;
    if (coding.kind == Coding::Kind::pairs) {
      code = pair_byte(coding, static_cast<std::int8_t>(v),
                       static_cast<std::int8_t>(element(n, k + 1)));
    } else if (coded) {
      code = code_of[index_of(static_cast<std::int8_t>(v))];
    } else {
      code = static_cast<unsigned>(v + coding.offset);
    }
    code <<= shift;
    bytes[at] = static_cast<std::uint8_t>(bytes[at] | code);
    if (code > 0xFF) bytes[at + 1] = static_cast<std::uint8_t>(bytes[at + 1] | (code >> 8));
  });
}

/// As pack_elements has it for bytes and for nibbles that are codes, a unit at a time: a model is
/// packed at every start, its cache in every forward pass. Sums modulo 256 ask for no sign.
void PackedWeights::Impl::pack_units() {
  const std::size_t unit = tiles->unit;
  const std::size_t halves = coding.kind == Coding::Kind::bytes ? 1 : 2;
  const std::size_t columns = tiles->columns / halves;  // of one half of a step
  const auto offset = static_cast<unsigned>(coding.offset);
  for (std::size_t n = 0; n < rows; ++n) {
    const std::size_t column = n % tiles->columns;
    const unsigned shift = column < columns ? 0 : 4;
    for (std::size_t g = 0; g < groups; ++g) {
      const std::int8_t* codes = matrix.codes.data() + n * cols + g * group;
      std::uint8_t* to = packed.data() +
                         (n / tiles->columns * steps + g * group_steps) * step_bytes +
                         column % columns * unit;
      for (std::size_t i = 0; i < group; i += unit, to += step_bytes) {
        for (std::size_t j = 0; j < std::min(unit, group - i); ++j) {
          const unsigned code = (static_cast<std::uint8_t>(codes[i + j]) + offset) & 0xFFu;
          to[j] = static_cast<std::uint8_t>(to[j] | (code << shift));
        }
      }
    }
  }
}

void PackedWeights::Impl::pack_quantised() {
  coding = coding_of(matrix.spec, tiles->sextets);
  lay_out();
  if (coding.kind == Coding::Kind::bytes ||
      (coding.kind == Coding::Kind::nibbles && coding.table_is_index)) {
    pack_units();
  } else {
    pack_elements([this](std::size_t n, std::size_t k) { return matrix.code(n, k); });
  }
  const Affine affine = matrix.spec.affine;
  if (affine == Affine::integer_zero) zeros = Aligned<std::int32_t>(scales.size());
  if (affine == Affine::float_min || affine == Affine::float_zero) {
    minimums = Aligned<float>(scales.size());
  }
  for (std::size_t n = 0; n < rows; ++n) {
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t at =
          (n / tiles->columns * groups + g) * tiles->columns + n % tiles->columns;
      const float s = matrix.scale(n, g);
      const float z = matrix.zero(n, g);
      scales.data()[at] = s;
      if (affine == Affine::integer_zero) zeros.data()[at] = static_cast<std::int32_t>(z);
      if (affine == Affine::float_min) minimums.data()[at] = z;
      if (affine == Affine::float_zero) minimums.data()[at] = -(z * s);
    }
  }
  matrix.codes = {};
  matrix.scales = {};
  matrix.zeros = {};
}

void PackedWeights::Impl::pack_grid() {
  coding = coding_of(grid, tiles->sextets);
  lay_out();
  pack_elements([this](std::size_t n, std::size_t k) { return grid.integers[n * cols + k]; });
  for (std::size_t n = 0; n < rows; ++n) {
    for (std::size_t g = 0; g < groups; ++g) {
      scales.data()[(n / tiles->columns * groups + g) * tiles->columns + n % tiles->columns] =
          grid.scales[n * groups + g];
    }
  }
  grid.integers = {};
}

GridMatrix PackedWeights::Impl::unpacked_grid() const {
  GridMatrix out = grid;
  out.integers.resize(rows * cols);
  for_each_place([&](std::size_t n, std::size_t k, std::size_t at, unsigned shift) {
    const std::uint8_t byte = packed.data()[at];
    std::int8_t* to = out.integers.data() + n * cols + k;
    if (coding.kind == Coding::Kind::bytes) {
      *to = static_cast<std::int8_t>(byte - coding.offset);
    } else if (coding.kind == Coding::Kind::nibbles) {
      *to = coding.table[(byte >> shift) & 15u];
    } else if (coding.kind == Coding::Kind::sextets) {
      const unsigned next = shift > 2 ? packed.data()[at + 1] : 0u;
      *to = coding.wide[((byte | (next << 8)) >> shift) & 63u];
    } else {
      const unsigned low = byte & 15u;
      const unsigned high = byte >> 4;
      to[0] = high == Coding::kPairMark ? coding.outliers[low] : coding.table[low];
      to[1] = low == Coding::kPairMark ? coding.outliers[high] : coding.table[high];
    }
  });
  return out;
}

PackedWeights::PackedWeights(QuantizedMatrix weights, Path path) : impl_(std::make_unique<Impl>()) {
  require(is_available(path), "PackedWeights: this CPU lacks the instructions of that path");
  Impl& w = *impl_;
  w.matrix = std::move(weights);
  w.rows = w.matrix.rows;
  w.cols = w.matrix.cols;
  w.group = w.matrix.group;
  w.groups = w.matrix.groups;
  w.path = path;
  w.tiles = detail::integer_tiles(path);
  if (w.tiles != nullptr) w.pack_quantised();
}

PackedWeights::PackedWeights(GridMatrix weights, Path path) : impl_(std::make_unique<Impl>()) {
  require(is_available(path), "PackedWeights: this CPU lacks the instructions of that path");
  require(
      weights.integers.size() == weights.rows * weights.cols &&
          weights.scales.size() == weights.rows * weights.groups &&
          (weights.cols == 0 || weights.group != 0) &&
          weights.groups == (weights.cols == 0 ? 0 : detail::ceil_div(weights.cols, weights.group)),
      "PackedWeights: the grid is not [rows, cols] with a scale a group");
  Impl& w = *impl_;
  w.grid = std::move(weights);
  w.from_grid = true;
  w.rows = w.grid.rows;
  w.cols = w.grid.cols;
  w.group = w.grid.group;
  w.groups = w.grid.groups;
  w.path = path;
  w.tiles = detail::integer_tiles(path);
  if (w.tiles != nullptr) w.pack_grid();
}

PackedWeights::PackedWeights(PackedWeights&&) noexcept = default;
PackedWeights& PackedWeights::operator=(PackedWeights&&) noexcept = default;
PackedWeights::~PackedWeights() = default;
std::size_t PackedWeights::rows() const { return impl_->rows; }
std::size_t PackedWeights::cols() const { return impl_->cols; }
Path PackedWeights::path() const { return impl_->path; }
const QuantSpec& PackedWeights::spec() const { return impl_->matrix.spec; }
unsigned PackedWeights::stored_bits() const {
  if (impl_->tiles == nullptr) return 0;
  return static_cast<unsigned>(impl_->coding.bits());
}
std::size_t PackedWeights::stored_bytes() const {
  return impl_->packed.size() +
         4 * (impl_->scales.size() + impl_->zeros.size() + impl_->minimums.size());
}

}  // namespace systole::quant
