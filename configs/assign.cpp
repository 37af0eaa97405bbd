#include "configs/assign.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <type_traits>
#include <vector>

#include "configs/binder.hpp"
#include "configs/tree.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {
namespace {

[[noreturn]] void wrong(const std::string& text, const std::string& expected) {
  throw ConfigError("found " + quote(text) + "; expected " + expected);
}

/// Follows one path into a described struct.
class Setter {
 public:
  Setter(std::string_view path, const std::string& text) : text_(text) {
    const std::size_t dot = path.find('.');
    key_ = path.substr(0, dot);
    if (dot != std::string_view::npos) rest_ = path.substr(dot + 1);
  }

  template <class T>
  void operator()(std::string_view key, T& member, const Info& info) {
    known_.emplace_back(key);
    if (key != key_ || found_) return;
    found_ = true;
    set(member, info);
  }
  template <class T>
  void table(std::string_view key, Kind, T& member, const Info& info) {
    known_.emplace_back(key);
    if (key != key_ || found_) return;
    found_ = true;
    // Prices are scaled to a node after they were read.
    if (key == "energy" || rest_.empty()) return;
    set(member, info);
  }

  Assigned finish() const {
    if (!found_) throw ConfigError(unknown_name_message("key", key_, known_));
    return done_ ? Assigned::done : Assigned::needs_reader;
  }

 private:
  template <class T>
  void store(T& member, const auto& value, const Expected& expected) {
    if (!value) wrong(text_, expected.text);
    member = static_cast<T>(*value);
    done_ = true;
  }

  template <class T>
  void set(T& member, const Info& info) {
    Tree node;
    node.kind = Tree::Kind::scalar;
    node.text = text_;
    Expected expected;
    if constexpr (std::is_same_v<T, std::string>) {
      if (rest_.empty()) store(member, to_text(node, expected), expected);
    } else if constexpr (std::is_same_v<T, bool>) {
      if (rest_.empty()) store(member, to_bool(node, expected), expected);
    } else if constexpr (std::is_enum_v<T>) {
      if (!rest_.empty()) return;
      const auto& names = enum_names(T{});
      const auto it = std::ranges::find(names, text_);
      if (it == names.end()) {
        throw ConfigError(unknown_name_message(
            "value", text_, std::vector<std::string>(names.begin(), names.end())));
      }
      member = static_cast<T>(it - names.begin());
      done_ = true;
    } else if constexpr (std::is_integral_v<T>) {
      constexpr auto kLimit = static_cast<double>(std::numeric_limits<T>::max());
      if (rest_.empty()) store(member, to_integer(node, info, kLimit, expected), expected);
    } else if constexpr (std::is_floating_point_v<T>) {
      if (rest_.empty()) store(member, to_number(node, info, expected), expected);
    } else if constexpr (!kIsMap<T> && !kIsVector<T>) {
      if (rest_.empty()) return;
      Setter inner(rest_, text_);
      describe(inner, member);
      done_ = inner.finish() == Assigned::done;
    }
  }

  const std::string& text_;
  std::string key_;
  std::string_view rest_;
  std::vector<std::string> known_;
  bool found_ = false, done_ = false;
};

template <class Config>
Assigned assign_any(Config& config, std::string_view path, const std::string& text) {
  Setter setter(path, text);
  describe(setter, config);
  return setter.finish();
}

/// Walks a described struct.
class Digester {
 public:
  Digester(Digest& digest, bool top) : digest_(digest), top_(top) {}

  template <class T>
  void operator()(std::string_view key, const T& member, const Info&) {
    if (key == "summary" || key == "source" || (top_ && key == "name")) return;
    digest_.add(key);
    add(member);
  }
  template <class T>
  void table(std::string_view key, Kind, const T& member, const Info& info) {
    (*this)(key, member, info);
  }

 private:
  template <class T>
  void add(const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      digest_.add(std::string_view(value));
    } else if constexpr (std::is_floating_point_v<T>) {
      digest_.add(static_cast<double>(value));
    } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
      digest_.add(static_cast<std::uint64_t>(value));
    } else if constexpr (kIsMap<T>) {
      digest_.add(static_cast<std::uint64_t>(value.size()));
      for (const auto& [name, item] : value) {
        digest_.add(std::string_view(name));
        add(item);
      }
    } else if constexpr (kIsVector<T>) {
      digest_.add(static_cast<std::uint64_t>(value.size()));
      for (const auto& item : value) add(item);
    } else {
      Digester inner(digest_, false);
      // Views such as the tensors of a recipe are rebuilt from what they look at.
      T copy = value;
      describe(inner, copy);
    }
  }

  Digest& digest_;
  bool top_;
};

template <class Config>
void add_any(Digest& digest, const Config& config) {
  Digester digester(digest, true);
  describe(digester, config);
}

}  // namespace

Assigned assign(MachineConfig& config, std::string_view path, const std::string& text) {
  return assign_any(config, path, text);
}
Assigned assign(Recipe& config, std::string_view path, const std::string& text) {
  return assign_any(config, path, text);
}
Assigned assign(ModelShape& config, std::string_view path, const std::string& text) {
  return assign_any(config, path, text);
}

void Digest::word(std::uint64_t value) {
  // Multiply-and-fold of two lanes; the constants are those of SplitMix64 (Steele et al., 2014).
  a_ = (a_ ^ value) * 0xbf58476d1ce4e5b9;
  a_ ^= a_ >> 31;
  b_ = (b_ + value) * 0x94d049bb133111eb;
  b_ ^= b_ >> 29;
}

void Digest::add(std::string_view bytes) {
  word(bytes.size());
  while (!bytes.empty()) {
    std::uint64_t piece = 0;
    const std::size_t count = std::min<std::size_t>(8, bytes.size());
    for (std::size_t i = 0; i < count; ++i) {
      piece |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    word(piece);
    bytes.remove_prefix(count);
  }
}

void Digest::add(std::uint64_t value) { word(value); }

void Digest::add(double value) { word(std::bit_cast<std::uint64_t>(value == 0 ? 0.0 : value)); }

std::array<std::uint64_t, 2> Digest::value() const {
  Digest last = *this;
  last.word(a_ ^ (b_ << 1));
  last.word(b_);
  return {last.a_, last.b_};
}

void add_to(Digest& digest, const MachineConfig& config) { add_any(digest, config); }
void add_to(Digest& digest, const Recipe& config) { add_any(digest, config); }
void add_to(Digest& digest, const ModelShape& config) { add_any(digest, config); }

}  // namespace systole::configs
