// Input files as bytes, and a reader over them that cannot leave them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace systole::workloads {

/// The bytes of a file, mapped read-only, or bytes held in memory. Moves, does not copy; spans into
/// it survive a move.
class FileBytes {
 public:
  /// Errors: ConfigError naming the file and the cause: missing, a directory, not readable.
  static FileBytes map(const std::string& path);
  explicit FileBytes(std::vector<std::byte> bytes);
  FileBytes(FileBytes&& other) noexcept;
  FileBytes& operator=(FileBytes&& other) noexcept;
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes();

  std::span<const std::byte> bytes() const;
  std::string_view text() const;

 private:
  FileBytes() = default;

  std::vector<std::byte> owned_;
  void* mapping_ = nullptr;
  std::size_t length_ = 0;
};

/// Reads little-endian values in sequence. Every read is checked against what is left; `what` says
/// in the message of the ConfigError what was being read.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  template <class T>
  T read(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  /// The next `count` bytes.
  std::span<const std::byte> take(std::uint64_t count, std::string_view what);
  /// `count` floats. `count` is checked before anything is allocated.
  std::vector<float> floats(std::uint64_t count, std::string_view what);

  std::uint64_t position() const { return position_; }
  std::uint64_t left() const { return bytes_.size() - position_; }
  const std::string& file() const { return file_; }
  /// ConfigError "FILE: at byte N: MESSAGE".
  [[noreturn]] void fail(const std::string& message) const;

 private:
  std::span<const std::byte> bytes_;
  std::string file_;
  std::uint64_t position_ = 0;
};

}  // namespace systole::workloads
