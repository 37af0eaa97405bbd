// Register-only instruction loops. Assembly, so that no compiler can hoist, spill or fold them.
#include "bench/peak.hpp"

#include <ctime>

#include "quant/kernels/path.hpp"

namespace systole::bench {

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double wall_seconds() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

bool is_available(Peak peak) {
  return quant::is_available(
      peak == Peak::madd256 || peak == Peak::fma256 ? quant::Path::avx2 : quant::Path::avx512_vnni);
}

Peak fp32_peak() { return is_available(Peak::fma512) ? Peak::fma512 : Peak::fma256; }

Peak int8_peak() { return is_available(Peak::dot512) ? Peak::dot512 : Peak::madd256; }

#if defined(__x86_64__)

namespace {

// Registers 2-13 accumulate, 14 and 15 are the operands (their values do not matter to the speed).
#define SYSTOLE_TWELVE(X) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#define SYSTOLE_DOT512(r) "vpdpbusd %%zmm14, %%zmm15, %%zmm" #r "\n\t"
#define SYSTOLE_DOT256(r) "vpdpbusd %%ymm14, %%ymm15, %%ymm" #r "\n\t"
#define SYSTOLE_FMA512(r) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" #r "\n\t"
#define SYSTOLE_FMA256(r) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #r "\n\t"
#define SYSTOLE_MADD256(r) \
  "vpmaddwd %%ymm14, %%ymm15, %%ymm0\n\tvpaddd %%ymm0, %%ymm" #r ", %%ymm" #r "\n\t"
#define SYSTOLE_CLOBBERS                                                                    \
  "xmm0", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
      "xmm12", "xmm13", "xmm14", "xmm15"
#define SYSTOLE_LOOP(X)                                                                   \
  asm volatile("vpxor %%xmm14, %%xmm14, %%xmm14\n\tvpxor %%xmm15, %%xmm15, %%xmm15" ::    \
                   : SYSTOLE_CLOBBERS);                                                   \
  for (long i = 0; i < kRounds; ++i) asm volatile(SYSTOLE_TWELVE(X)::: SYSTOLE_CLOBBERS); \
  asm volatile("vzeroupper" ::: SYSTOLE_CLOBBERS)

constexpr long kRounds = 300'000;

}  // namespace

double measure(Peak peak) {
  double macs = 0.0;  // an instruction
  const double start = cpu_seconds();
  switch (peak) {
    case Peak::dot512:
      SYSTOLE_LOOP(SYSTOLE_DOT512);
      macs = 64.0;
      break;
    case Peak::dot256:
      SYSTOLE_LOOP(SYSTOLE_DOT256);
      macs = 32.0;
      break;
    case Peak::madd256:
      SYSTOLE_LOOP(SYSTOLE_MADD256);
      macs = 16.0;
      break;
    case Peak::fma512:
      SYSTOLE_LOOP(SYSTOLE_FMA512);
      macs = 16.0;
      break;
    case Peak::fma256:
      SYSTOLE_LOOP(SYSTOLE_FMA256);
      macs = 8.0;
      break;
  }
  return macs * 12.0 * static_cast<double>(kRounds) / (cpu_seconds() - start);
}

double read_bandwidth(std::span<const std::uint8_t> stream) {
  // Two streams, one a half, prefetched as the streaming kernel does it: one stream alone, or the
  // hardware's prefetching alone, leaves bandwidth unused.
  const std::size_t half = stream.size() / 512 * 256;
  const std::uint8_t* at = stream.data();
  const std::uint8_t* const end = at + half;
  const bool wide = is_available(Peak::fma512);
  const double start = cpu_seconds();
  for (; at != end; at += 128) {
    if (wide) {
      asm volatile(
          "prefetcht0 1024(%0)\n\tprefetcht0 1088(%0)\n\t"
          "prefetcht0 1024(%0, %1)\n\tprefetcht0 1088(%0, %1)\n\t"
          "vmovdqu64 (%0), %%zmm0\n\tvmovdqu64 64(%0), %%zmm1\n\t"
          "vmovdqu64 (%0, %1), %%zmm2\n\tvmovdqu64 64(%0, %1), %%zmm3" ::"r"(at),
          "r"(half)
          : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
    } else {
      for (int part = 0; part < 128; part += 32) {
        asm volatile(
            "movups (%0), %%xmm0\n\tmovups 16(%0), %%xmm1\n\t"
            "movups (%0, %1), %%xmm2\n\tmovups 16(%0, %1), %%xmm3" ::"r"(at + part),
            "r"(half)
            : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
      }
    }
  }
  return static_cast<double>(2 * half) / (cpu_seconds() - start);
}

#else

double measure(Peak) { return 0.0; }

double read_bandwidth(std::span<const std::uint8_t> stream) {
  const double start = cpu_seconds();
  std::uint64_t sum = 0;
  for (const std::uint8_t byte : stream) sum += byte;
  volatile std::uint64_t keep = sum;
  (void)keep;
  return static_cast<double>(stream.size()) / (cpu_seconds() - start);
}

#endif

}  // namespace systole::bench
