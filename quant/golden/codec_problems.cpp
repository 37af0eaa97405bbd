// Golden kernels: quantisers and packers, each against a second, independent computation.
#include <algorithm>
#include <cmath>

#include "quant/golden/problems.hpp"
#include "quant/packing.hpp"

namespace systole::quant::golden {

namespace {

Arrays quantised(const QuantizedMatrix& q, std::span<const float> decoded) {
  return {codes_of("codes", q), array_of("decoded", {q.rows, q.cols}, decoded)};
}

/// The code once more from the stored scale and zero, with the C library's rounding.
float code_again(const QuantizedMatrix& q, float x, float s, float z) {
  if (s == 0.0f) return 0.0f;
  const auto levels = static_cast<float>(asymmetric_max(q.spec.format));
  const auto qmax = static_cast<float>(symmetric_max(q.spec.format));
  switch (q.spec.affine) {
    case Affine::symmetric:
      return std::clamp(std::nearbyint(x / s), -qmax, qmax);
    case Affine::float_min:
      return std::clamp(std::nearbyint((x - z) / s), 0.0f, levels);
    case Affine::integer_zero:
      return std::clamp(std::nearbyint(x / s) + z, 0.0f, levels);
    case Affine::float_zero:
      return std::clamp(std::nearbyint(x / s + z), 0.0f, levels);
  }
  return 0.0f;
}

/// The value with one rounding of an exact double where the contract has a product.
float value_again(const QuantizedMatrix& q, int code, float s, float z) {
  switch (q.spec.affine) {
    case Affine::symmetric:
      return static_cast<float>(static_cast<double>(s) * code);
    case Affine::float_min:
      return std::fma(static_cast<float>(code), s, z);
    case Affine::integer_zero:
      return static_cast<float>(static_cast<double>(s) * (static_cast<double>(code) - z));
    case Affine::float_zero:
      return std::fma(static_cast<float>(code), s, -(z * s));
  }
  return 0.0f;
}

Arrays quantise_again(const QuantizedMatrix& q, std::span<const float> x) {
  QuantizedMatrix again = q;
  std::vector<float> decoded(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t row = i / q.cols;
    const std::size_t g = i % q.cols / q.group;
    const float s = q.scale(row, g);
    const float z = q.zero(row, g);
    const int code = static_cast<int>(code_again(q, x[i], s, z));
    again.codes[i] = static_cast<std::int8_t>(code);
    decoded[i] = value_again(q, code, s, z);
  }
  return quantised(again, decoded);
}

struct Codes {
  std::vector<std::int8_t> codes;
  unsigned bits = 0;
  bool is_signed = false;
};

Arrays packed_arrays(const std::vector<std::uint8_t>& packed,
                     const std::vector<std::int8_t>& unpacked) {
  return {array_of("packed", {packed.size()}, std::span<const std::uint8_t>(packed)),
          array_of("unpacked", {unpacked.size()}, std::span<const std::int8_t>(unpacked))};
}

/// Bit i of code j is bit (j * bits + i) of the bytes.
std::vector<std::uint8_t> pack_bit_by_bit(const Codes& x) {
  std::vector<std::uint8_t> packed((x.codes.size() * x.bits + 7) / 8);
  for (std::size_t bit = 0; bit < x.codes.size() * x.bits; ++bit) {
    const auto code = static_cast<unsigned>(x.codes[bit / x.bits]);
    packed[bit / 8] =
        static_cast<std::uint8_t>(packed[bit / 8] | ((code >> (bit % x.bits)) & 1u) << (bit % 8));
  }
  return packed;
}

}  // namespace

Problem integer_quantiser(const KernelCase& c) {
  struct Operands {
    std::vector<float> x;
    QuantizedMatrix q;
  };
  Stream random(c.seed);
  auto o = std::make_shared<Operands>();
  o->x = draw(random, c.shape.n * c.shape.k, c.values, symmetric_max(c.weight.format));
  o->q = quantise(o->x, c.shape.n, c.shape.k, c.weight);
  Problem problem;
  problem.operands = [c, o] {
    Arrays arrays{array_of("x", {c.shape.n, c.shape.k}, std::span<const float>(o->x))};
    for (Array& array : arrays_of("x", o->q)) {
      if (array.name != "x_codes") arrays.push_back(std::move(array));
    }
    return arrays;
  };
  problem.reference = [o] { return quantised(o->q, dequantise(o->q)); };
  problem.twins.push_back({"second computation", [o] { return quantise_again(o->q, o->x); }});
  problem.trace = [c, o](std::size_t result, std::size_t element) {
    const std::size_t row = element / c.shape.k;
    const std::size_t g = element % c.shape.k / o->q.group;
    std::vector<Step> steps{step("x", o->x[element]), step("scale", o->q.scale(row, g))};
    if (c.weight.affine != Affine::symmetric) steps.push_back(step("zero", o->q.zero(row, g)));
    steps.push_back(step("x / scale", o->x[element] / o->q.scale(row, g)));
    const int code = o->q.code(row, element % c.shape.k);
    steps.push_back(step("code", std::int32_t{code}));
    if (result == 1) {
      steps.push_back(
          step("decoded", value_again(o->q, code, o->q.scale(row, g), o->q.zero(row, g))));
    }
    return steps;
  };
  return problem;
}

Problem code_packing(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<Codes>();
  x->bits = bits_of(c.weight.format);
  x->is_signed = c.weight.affine == Affine::symmetric;
  x->codes.resize(c.shape.n * c.shape.k);
  for (std::int8_t& code : x->codes) {
    const int raw = static_cast<int>(random.below(std::size_t{1} << x->bits));
    code = static_cast<std::int8_t>(x->is_signed ? raw - (1 << (x->bits - 1)) : raw);
  }
  Problem problem;
  problem.operands = [x] {
    return Arrays{array_of("codes", {x->codes.size()}, std::span<const std::int8_t>(x->codes))};
  };
  problem.reference = [x] { return packed_arrays(pack_bit_by_bit(*x), x->codes); };
  problem.twins.push_back({"pack and unpack", [x] {
                             const std::vector<std::uint8_t> packed = pack(x->codes, x->bits);
                             return packed_arrays(
                                 packed, unpack(packed, x->codes.size(), x->bits, x->is_signed));
                           }});
  problem.trace = [x](std::size_t result, std::size_t element) {
    std::vector<Step> steps;
    if (result == 1) return std::vector<Step>{step("code", std::int32_t{x->codes[element]})};
    for (std::size_t bit = element * 8; bit < std::min(element * 8 + 8, x->codes.size() * x->bits);
         ++bit) {
      const std::int32_t code = x->codes[bit / x->bits];
      steps.push_back(step("bit " + std::to_string(bit % 8) + " is bit " +
                               std::to_string(bit % x->bits) + " of code " +
                               std::to_string(bit / x->bits),
                           code));
    }
    return steps;
  };
  return problem;
}

}  // namespace systole::quant::golden
