#include "bench/kernels.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "bench/peak.hpp"
#include "bench/peers.hpp"
#include "quant/kernels/packed_gemm.hpp"
#include "quant/kernels/parallel.hpp"

namespace systole::bench {
namespace {

using namespace systole::quant;  // NOLINT: a benchmark of that namespace

class Values {
 public:
  explicit Values(std::uint32_t seed) : state_(seed) {}
  std::uint32_t next() {
    state_ = state_ * 1664525u + 1013904223u;  // Numerical Recipes' LCG: any spread will do
    return state_ >> 8;
  }
  std::vector<float> floats(std::size_t count) {
    std::vector<float> x(count);
    for (float& v : x) v = (static_cast<float>(next()) - 0x1p23f) * 0x1p-23f;
    return x;
  }

 private:
  std::uint32_t state_;
};

double median(std::vector<double> samples) {
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::ranges::nth_element(samples, middle);
  return *middle;
}

/// One thread: its CPU time. Several: wall time, which counts waking and waiting for each other.
/// Then first a busy pause, since the threads of whoever ran last still spin (OpenBLAS's for 20 ms)
/// and would take a core, and then calls until the system has given each thread a core of its own.
double seconds_of(unsigned threads, const std::function<void()>& work) {
  const auto seconds = threads == 1 ? cpu_seconds : wall_seconds;
  if (threads != 1) {
    const double begin = seconds();
    while (seconds() < begin + 20e-3) continue;
    while (seconds() < begin + 30e-3) work();
  }
  const double start = seconds();
  work();
  return seconds() - start;
}

/// Multiply-accumulates a second on this many threads at once, each counted in its CPU time: the
/// caller's rate times their number.
double peak_rate(unsigned threads, Peak peak) {
  double mine = 0.0;
  parallel_parts(threads, [&](std::size_t part) {
    const double rate = bench::measure(peak);
    if (part == 0) mine = rate;
  });
  return mine * threads;
}

/// Bytes a second, each thread reading a part of its own: of the same bytes the second reader would
/// find what the first left in the cache.
double stream_rate(unsigned threads, std::span<const std::uint8_t> stream) {
  const std::size_t share = stream.size() / threads;
  return static_cast<double>(share * threads) / seconds_of(threads, [&] {
           parallel_parts(threads, [&](std::size_t part) {
             read_bandwidth(stream.subspan(part * share, share));
           });
         });
}

struct Case {
  std::string kernel;
  GemmShape shape;
  std::function<void(unsigned threads)> run;
  double weight_bytes = 0.0;  ///< other than 0: memory is the bound
  bool floats = false;
  std::function<PeerProduct(unsigned threads)> peer;
};

class Table {
 public:
  explicit Table(const KernelBenchOptions& options) : options_(options) {}

  void measure(const Case& c) {
    for (const unsigned threads : thread_counts()) add(c, threads);
  }
  std::vector<KernelRow> take() { return std::move(rows_); }
  bool quick() const { return options_.quick; }

 private:
  std::vector<unsigned> thread_counts() const {
    return options_.threads > 1 ? std::vector<unsigned>{1, options_.threads}
                                : std::vector<unsigned>{1};
  }

  double bound(const Case& c, unsigned threads, double operations) {
    if (c.weight_bytes > 0) {
      return operations * stream_rate(threads, stream()) / c.weight_bytes;
    }
    const Peak peak = c.floats ? fp32_peak() : int8_peak();
    if (!is_available(peak)) return 0.0;
    return 2.0 * peak_rate(threads, peak);
  }

  /// Larger than any cache, made when first needed.
  std::span<const std::uint8_t> stream() {
    if (stream_.empty()) stream_.assign(std::size_t{128} << 20, 1);
    return stream_;
  }

  void add(const Case& c, unsigned threads) {
    const double operations = 2.0 * static_cast<double>(c.shape.m) *
                              static_cast<double>(c.shape.n) * static_cast<double>(c.shape.k);
    const PeerProduct peer = c.peer ? c.peer(threads) : PeerProduct{"-", {}};
    std::vector<double> own, bounds, peers;
    const int rounds = options_.quick ? 5 : 15;
    c.run(threads);  // warm
    if (peer.run) peer.run();
    if (c.weight_bytes > 0) stream();
    for (int round = 0; round < rounds; ++round) {
      bounds.push_back(bound(c, threads, operations));
      own.push_back(operations / seconds_of(threads, [&] { c.run(threads); }));
      if (peer.run) peers.push_back(operations / seconds_of(threads, peer.run));
    }
    KernelRow row{c.kernel,
                  c.shape.m,
                  c.shape.n,
                  c.shape.k,
                  threads,
                  median(own) * 1e-9,
                  median(bounds) * 1e-9,
                  c.weight_bytes > 0 ? "memory" : (c.floats ? "fp32 fma" : "int8 dot"),
                  peer.name,
                  peers.empty() ? std::nullopt : std::optional(median(peers) * 1e-9)};
    if (options_.each) options_.each(row);
    rows_.push_back(std::move(row));
  }

  const KernelBenchOptions& options_;
  std::vector<KernelRow> rows_;
  std::vector<std::uint8_t> stream_;
};

QuantSpec weight_spec(Format format, std::uint32_t group, Affine affine = Affine::symmetric) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = group == 0 ? Granularity::channel : Granularity::group;
  spec.group = group;
  spec.affine = affine;
  spec.scale = Format::fp16;
  return spec;
}

QuantSpec token_spec() {
  QuantSpec spec;
  spec.format = Format::int8;
  spec.granularity = Granularity::token;
  return spec;
}

std::shared_ptr<PackedWeights> packed(GemmShape s, const QuantSpec& spec) {
  return std::make_shared<PackedWeights>(quantise(Values(2).floats(s.n * s.k), s.n, s.k, spec));
}

Case integer_case(std::string name, GemmShape s, const QuantSpec& spec) {
  auto a = std::make_shared<QuantizedMatrix>(
      quantise(Values(1).floats(s.m * s.k), s.m, s.k, token_spec()));
  auto w = packed(s, spec);
  auto out = std::make_shared<std::vector<float>>(s.m * s.n);
  Case c;
  c.kernel = std::move(name);
  c.shape = s;
  c.run = [a, w, out](unsigned threads) { gemm_dequantise_after(*a, *w, *out, threads); };
  if (s.m == 1) c.weight_bytes = static_cast<double>(w->stored_bytes());
  c.peer = [s](unsigned threads) { return onednn_u8s8s32(s.m, s.n, s.k, threads); };
  return c;
}

/// [rows, cols] of elements drawn by `draw`, one scale a row or a group.
template <class Draw>
GridMatrix grid(std::size_t rows, std::size_t cols, std::size_t group, float unit,
                const Draw& draw) {
  GridMatrix m{rows, cols, group, cols / group, unit, {}, {}};
  Values values(3);
  while (m.integers.size() < rows * cols) draw(values, m.integers);
  m.scales.assign(rows * m.groups, 0.01f);
  return m;
}

/// The formats that are looked up a panel at a time; the peer is our own W8A8 of the same shape.
template <class Draw>
Case grid_case(std::string name, GemmShape s, std::size_t group, float unit, const Case& w8a8,
               bool four_bit_activations, const Draw& draw) {
  const auto eight_bits = [](Values& v, std::vector<std::int8_t>& to) {
    to.push_back(static_cast<std::int8_t>(static_cast<int>(v.next() % 255u) - 127));
  };
  auto a =
      std::make_shared<GridMatrix>(four_bit_activations ? grid(s.m, s.k, s.k, 1.0f, draw)
                                                        : grid(s.m, s.k, s.k, 1.0f, eight_bits));
  auto w = std::make_shared<PackedWeights>(grid(s.n, s.k, group, unit, draw));
  auto out = std::make_shared<std::vector<float>>(s.m * s.n);
  Case c;
  c.kernel = std::move(name);
  c.shape = s;
  c.run = [a, w, out](unsigned threads) { gemm_grid(*a, *w, *out, threads); };
  c.peer = [run = w8a8.run](unsigned threads) {
    return PeerProduct{"own W8A8", [run, threads] { run(threads); }};
  };
  return c;
}

template <std::size_t N>
auto any_of(const std::array<std::int8_t, N>& elements) {
  return
      [elements](Values& v, std::vector<std::int8_t>& to) { to.push_back(elements[v.next() % N]); };
}

/// Outlier-victim pairs: int4 normals of -7..7, and one pair in 32 an abfloat outlier (E2M1 with
/// its bias, +-12..96) beside a 0.
void pair_of(Values& v, std::vector<std::int8_t>& to) {
  constexpr std::array<int, 7> kOutliers = {12, 16, 24, 32, 48, 64, 96};
  const auto normal = [&] {
    return static_cast<std::int8_t>(static_cast<int>(v.next() % 15u) - 7);
  };
  if (v.next() % 32u != 0) {
    to.push_back(normal());
    to.push_back(normal());
    return;
  }
  const int magnitude = kOutliers[v.next() % kOutliers.size()];
  const auto outlier = static_cast<std::int8_t>(v.next() % 2u == 0 ? magnitude : -magnitude);
  const bool first = v.next() % 2u == 0;
  to.push_back(first ? outlier : std::int8_t{0});
  to.push_back(first ? std::int8_t{0} : outlier);
}

void measure_grids(Table& table, GemmShape s, const Case& w8a8) {
  // Elements twice their value: E2M1 is 0, .5, 1, 1.5, 2, 3, 4, 6.
  constexpr std::array<std::int8_t, 15> kFp4 = {0,  1,  2,  3,  4,  6,  8,  12,
                                                -1, -2, -3, -4, -6, -8, -12};
  // IQ4_NL's table, as ggml's format has it.
  constexpr std::array<std::int8_t, 16> kIq4 = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                1,    13,   25,  38,  53,  69,  89,  113};
  constexpr std::array<std::int8_t, 7> kThreeBits = {-3, -2, -1, 0, 1, 2, 3};
  table.measure(grid_case("ovp_w4a4", s, s.k, 1.0f, w8a8, true, pair_of));
  table.measure(grid_case("codebook_iq4_a8_g32", s, 32, 1.0f, w8a8, false, any_of(kIq4)));
  table.measure(grid_case("fp4_a8_g32", s, 32, 0.5f, w8a8, false, any_of(kFp4)));
  table.measure(grid_case("w3a8_g128", s, 128, 1.0f, w8a8, false, any_of(kThreeBits)));
}

void measure_integers(Table& table) {
  const GemmShape square{1024, 1024, 1024};
  const Case w8a8 = integer_case("w8a8", square, weight_spec(Format::int8, 0));
  table.measure(w8a8);
  table.measure(integer_case("w4a8_g128", square, weight_spec(Format::int4, 128)));
  table.measure(integer_case("w4a8_g32", square, weight_spec(Format::int4, 32)));
  table.measure(
      integer_case("w8a8_zero", square, weight_spec(Format::int8, 0, Affine::integer_zero)));
  table.measure(
      integer_case("w4a8_g128_min", square, weight_spec(Format::int4, 128, Affine::float_min)));
  table.measure(integer_case("w6a8_g128", square, weight_spec(Format::int6, 128)));
  measure_grids(table, square, w8a8);
  if (table.quick()) return;
  const GemmShape layer{128, 4096, 4096};
  table.measure(integer_case("w8a8", layer, weight_spec(Format::int8, 0)));
  table.measure(integer_case("w4a8_g128", layer, weight_spec(Format::int4, 128)));
}

void measure_floats(Table& table) {
  const GemmShape s{1024, 1024, 1024};
  for (const Format operands : {Format::fp32, Format::fp16}) {
    auto a = std::make_shared<std::vector<float>>(Values(1).floats(s.m * s.k));
    auto w = std::make_shared<PackedFloatWeights>(Values(2).floats(s.n * s.k), s.n, s.k, operands);
    auto out = std::make_shared<std::vector<float>>(s.m * s.n);
    Case c;
    c.kernel = operands == Format::fp32 ? "fp32" : "fp16";
    c.shape = s;
    c.floats = true;
    c.run = [a, w, out, s, operands](unsigned threads) {
      if (operands == Format::fp32) {
        gemm_fp32(*a, *w, s.m, *out, threads);
      } else {
        gemm_fp16(*a, *w, s.m, s.k, *out, threads);
      }
    };
    c.peer = [s](unsigned threads) { return openblas_sgemm(s.m, s.n, s.k, threads); };
    table.measure(c);
  }
}

}  // namespace

std::vector<KernelRow> run_kernel_bench(const KernelBenchOptions& options) {
  Table table(options);
  measure_integers(table);
  const GemmShape decode{1, 8192, table.quick() ? std::size_t{16384} : std::size_t{32768}};
  table.measure(integer_case("gemv_w4a8_g128", decode, weight_spec(Format::int4, 128)));
  table.measure(integer_case("gemv_w6a8_g128", decode, weight_spec(Format::int6, 128)));
  measure_floats(table);
  return table.take();
}

}  // namespace systole::bench
