// Private to the table of golden kernels: drawing operands, options that kernels share, and the
// makers of the entries, a file a family.
#pragma once

#include <memory>
#include <vector>

#include "quant/golden/kernels.hpp"
#include "quant/kernels/path.hpp"

namespace systole::quant::golden {

/// `size` values of the kind. qmax: the largest code of the symmetric format they meet
/// (Values::ties).
std::vector<float> draw(Stream& random, std::size_t size, Values values, int qmax = 7);

/// A power of two or not, as groups come: 1 ... 128.
std::size_t draw_group(Stream& random);
/// Any of fp32, fp16, bf16.
Format draw_scale(Stream& random);
/// Any of int2 ... int8.
Format draw_integer(Stream& random);

/// The usual weight: 4 or fewer bits in groups of 128, or 32 where 128 does not divide k, or the
/// whole row; scales fp16.
QuantSpec usual_weight(Format format, std::size_t k);
/// The usual activation: one fp32 scale a token.
QuantSpec usual_activation(Format format);
/// A weight of any granularity; rounds k to whole groups seven times in eight.
void draw_weight(KernelCase& c, Stream& random, Format format);
void draw_activation(KernelCase& c, Stream& random, Format format);

/// Adds a twin for each available path and thread count: run(path, threads) gives the results.
template <class Run>
void add_paths(Problem& problem, const KernelCase& c, const Run& run) {
  const std::vector<Path> paths = available_paths();
  for (const Path path : paths) {
    if (path == Path::reference && paths.size() > 1) continue;  // itself: nothing to learn
    for (const unsigned threads : {1u, c.threads}) {
      problem.twins.push_back({std::string(name_of(path)) + ", " + std::to_string(threads) +
                                   (threads == 1 ? " thread" : " threads"),
                               [run, path, threads] { return run(path, threads); }});
      if (c.threads == 1) break;
    }
  }
}

/// As many digits as tell one fp32 from another.
std::string text_of(float value);
Step step(std::string what, float accumulator);
Step step(std::string what, std::int32_t accumulator);

/// Result "out" [m, n].
Arrays out_of(const KernelCase& c, std::span<const float> out);
Arrays out_of(const KernelCase& c, std::span<const std::int32_t> out);

/// Writes steps down where somebody wants them; texts are made only then. `text()` gives what was
/// done.
struct Recorder {
  std::vector<Step>* steps = nullptr;
  template <class Text, class Value>
  void operator()(const Text& text, Value accumulator) const {
    if (steps != nullptr) steps->push_back(step(text(), accumulator));
  }
};

/// For kernels whose steps are a second computation: value(m, n, recorder) gives one result of
/// "out" [m, n]; sets the twin and the trace.
template <class ValueOf>
void add_second_computation(Problem& problem, const KernelCase& c, std::string name,
                            const ValueOf& value) {
  problem.twins.push_back({std::move(name), [c, value] {
                             using Value = decltype(value(0, 0, Recorder{}));
                             std::vector<Value> out;
                             for (std::size_t i = 0; i < c.shape.m * c.shape.n; ++i) {
                               out.push_back(value(i / c.shape.n, i % c.shape.n, Recorder{}));
                             }
                             return out_of(c, std::span<const Value>(out));
                           }});
  problem.trace = [c, value](std::size_t, std::size_t element) {
    std::vector<Step> steps;
    value(element / c.shape.n, element % c.shape.n, Recorder{&steps});
    return steps;
  };
}

/// The codes of an integer matrix as they are stored: signed, or the bits of a uint8.
Array codes_of(std::string name, const QuantizedMatrix& matrix);
/// codes, scales and zeros of a matrix, named "a_codes", ...
Arrays arrays_of(const std::string& prefix, const QuantizedMatrix& matrix);

struct IntegerOperands {
  QuantizedMatrix a, w;
};
/// The operands of integer_gemm and of every other formulation of it.
IntegerOperands integer_operands(const KernelCase& c);

/// The code of a value in a float format of at most 16 bits, without a scale: to nearest, ties to
/// even, as the format's class rounds.
std::uint16_t encode_element(Format format, float value);
/// The value of an e8m0 or ue4m3 code.
float decode_scale(Format format, std::uint8_t code);

// gemm_problems.cpp
Problem integer_gemm(const KernelCase& c);
Problem fp32_gemm(const KernelCase& c);
Problem fp16_gemm(const KernelCase& c);
// codec_problems.cpp
Problem integer_quantiser(const KernelCase& c);
Problem code_packing(const KernelCase& c);
// formulation_problems.cpp
Problem shift_add_gemm(const KernelCase& c);
Problem lut_gemm(const KernelCase& c);
Problem bit_plane_product(const KernelCase& c);
Problem tender_product(const KernelCase& c);
// grid_problems.cpp
Problem element_grid_gemm(const KernelCase& c);
Problem iq4_table_gemm(const KernelCase& c);
Problem ovp_pair_gemm(const KernelCase& c);
// float_problems.cpp
Problem block_scaled_product(const KernelCase& c);
Problem unit_product(const KernelCase& c);
Problem figna_product(const KernelCase& c);
Problem bitmod_product(const KernelCase& c);
Problem dequantising_gemv(const KernelCase& c);
// decode_problems.cpp
Problem table_product(const KernelCase& c);
Problem dense_sparse_product(const KernelCase& c);
Problem dense_sparse_table_product(const KernelCase& c);
Problem any_precision_product(const KernelCase& c);
Problem folded_gemv(const KernelCase& c);
Problem channel_score_product(const KernelCase& c);
Problem folded_channel_score_product(const KernelCase& c);
// integer_dot_problems.cpp
Problem log_product(const KernelCase& c);
Problem fixed_point_product(const KernelCase& c);
Problem fpma_product(const KernelCase& c);
// transformer_problems.cpp
Problem convolution(const KernelCase& c);
Problem attention(const KernelCase& c);
Problem hadamard(const KernelCase& c);
Problem selection(const KernelCase& c);
Problem codebook_search(const KernelCase& c);

}  // namespace systole::quant::golden
