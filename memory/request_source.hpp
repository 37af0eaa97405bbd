// Streams of memory requests: traces of the established DRAM simulators, and the patterns of the
// reference measurements. Read piece by piece; a trace of any length takes constant memory.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sim/core/random.hpp"

namespace systole::memory {

struct DramRequest {
  std::uint64_t address = 0;
  std::uint32_t bytes = 64;
  bool write = false;
  std::uint64_t not_before = 0;  ///< memory clock from which it is offered
  friend bool operator==(const DramRequest&, const DramRequest&) = default;
};

/// A stream that goes on as it is, moved by `bytes` every `requests` requests.
struct Repetition {
  std::uint64_t requests = 0, bytes = 0;
  std::uint64_t left = 0;  ///< requests for which that holds
};

class RequestSource {
 public:
  virtual ~RequestSource() = default;
  /// How the stream goes on from here, if that repeats itself.
  virtual std::optional<Repetition> repeats() const { return std::nullopt; }
  /// Leaves out `requests`, a multiple of the repetition's and at most what is left of it.
  virtual void skip(std::uint64_t /*requests*/) {}
  /// The next request, or none at the end. Errors: ConfigError for a line that is no request.
  virtual std::optional<DramRequest> next() = 0;
};

/// ramulator: `LD ADDRESS`, `ST ADDRESS` or `ADDRESS R`, `ADDRESS W`, a line each.
/// dramsim3: `ADDRESS READ CLOCK` or `ADDRESS WRITE CLOCK`; clocks do not fall.
/// Addresses are decimal or 0x-hexadecimal; lines that are empty or begin with # are skipped.
enum class TraceFormat : std::uint8_t { ramulator, dramsim3 };
inline constexpr std::array<std::string_view, 2> kTraceFormatNames = {"ramulator", "dramsim3"};

/// A request of `request_bytes` a line. `name` stands in messages: "NAME:LINE: found ...; expected
/// ...". The stream must outlive the source.
std::unique_ptr<RequestSource> read_trace(std::istream& stream, const std::string& name,
                                          TraceFormat format, std::uint32_t request_bytes = 64);

/// Patterns, in requests of 64 bytes; `chunk` 0 takes the default.
///   seq        reads one after the other
///   tile       a row-major matrix of 8 KiB rows, in tiles of 64 rows x `chunk` (256) bytes
///   random     reads of `chunk` (64) bytes anywhere
///   mixed      two streams of reads and one of writes, `chunk` (4096) bytes in turn
///   kv-gather  as random, in chunks of 1 KiB: pages of a KV cache
enum class Pattern : std::uint8_t { seq, tile, random, mixed, kv_gather };
inline constexpr std::array<std::string_view, 5> kPatternNames = {"seq", "tile", "random", "mixed",
                                                                  "kv-gather"};

struct PatternConfig {
  Pattern pattern = Pattern::seq;
  std::uint64_t bytes = 0;                    ///< in all; rounded up to whole chunks or tiles
  std::uint64_t chunk = 0;                    ///< a multiple of 64
  std::uint64_t span = 512ull << 20;          ///< random, kv-gather: of the addresses
  std::uint64_t stream_pitch = 128ull << 20;  ///< mixed: from stream to stream
  bool write = false;                         ///< seq: writes instead
  std::uint64_t seed = 1;
};

/// Errors: ConfigError for a chunk that is no multiple of 64 bytes or larger than a matrix row or
/// the span.
std::unique_ptr<RequestSource> make_pattern(const PatternConfig& config);

}  // namespace systole::memory
