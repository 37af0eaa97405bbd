// The two vocabularies of failure. ConfigError: the user can mend it (exit 2, no stack).
// SYSTOLE_CHECK: our bug; on in every build, names the place and, where one is known, the cycle
// (exit 70).
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace systole {

/// What the user gave cannot be used. The message says where (file, line, path), what was found,
/// what was expected and, for a name, the nearest one known. May carry several faults, one a line.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An invariant of ours does not hold: a defect of Systole, never of its input.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const std::string& message);

/// Levenshtein distance, for "did you mean".
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The known name closest to `name`, or empty when none is near (more than half of it differs).
std::string nearest_name(std::string_view name, std::span<const std::string> known);

/// `unknown machine 'mixpe-128x182'; did you mean 'mixpe-128x128'?` or, with nothing near, the
/// known list.
std::string unknown_name_message(std::string_view kind, std::string_view name,
                                 std::span<const std::string> known);

}  // namespace systole

#define SYSTOLE_CHECK(condition, message)                                 \
  do {                                                                    \
    if (!(condition)) [[unlikely]]                                        \
      ::systole::check_failed(#condition, __FILE__, __LINE__, (message)); \
  } while (false)
