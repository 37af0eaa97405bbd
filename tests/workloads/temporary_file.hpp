// A file that is there for the length of a test.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

namespace systole::workloads::testing_tools {

class TemporaryFile {
 public:
  /// `suffix` with its dot.
  explicit TemporaryFile(std::span<const std::byte> bytes, const std::string& suffix = ".bin") {
    static int count = 0;
    path_ = (std::filesystem::temp_directory_path() /
             ("systole-workloads-" + std::to_string(::getpid()) + "-" + std::to_string(count++) +
              suffix))
                .string();
    std::ofstream file(path_, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  explicit TemporaryFile(std::string_view text, const std::string& suffix = ".txt")
      : TemporaryFile(std::as_bytes(std::span(text)), suffix) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace systole::workloads::testing_tools
