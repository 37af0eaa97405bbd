// The AVX-512 tiles where there is VBMI too: weights in 6 bits, unpacked by three instructions a
// vector. Called only after a run-time check of the CPU.
#include "quant/kernels/tiles.hpp"

#if defined(__x86_64__)

#define SYSTOLE_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,prfchw")))
#include "quant/kernels/tiles_avx512.hpp"

namespace systole::quant::detail {
namespace {

/// Where the bytes of eight codes (six) go, a quadword each; its last two bytes are not looked at.
struct Spread {
  alignas(64) std::int8_t byte[64] = {};
  constexpr Spread() {
    for (std::size_t i = 0; i < sizeof byte; ++i) {
      byte[i] = static_cast<std::int8_t>(i / 8 * 6 + (i % 8 < 6 ? i % 8 : 0));
    }
  }
};
constexpr Spread kSpread;

struct DecodeSextets {
  static constexpr std::size_t kBytes = 96;
  __m512i table;
  __m512i spread;
  __m512i shifts;  // of the eight codes of a quadword

  SYSTOLE_TARGET explicit DecodeSextets(const Coding& coding)
      : table(_mm512_add_epi8(_mm512_loadu_si512(coding.wide),
                              _mm512_set1_epi8(static_cast<char>(coding.offset)))),
        spread(_mm512_load_si512(kSpread.byte)),
        shifts(_mm512_set1_epi64(0x2A241E18120C0600)) {}

  /// 64 codes: the look-up takes the lowest 6 bits of each byte and no others.
  SYSTOLE_TARGET __m512i vector(const std::uint8_t* stored) const {
    const __m512i bytes = _mm512_maskz_loadu_epi8(0x0000FFFFFFFFFFFF, stored);
    const __m512i eights = _mm512_maskz_permutexvar_epi8(~__mmask64{0}, spread, bytes);
    const __m512i codes = _mm512_maskz_multishift_epi64_epi8(~__mmask64{0}, shifts, eights);
    return _mm512_maskz_permutexvar_epi8(~__mmask64{0}, codes, table);
  }

  SYSTOLE_TARGET void operator()(const std::uint8_t* stored, __m512i& first,
                                 __m512i& second) const {
    first = vector(stored);
    second = vector(stored + 48);
  }
};

SYSTOLE_TARGET void unpack_sextets(const std::uint8_t* stored, std::size_t steps,
                                   const Coding& coding, std::uint8_t* out) {
  const DecodeSextets decode(coding);
  for (std::size_t s = 0; s < steps; ++s, stored += DecodeSextets::kBytes, out += kStepBytes) {
    __m512i first;
    __m512i second;
    decode(stored, first, second);
    _mm512_storeu_si512(out, first);
    _mm512_storeu_si512(out + 64, second);
  }
}

template <std::size_t R>
void integer_tile(const IntegerTile& t) {
  const auto run = avx512_integer_tiles().run[R];
  if (!t.unpack || t.coding->kind != Coding::Kind::sextets) return run(t);
  unpack_sextets(t.stored, t.segment.steps * t.segment.groups, *t.coding,
                 static_cast<std::uint8_t*>(t.unpacked));
  IntegerTile unpacked = t;
  unpacked.unpack = false;
  run(unpacked);
}

void run_row(const RowTile& t) {
  t.coding->kind == Coding::Kind::sextets ? row_tile<DecodeSextets>(t)
                                          : avx512_integer_tiles().run_row(t);
}

}  // namespace

const IntegerTiles& avx512_vbmi_integer_tiles() {
  static const IntegerTiles tiles = [] {
    IntegerTiles t = avx512_integer_tiles();
    const IntegerTileFunction run[] = {integer_tile<1>, integer_tile<2>, integer_tile<3>,
                                       integer_tile<4>, integer_tile<5>, integer_tile<6>};
    for (std::size_t r = 0; r < t.rows; ++r) t.run[r + 1] = run[r];
    t.run_row = run_row;
    t.sextets = true;
    return t;
  }();
  return tiles;
}

}  // namespace systole::quant::detail

#endif
