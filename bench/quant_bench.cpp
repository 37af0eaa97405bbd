// Host speed of the numeric kernels: the int8 dot peak of this CPU, the packed products as a share
// of it, their scalar definitions, and what surrounds them. CPU time of one thread throughout;
// bench/README.md says how to read it.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/peak.hpp"
#include "quant/elementary.hpp"
#include "quant/kernels/packed_gemm.hpp"
#include "quant/kernels/vector.hpp"

namespace systole::bench {
namespace {

using namespace systole::quant;  // NOLINT: a benchmark of that namespace

std::vector<float> values(std::size_t count, unsigned seed) {
  std::vector<float> x(count);
  std::uint32_t state = seed;
  for (float& v : x) {
    state = state * 1664525u + 1013904223u;  // Numerical Recipes' LCG: any spread of values will do
    v = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f;
  }
  return x;
}

double median(std::vector<double> samples) {
  if (samples.empty()) return 0.0;
  std::ranges::nth_element(samples,
                           samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2));
  return samples[samples.size() / 2];
}

/// Runs `product` (macs multiply-accumulates) and the peak loop in turn, so that both meet the same
/// clock and the same neighbours; reports the medians and their ratio.
template <class Product>
void interleave(benchmark::State& state, Peak peak, double macs, const Product& product) {
  std::vector<double> rates;
  std::vector<double> peaks;
  product();  // warm
  for (auto _ : state) {
    const double start = cpu_seconds();
    product();
    const double seconds = cpu_seconds() - start;
    state.SetIterationTime(seconds);
    rates.push_back(macs / seconds);
    if (is_available(peak)) peaks.push_back(measure(peak));
  }
  state.counters["GMAC/s"] = median(rates) * 1e-9;
  if (peaks.empty()) return;
  state.counters["peak_GMAC/s"] = median(peaks) * 1e-9;
  state.counters["share_of_peak"] = median(rates) / median(peaks);
}

void int8_peak_loop(benchmark::State& state, Peak peak) {
  if (!is_available(peak)) {
    state.SkipWithError("this CPU lacks the instruction");
    return;
  }
  std::vector<double> rates;
  for (auto _ : state) rates.push_back(measure(peak));
  state.counters["GMAC/s"] = median(rates) * 1e-9;
}

QuantSpec weight_spec(Format format, std::uint32_t group) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = group == 0 ? Granularity::channel : Granularity::group;
  spec.group = group;
  spec.scale = Format::fp16;
  return spec;
}

void integer_gemm(benchmark::State& state, GemmShape shape, QuantSpec weight, Path path) {
  if (!is_available(path)) {
    state.SkipWithError("this CPU lacks the instructions");
    return;
  }
  QuantSpec token;
  token.format = Format::int8;
  token.granularity = Granularity::token;
  const QuantizedMatrix a = quantise(values(shape.m * shape.k, 1), shape.m, shape.k, token);
  const PackedWeights w(quantise(values(shape.n * shape.k, 2), shape.n, shape.k, weight), path);
  std::vector<float> out(shape.m * shape.n);
  interleave(state, int8_peak(), static_cast<double>(shape.m * shape.n * shape.k), [&] {
    gemm_dequantise_after(a, w, out);
    benchmark::DoNotOptimize(out.data());
  });
}

void float_gemm(benchmark::State& state, GemmShape shape, Format operands, std::size_t chunk,
                Path path) {
  if (!is_available(path)) {
    state.SkipWithError("this CPU lacks the instructions");
    return;
  }
  const std::vector<float> a = values(shape.m * shape.k, 1);
  const PackedFloatWeights w(values(shape.n * shape.k, 2), shape.n, shape.k, operands, path);
  std::vector<float> out(shape.m * shape.n);
  interleave(state, Peak::fma512, static_cast<double>(shape.m * shape.n * shape.k), [&] {
    if (operands == Format::fp32) {
      gemm_fp32(a, w, shape.m, out);
    } else {
      gemm_fp16(a, w, shape.m, chunk, out);
    }
    benchmark::DoNotOptimize(out.data());
  });
}

void quantise_rate(benchmark::State& state, QuantSpec spec) {
  const std::vector<float> x = values(128 * 4096, 3);
  for (auto _ : state) benchmark::DoNotOptimize(quantise(x, 128, 4096, spec));
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(x.size()));
}

void softmax_rate(benchmark::State& state) {
  const std::vector<float> x = values(2048, 4);
  std::vector<float> y(x.size());
  for (auto _ : state) {
    y = x;
    softmax(y);
    benchmark::DoNotOptimize(y.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(x.size()));
}

std::string name(const char* what, GemmShape s, Path path) {
  return std::string(what) + "/" + std::to_string(s.m) + "x" + std::to_string(s.n) + "x" +
         std::to_string(s.k) + "/" + std::string(name_of(path));
}

benchmark::internal::Benchmark* timed(benchmark::internal::Benchmark* b) {
  return b->UseManualTime()->Unit(benchmark::kMillisecond);
}

const bool kRegistered = [] {
  benchmark::RegisterBenchmark("int8_peak/512", int8_peak_loop, Peak::dot512);
  benchmark::RegisterBenchmark("int8_peak/256", int8_peak_loop, Peak::dot256);
  benchmark::RegisterBenchmark("int8_peak/avx2", int8_peak_loop, Peak::madd256);
  benchmark::RegisterBenchmark("fp32_peak/512", int8_peak_loop, Peak::fma512);

  QuantSpec token;
  token.format = Format::int8;
  token.granularity = Granularity::token;
  benchmark::RegisterBenchmark("quantise/int8_token", quantise_rate, token);
  benchmark::RegisterBenchmark("quantise/int4_g128", quantise_rate, weight_spec(Format::int4, 128));
  benchmark::RegisterBenchmark("softmax/2048", softmax_rate);

  for (const GemmShape shape : {GemmShape{1024, 1024, 1024}, {128, 4096, 4096}, {1, 4096, 4096}}) {
    for (const Path path : {Path::avx512_vnni, Path::avx2}) {
      timed(benchmark::RegisterBenchmark(name("w8a8", shape, path).c_str(), integer_gemm, shape,
                                         weight_spec(Format::int8, 0), path));
      timed(benchmark::RegisterBenchmark(name("w4a8_g128", shape, path).c_str(), integer_gemm,
                                         shape, weight_spec(Format::int4, 128), path));
      timed(benchmark::RegisterBenchmark(name("w4a8_g32", shape, path).c_str(), integer_gemm, shape,
                                         weight_spec(Format::int4, 32), path));
      timed(benchmark::RegisterBenchmark(name("fp32", shape, path).c_str(), float_gemm, shape,
                                         Format::fp32, std::size_t{1}, path));
      timed(benchmark::RegisterBenchmark(name("fp16", shape, path).c_str(), float_gemm, shape,
                                         Format::fp16, shape.k, path));
      timed(benchmark::RegisterBenchmark(name("fp16_chunk16", shape, path).c_str(), float_gemm,
                                         shape, Format::fp16, std::size_t{16}, path));
    }
  }
  const GemmShape small{128, 128, 1024};
  timed(benchmark::RegisterBenchmark(name("w4a8_g128", small, Path::reference).c_str(),
                                     integer_gemm, small, weight_spec(Format::int4, 128),
                                     Path::reference));
  timed(benchmark::RegisterBenchmark(name("fp32", small, Path::reference).c_str(), float_gemm,
                                     small, Format::fp32, std::size_t{1}, Path::reference));
  return true;
}();

}  // namespace
}  // namespace systole::bench
