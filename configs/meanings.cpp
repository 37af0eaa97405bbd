#include "configs/meanings.hpp"

#include <optional>
#include <string>
#include <type_traits>

#include "configs/fields.hpp"

namespace systole::configs {
namespace {

/// Goes down a path: "dram.channels" in a memory's list. The lists are of types, so a map or a
/// vector is entered by an item that it need not have.
class Finder {
 public:
  explicit Finder(std::string_view path) : path_(path) {}

  template <class T>
  void operator()(std::string_view key, const T& member, const Info& info) {
    if (!found_ && path_.starts_with(key)) found_ = below(path_.substr(key.size()), member, info);
  }
  template <class T>
  void table(std::string_view key, Kind, const T& member, const Info& info) {
    (*this)(key, member, info);
  }
  std::optional<std::string_view> found() const { return found_; }

 private:
  template <class T>
  static std::optional<std::string_view> below(std::string_view rest, const T& value,
                                               const Info& info) {
    if (rest.empty()) return info.meaning;
    if constexpr (kIsMap<T>) {
      // A name may have dots: all places where it could end are tried.
      for (std::size_t at = 1; rest[0] == '.' && at < rest.size();) {
        at = std::min(rest.find('.', at + 1), rest.size());
        if (const auto found = below(rest.substr(at), typename T::mapped_type{}, info)) {
          return found;
        }
      }
    } else if constexpr (kIsVector<T>) {
      const std::size_t end = rest.find(']');
      if (rest[0] == '[' && end != std::string_view::npos) {
        return below(rest.substr(end + 1), typename T::value_type{}, info);
      }
    } else if constexpr (std::is_class_v<T> && !std::is_same_v<T, std::string>) {
      if (rest[0] == '.') {
        Finder inner(rest.substr(1));
        T copy = value;
        describe(inner, copy);
        return inner.found();
      }
    }
    return std::nullopt;
  }

  std::string_view path_;
  std::optional<std::string_view> found_;
};

template <class T>
std::string_view meaning_in(const T& config, std::string_view path) {
  Finder finder(path);
  describe(finder, config);
  return finder.found().value_or("");
}

}  // namespace

std::vector<std::string_view> meanings(const KeyValues& echo) {
  constexpr std::string_view kRecipe = "recipe.";
  const MachineConfig machine;
  const Recipe recipe;
  std::vector<std::string_view> texts;
  for (const auto& [key, value] : echo) {
    const std::string_view path = key;
    texts.push_back(path.starts_with(kRecipe) ? meaning_in(recipe, path.substr(kRecipe.size()))
                                              : meaning_in(machine, path));
  }
  return texts;
}

}  // namespace systole::configs
