// Fills a described struct from a tree, strictly: unknown keys, wrong types, values out of range
// and missing keys are faults with their place; none of them stops the others from being found.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "configs/fields.hpp"
#include "configs/tree.hpp"

namespace systole::configs {

/// What all binders of one file share.
struct BindContext {
  Faults& faults;
  std::map<std::string, Position>& positions;  ///< of every value read, by path
  /// The tree of a shipped file or path, its own `base` resolved; nothing (and a fault) when there
  /// is none.
  std::function<std::optional<Tree>(Kind, const std::string& name, const Position&,
                                    const std::string& path)>
      load;
};

// Scalars. Each returns nothing and says what was expected when the node does not fit.
struct Expected {
  std::string text;  ///< "a whole number from 1 to 4096"
};
std::optional<std::uint64_t> to_integer(const Tree& node, const Info& info, double type_limit,
                                        Expected& expected);
std::optional<double> to_number(const Tree& node, const Info& info, Expected& expected);
std::optional<bool> to_bool(const Tree& node, Expected& expected);
std::optional<std::string> to_text(const Tree& node, Expected& expected);

/// "a whole number from 1 to 4096", "a number above 0".
std::string range_text(const Info& info, bool whole, double type_limit);

/// Reads one map of the file into one struct. Call describe(binder, object), then finish().
class Binder {
 public:
  Binder(const Tree& map, std::string path, BindContext& context)
      : map_(map), path_(std::move(path)), context_(context) {}

  template <class T>
  void operator()(std::string_view key, T& member, const Info& info) {
    if (const Tree* node = take(key, info)) read(*node, child(key), member, info);
  }

  /// A key that names a file of `kind`, or holds the same values inline (with an optional `base`).
  template <class T>
  void table(std::string_view key, Kind kind, T& member, const Info& info) {
    const Tree* node = take(key, info);
    if (node == nullptr) return;
    const std::string path = child(key);
    const std::optional<Tree> resolved = resolve(*node, kind, path);
    if (!resolved) return;
    context_.positions[path] = node->at;
    bind(*resolved, path, member);
  }

  /// Reports the keys nobody asked for.
  void finish();

 private:
  const Tree* take(std::string_view key, const Info& info);
  std::optional<Tree> resolve(const Tree& node, Kind kind, const std::string& path);
  void wrong(const Tree& node, const std::string& path, const std::string& expected);
  void wrong_name(const Tree& node, const std::string& path, const std::vector<std::string>& names);

  std::string child(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  }

  template <class T>
  void bind(const Tree& map, const std::string& path, T& member) {
    Binder inner(map, path, context_);
    describe(inner, member);
    inner.finish();
  }

  template <class T>
  void store(const Tree& node, const std::string& path, T& member, const Expected& expected,
             const auto& value) {
    if (value) {
      member = static_cast<T>(*value);
    } else {
      wrong(node, path, expected.text);
    }
  }

  template <class T>
  void read(const Tree& node, const std::string& path, T& member, const Info& info) {
    context_.positions[path] = node.at;
    Expected expected;
    if constexpr (std::is_same_v<T, std::string>) {
      store(node, path, member, expected, to_text(node, expected));
    } else if constexpr (std::is_same_v<T, bool>) {
      store(node, path, member, expected, to_bool(node, expected));
    } else if constexpr (std::is_enum_v<T>) {
      const auto& names = enum_names(T{});
      const auto it = std::ranges::find(names, node.text);
      if (node.kind == Tree::Kind::scalar && it != names.end()) {
        member = static_cast<T>(it - names.begin());
      } else {
        wrong_name(node, path, {names.begin(), names.end()});
      }
    } else if constexpr (std::is_integral_v<T>) {
      constexpr auto kLimit = static_cast<double>(std::numeric_limits<T>::max());
      store(node, path, member, expected, to_integer(node, info, kLimit, expected));
    } else if constexpr (std::is_floating_point_v<T>) {
      store(node, path, member, expected, to_number(node, info, expected));
    } else if constexpr (kIsMap<T>) {
      if (node.kind != Tree::Kind::map) return wrong(node, path, "a map of names");
      member.clear();
      for (const Tree::Entry& entry : node.entries) {
        read(entry.value, path + "." + entry.key, member[entry.key], info);
      }
    } else if constexpr (kIsVector<T>) {
      if (node.kind != Tree::Kind::list) return wrong(node, path, "a list");
      member.clear();
      for (const Tree& item : node.items) {
        const std::string index = "[" + std::to_string(member.size()) + "]";
        read(item, path + index, member.emplace_back(), info);
      }
    } else {
      static_assert(Described<T>, "this struct has no field list");
      if (node.kind != Tree::Kind::map) return wrong(node, path, "a map of settings");
      bind(node, path, member);
    }
  }

  const Tree& map_;
  std::string path_;
  BindContext& context_;
  std::vector<std::string> known_;
};

}  // namespace systole::configs
