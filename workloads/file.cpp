#include "workloads/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <system_error>
#include <utility>

#include "sim/core/error.hpp"
#include "workloads/text.hpp"

namespace systole::workloads {

static_assert(std::endian::native == std::endian::little,
              "the file formats here are little-endian");

namespace {

std::string system_message(int error) { return std::generic_category().message(error); }

/// Closes a file descriptor at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int value() const { return value_; }

 private:
  int value_;
};

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  std::string result = "'";
  for (const char c : text.substr(0, kLongest)) {
    if (c >= 0x20 && c < 0x7f) {
      result += c;
    } else {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return result + (text.size() > kLongest ? "...'" : "'");
}

FileBytes::FileBytes(std::vector<std::byte> bytes) : owned_(std::move(bytes)) {}

FileBytes::FileBytes(FileBytes&& other) noexcept
    : owned_(std::move(other.owned_)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      length_(std::exchange(other.length_, 0)) {}

FileBytes& FileBytes::operator=(FileBytes&& other) noexcept {
  std::swap(owned_, other.owned_);
  std::swap(mapping_, other.mapping_);
  std::swap(length_, other.length_);
  return *this;
}

FileBytes::~FileBytes() {
  if (mapping_ != nullptr) ::munmap(mapping_, length_);
}

FileBytes FileBytes::map(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.value() < 0) {
    throw ConfigError(fmt::format("{}: cannot be opened: {}", path, system_message(errno)));
  }
  struct stat status {};
  if (::fstat(file.value(), &status) != 0) {
    throw ConfigError(fmt::format("{}: cannot be read: {}", path, system_message(errno)));
  }
  if (!S_ISREG(status.st_mode)) {
    throw ConfigError(fmt::format("{}: is {}, expected a file", path,
                                  S_ISDIR(status.st_mode) ? "a directory" : "not a regular file"));
  }
  FileBytes result;
  result.length_ = static_cast<std::size_t>(status.st_size);
  if (result.length_ == 0) return result;  // nothing to map; mmap refuses length 0
  void* address = ::mmap(nullptr, result.length_, PROT_READ, MAP_PRIVATE, file.value(), 0);
  if (address == MAP_FAILED) {
    throw ConfigError(fmt::format("{}: cannot be read: {}", path, system_message(errno)));
  }
  result.mapping_ = address;
  return result;
}

std::span<const std::byte> FileBytes::bytes() const {
  if (mapping_ != nullptr) return {static_cast<const std::byte*>(mapping_), length_};
  return owned_;
}

std::string_view FileBytes::text() const {
  const std::span<const std::byte> all = bytes();
  return {reinterpret_cast<const char*>(all.data()), all.size()};
}

std::span<const std::byte> ByteReader::take(std::uint64_t count, std::string_view what) {
  if (count > left()) {
    fail(fmt::format("{} needs {} bytes, {} are left: the file is truncated or damaged", what,
                     count, left()));
  }
  const std::span<const std::byte> result =
      bytes_.subspan(static_cast<std::size_t>(position_), static_cast<std::size_t>(count));
  position_ += count;
  return result;
}

std::vector<float> ByteReader::floats(std::uint64_t count, std::string_view what) {
  if (count > left() / sizeof(float)) {
    fail(fmt::format("{} needs {} floats, {} bytes are left: the file is truncated or damaged",
                     what, count, left()));
  }
  const std::span<const std::byte> data = take(count * sizeof(float), what);
  std::vector<float> result(static_cast<std::size_t>(count));
  if (!data.empty()) std::memcpy(result.data(), data.data(), data.size());
  return result;
}

void ByteReader::fail(const std::string& message) const {
  throw ConfigError(fmt::format("{}: at byte {}: {}", file_, position_, message));
}

}  // namespace systole::workloads
