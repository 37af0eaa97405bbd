#include "memory/request_source.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <vector>

#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

constexpr std::uint64_t kRequest = 64;
constexpr std::size_t kLongestLine = 256;  ///< beyond it a line is no request
constexpr std::uint64_t kMatrixRow = 8192, kTileRows = 64;

// --- traces ------------------------------------------------------------------------------------

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  constexpr std::string_view kBlank = " \t\r";
  for (std::size_t at = line.find_first_not_of(kBlank); at != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(kBlank, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlank, end);
  }
  return words;
}

std::optional<std::uint64_t> number(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value, hex ? 16 : 10);
  if (text.empty() || read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

std::optional<bool> is_write(std::string_view word, std::string_view read, std::string_view write) {
  if (word == read) return false;
  if (word == write) return true;
  return std::nullopt;
}

class TraceFile final : public RequestSource {
 public:
  TraceFile(std::istream& stream, std::string name, TraceFormat format, std::uint32_t bytes)
      : stream_(stream), name_(std::move(name)), format_(format), bytes_(bytes) {}

  std::optional<DramRequest> next() override {
    while (read_line()) {
      const auto words = words_of(line_);
      if (words.empty() || words[0].front() == '#') continue;
      DramRequest request;
      request.bytes = bytes_;
      const bool understood =
          format_ == TraceFormat::ramulator ? ramulator(words, request) : dramsim3(words, request);
      if (!understood) refuse();
      return request;
    }
    return std::nullopt;
  }

 private:
  /// One line of bounded length, whatever the file holds.
  bool read_line() {
    line_.clear();
    std::streambuf& buffer = *stream_.rdbuf();
    constexpr int kEnd = std::char_traits<char>::eof();
    for (int c = buffer.sbumpc(); c != '\n'; c = buffer.sbumpc()) {
      if (c == kEnd) {
        ++number_;
        return !line_.empty();
      }
      line_.push_back(static_cast<char>(c));
      if (line_.size() > kLongestLine) {
        ++number_;
        refuse();
      }
    }
    ++number_;
    return true;
  }

  bool fits(std::optional<std::uint64_t> address, DramRequest& request) const {
    if (!address || *address > std::numeric_limits<std::uint64_t>::max() - 2 * bytes_) return false;
    request.address = *address;
    return true;
  }

  bool ramulator(const std::vector<std::string_view>& words, DramRequest& request) const {
    if (words.size() != 2) return false;
    if (const auto write = is_write(words[0], "LD", "ST")) {
      request.write = *write;
      return fits(number(words[1]), request);
    }
    const auto write = is_write(words[1], "R", "W");
    request.write = write.value_or(false);
    return write && fits(number(words[0]), request);
  }

  bool dramsim3(const std::vector<std::string_view>& words, DramRequest& request) {
    if (words.size() != 3) return false;
    const auto write = is_write(words[1], "READ", "WRITE");
    const auto clock = number(words[2]);
    if (!write || !clock || *clock < last_clock_ || *clock > kLastClock) return false;
    request.write = *write;
    request.not_before = last_clock_ = *clock;
    return fits(number(words[0]), request);
  }

  [[noreturn]] void refuse() const {
    std::string shown = line_.substr(0, 60);
    std::replace_if(
        shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    if (shown.size() < line_.size()) shown += "...";
    const std::string expected =
        format_ == TraceFormat::ramulator
            ? "'LD ADDRESS', 'ST ADDRESS', 'ADDRESS R' or 'ADDRESS W'"
            : "'ADDRESS READ CLOCK' or 'ADDRESS WRITE CLOCK' with clocks that do not fall (at " +
                  std::to_string(last_clock_) + ")";
    throw ConfigError(name_ + ":" + std::to_string(number_) + ": found '" + shown + "'; expected " +
                      expected);
  }

  static constexpr std::uint64_t kLastClock = std::uint64_t{1} << 48;
  std::istream& stream_;
  std::string name_;
  TraceFormat format_;
  std::uint32_t bytes_;
  std::string line_;
  std::uint64_t number_ = 0, last_clock_ = 0;
};

// --- patterns ----------------------------------------------------------------------------------

/// Chunks of a pattern, handed out in requests.
class Chunks : public RequestSource {
 public:
  explicit Chunks(std::uint64_t chunks) : left_(chunks) {}

  std::optional<DramRequest> next() override {
    if (done_ == bytes_) {
      if (left_ == 0) return std::nullopt;
      --left_;
      chunk(base_, bytes_, write_);
      done_ = 0;
    }
    const std::uint64_t bytes = std::min(kRequest, bytes_ - done_);
    const DramRequest request{base_ + done_, static_cast<std::uint32_t>(bytes), write_, 0};
    done_ += bytes;
    return request;
  }

 protected:
  std::uint64_t chunks() const { return left_; }
  /// Between two chunks.
  void leave_out(std::uint64_t chunks) { left_ -= chunks; }
  virtual void chunk(std::uint64_t& address, std::uint64_t& bytes, bool& write) = 0;

 private:
  std::uint64_t left_, base_ = 0, bytes_ = 0, done_ = 0;
  bool write_ = false;
};

std::uint64_t whole(std::uint64_t bytes, std::uint64_t part) { return (bytes + part - 1) / part; }

class Sequential final : public Chunks {
 public:
  explicit Sequential(const PatternConfig& c) : Chunks(whole(c.bytes, kRequest)), write_(c.write) {}

  std::optional<Repetition> repeats() const override { return Repetition{1, kRequest, chunks()}; }
  void skip(std::uint64_t requests) override {
    leave_out(requests);
    at_ += requests * kRequest;
  }

 private:
  void chunk(std::uint64_t& address, std::uint64_t& bytes, bool& write) override {
    address = at_;
    bytes = kRequest;
    write = write_;
    at_ += kRequest;
  }
  std::uint64_t at_ = 0;
  bool write_;
};

class Tiles final : public Chunks {
 public:
  Tiles(const PatternConfig& c, std::uint64_t width)
      : Chunks(whole(c.bytes, width * kTileRows) * kTileRows), width_(width) {}

 private:
  /// Rows of a tile, then the tiles along the matrix row; after 32 of them the next 64 rows.
  void chunk(std::uint64_t& address, std::uint64_t& bytes, bool&) override {
    address = (block_ * kTileRows + row_) * kMatrixRow + tile_ * width_;
    bytes = width_;
    if (++row_ < kTileRows) return;
    row_ = 0;
    if (++tile_ < tiles_in_block()) return;
    tile_ = 0;
    ++block_;
  }
  std::uint64_t tiles_in_block() const { return kMatrixRow / width_; }
  std::uint64_t width_, block_ = 0, tile_ = 0, row_ = 0;
};

class Gather final : public Chunks {
 public:
  Gather(const PatternConfig& c, std::uint64_t width)
      : Chunks(whole(c.bytes, width)), width_(width), last_(c.span / width - 1), random_(c.seed) {}

 private:
  void chunk(std::uint64_t& address, std::uint64_t& bytes, bool&) override {
    address =
        static_cast<std::uint64_t>(random_.uniform(0, static_cast<std::int64_t>(last_))) * width_;
    bytes = width_;
  }
  std::uint64_t width_, last_;
  Random random_;
};

class Mixed final : public Chunks {
 public:
  Mixed(const PatternConfig& c, std::uint64_t width)
      : Chunks(whole(c.bytes, 3 * width) * 3), width_(width), pitch_(c.stream_pitch) {}

 private:
  void chunk(std::uint64_t& address, std::uint64_t& bytes, bool& write) override {
    address = stream_ * pitch_ + at_;
    bytes = width_;
    write = stream_ == 2;
    stream_ = (stream_ + 1) % 3;
    if (stream_ == 0) at_ += width_;
  }
  std::uint64_t width_, pitch_, stream_ = 0, at_ = 0;
};

std::uint64_t default_chunk(Pattern pattern) {
  switch (pattern) {
    case Pattern::seq:
    case Pattern::random:
      return 64;
    case Pattern::tile:
      return 256;
    case Pattern::mixed:
      return 4096;
    case Pattern::kv_gather:
      return 1024;
  }
  return 64;
}

}  // namespace

std::unique_ptr<RequestSource> read_trace(std::istream& stream, const std::string& name,
                                          TraceFormat format, std::uint32_t request_bytes) {
  return std::make_unique<TraceFile>(stream, name, format, request_bytes);
}

std::unique_ptr<RequestSource> make_pattern(const PatternConfig& c) {
  const std::uint64_t chunk = c.chunk == 0 ? default_chunk(c.pattern) : c.chunk;
  const std::uint64_t most = c.pattern == Pattern::tile ? kMatrixRow : c.span;
  if (chunk % kRequest != 0 || chunk > most) {
    throw ConfigError("pattern: found a chunk of " + std::to_string(chunk) +
                      " bytes; expected a multiple of 64, at most " + std::to_string(most));
  }
  if (c.pattern == Pattern::tile && kMatrixRow % chunk != 0) {
    throw ConfigError("pattern: found tiles of " + std::to_string(chunk) +
                      " bytes; expected a part of a matrix row of 8192");
  }
  switch (c.pattern) {
    case Pattern::seq:
      return std::make_unique<Sequential>(c);
    case Pattern::tile:
      return std::make_unique<Tiles>(c, chunk);
    case Pattern::mixed:
      return std::make_unique<Mixed>(c, chunk);
    case Pattern::random:
    case Pattern::kv_gather:
      return std::make_unique<Gather>(c, chunk);
  }
  return nullptr;
}

}  // namespace systole::memory
