// Runs the systole binary as a user would and collects what it said.
#pragma once

#include <filesystem>
#include <string>

namespace systole::tests {

struct Outcome {
  int exit_code = 0;  ///< 128 + signal when it was killed
  std::string output;
  std::string errors;
};

/// Runs `systole ARGUMENTS` through the shell (arguments are shell text) with CI-like plain
/// streams.
Outcome run_systole(const std::string& arguments);
/// The same from within `folder`.
Outcome run_systole_in(const std::string& folder, const std::string& arguments);

/// Whether `./systole test --full` runs, which installs what its tests need.
bool full_tests();

/// A folder of this test's own, emptied first and removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& content) const;

 private:
  std::filesystem::path folder_;
};

std::string read_file(const std::string& path);

}  // namespace systole::tests
