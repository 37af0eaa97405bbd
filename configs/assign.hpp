// One value of a resolved configuration set by its path, without reading files again, and what a
// configuration is as a number: a sweep does both thousands of times a second.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "configs/fields.hpp"

namespace systole::configs {

/// What `assign` made of a path.
enum class Assigned : std::uint8_t {
  done,
  needs_reader,  ///< not a plain value: a table's name, a map, a list, or a value that others are
                 ///< computed from; `--set` understands it
};

/// Sets the value as `--set PATH=TEXT` would; relations between values are not looked at (see
/// validate.hpp). Throws ConfigError "what was found; expected ..." for an unknown path (with the
/// nearest name) or a value that does not fit.
Assigned assign(MachineConfig& config, std::string_view path, const std::string& text);
Assigned assign(Recipe& config, std::string_view path, const std::string& text);
Assigned assign(ModelShape& config, std::string_view path, const std::string& text);

/// 128 bits over which equal content gives equal values, on every host; not for adversaries.
class Digest {
 public:
  void add(std::string_view bytes);
  void add(std::uint64_t value);
  void add(double value);

  std::array<std::uint64_t, 2> value() const;

 private:
  void word(std::uint64_t value);
  // The offset basis of FNV-1a, and an arbitrary odd number.
  std::uint64_t a_ = 0xcbf29ce484222325, b_ = 0x9e3779b97f4a7c15;
};

/// Adds every value that a configuration is used by; its own name and all summaries and sources,
/// which say nothing of what it does, stay out.
void add_to(Digest& digest, const MachineConfig& config);
void add_to(Digest& digest, const Recipe& config);
void add_to(Digest& digest, const ModelShape& config);

}  // namespace systole::configs
