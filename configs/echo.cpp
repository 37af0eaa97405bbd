#include "configs/echo.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <type_traits>
#include <vector>

namespace systole::configs {
namespace {

template <class T>
inline constexpr bool kIsTensors = false;
template <class R>
inline constexpr bool kIsTensors<TensorsOfRecipe<R>> = true;

/// The shortest decimal text that reads back to the same number; whole numbers without exponent.
std::string to_text(double value) {
  std::array<char, 64> buffer{};
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  const auto result = whole ? std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                            static_cast<std::int64_t>(value))
                            : std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), result.ptr};
}
std::string to_text(const std::string& value) { return value; }
std::string to_text(bool value) { return value ? "true" : "false"; }
template <class T>
requires std::is_integral_v<T> std::string to_text(T value) { return std::to_string(value); }
template <class T>
requires std::is_enum_v<T> std::string to_text(T value) {
  return std::string(enum_names(value)[static_cast<std::size_t>(value)]);
}

template <class T>
concept Scalar = requires(const T& value) {
  to_text(value);
};

/// A text as YAML: bare when nothing could mistake it, else in double quotes.
std::string yaml_text(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  static const std::set<std::string, std::less<>> kWords = {"true", "false", "null", "yes", "no",
                                                            "on",   "off",   "y",    "n"};
  std::string lower = text;
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  const bool letter_first = !lower.empty() && lower[0] >= 'a' && lower[0] <= 'z';
  if (letter_first && std::ranges::all_of(text, plain) && !kWords.contains(lower)) return text;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      result += "\\x";
      result += kHex[byte >> 4];
      result += kHex[byte & 15];
    } else {
      result += c;
    }
  }
  return result + '"';
}

template <Scalar T>
std::string yaml_scalar(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return yaml_text(value);
  } else {
    return to_text(value);
  }
}

/// Flattens a struct into path/value pairs.
class Flattener {
 public:
  static constexpr bool kLeavesOutDefaults = true;
  Flattener(KeyValues& out, std::string prefix) : out_(out), prefix_(std::move(prefix)) {}

  template <class T>
  void operator()(std::string_view key, const T& member, const Info&) {
    add(prefix_ + std::string(key), member);
  }
  template <class T>
  void table(std::string_view key, Kind, const T& member, const Info& info) {
    (*this)(key, member, info);
  }

 private:
  template <class T>
  void add(const std::string& path, const T& value) {
    if constexpr (Scalar<T>) {
      out_.emplace_back(path, to_text(value));
    } else if constexpr (kIsMap<T>) {
      for (const auto& [name, item] : value) add(path + "." + name, item);
    } else if constexpr (kIsVector<T>) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        add(path + "[" + std::to_string(i) + "]", value[i]);
      }
    } else {
      Flattener inner(out_, path + ".");
      T copy = value;
      describe(inner, copy);
    }
  }

  KeyValues& out_;
  std::string prefix_;
};

template <class T>
KeyValues flatten(const T& config) {
  KeyValues result;
  Flattener flattener(result, "");
  describe(flattener, config);
  return result;
}

/// One line: `{bytes: 1024, word_bytes: 8}`.
class FlowWriter {
 public:
  static constexpr bool kLeavesOutDefaults = true;

  template <class T>
  void operator()(std::string_view key, const T& member, const Info&) {
    text_ += (text_.empty() ? "" : ", ") + std::string(key) + ": " + flow(member);
  }
  template <class T>
  void table(std::string_view key, Kind, const T& member, const Info& info) {
    (*this)(key, member, info);
  }
  std::string text() const { return "{" + text_ + "}"; }

 private:
  template <class T>
  static std::string flow(const T& value) {
    if constexpr (Scalar<T>) {
      return yaml_scalar(value);
    } else if constexpr (kIsVector<T>) {
      std::string items;
      for (const auto& item : value) items += (items.empty() ? "" : ", ") + flow(item);
      return "[" + items + "]";
    } else if constexpr (kIsMap<T>) {
      std::string items;
      for (const auto& [name, item] : value) {
        items += (items.empty() ? "" : ", ") + yaml_text(name) + ": " + flow(item);
      }
      return "{" + items + "}";
    } else {
      FlowWriter inner;
      T copy = value;
      describe(inner, copy);
      return inner.text();
    }
  }

  std::string text_;
};

/// Indented YAML, the meaning of a key as a comment where it appears first.
class YamlWriter {
 public:
  static constexpr bool kLeavesOutDefaults = true;
  template <class T>
  void operator()(std::string_view key, const T& member, const Info& info) {
    write(std::string(key), member, info.meaning);
  }
  template <class T>
  void table(std::string_view key, Kind, const T& member, const Info& info) {
    (*this)(key, member, info);
  }
  std::string take() { return std::move(text_); }

 private:
  static constexpr std::size_t kCommentColumn = 36;

  void line(std::string content, std::string_view meaning) {
    if (!meaning.empty() && explained_.insert(std::string(meaning)).second) {
      const std::size_t length = indent_ + content.size();
      content += std::string(length < kCommentColumn ? kCommentColumn - length : 1, ' ') + " # ";
      content += meaning;
    }
    text_ += std::string(indent_, ' ') + content + "\n";
  }

  template <class T>
  void write(const std::string& key, const T& value, std::string_view meaning) {
    if constexpr (Scalar<T>) {
      line(key + ": " + yaml_scalar(value), meaning);
    } else if constexpr (kIsMap<T>) {
      if (value.empty()) return line(key + ": {}", meaning);
      line(key + ":", meaning);
      indent_ += 2;
      for (const auto& [name, item] : value) write(yaml_text(name), item, "");
      indent_ -= 2;
    } else if constexpr (kIsVector<T>) {
      if (value.empty()) return line(key + ": []", meaning);
      line(key + ":", meaning);
      for (const auto& item : value) {
        FlowWriter flow;
        describe(flow, item);
        line("  - " + flow.text(), "");
      }
    } else if constexpr (kIsTensors<T>) {
      line(key + ":", meaning);
      for (std::size_t t = 0; t < kTargetCount; ++t) {
        if (t >= kFirstRareTarget && value.recipe.policies[t] == quant::TensorPolicy{}) continue;
        FlowWriter flow;
        flow("target", std::string(kTargetNames[t]), Info{});
        describe(flow, value.recipe.policies[t]);
        line("  - " + flow.text(), kTargetMeanings[t]);
      }
    } else {
      line(key + ":", meaning);
      indent_ += 2;
      T copy = value;
      describe(*this, copy);
      indent_ -= 2;
    }
  }

  std::string text_;
  std::size_t indent_ = 0;
  std::set<std::string, std::less<>> explained_;
};

template <class T>
std::string yaml(const T& config) {
  YamlWriter writer;
  describe(writer, config);
  return writer.take();
}

}  // namespace

KeyValues echo(const MachineConfig& config) { return flatten(config); }
KeyValues echo(const Recipe& config) { return flatten(config); }
KeyValues echo(const MachineConfig& machine, const Recipe& recipe) {
  KeyValues pairs = echo(machine);
  for (auto& [key, value] : echo(recipe)) pairs.emplace_back("recipe." + key, value);
  return pairs;
}
KeyValues echo(const ModelShape& config) { return flatten(config); }
KeyValues echo(const DramConfig& config) { return flatten(config); }
KeyValues echo(const TierConfig& config) { return flatten(config); }
KeyValues echo(const EnergyTable& config) { return flatten(config); }
KeyValues echo(const PaperConfig& config) { return flatten(config); }

std::string show(const MachineConfig& config) { return yaml(config); }
std::string show(const Recipe& config) { return yaml(config); }
std::string show(const ModelShape& config) { return yaml(config); }
std::string show(const DramConfig& config) { return yaml(config); }
std::string show(const TierConfig& config) { return yaml(config); }
std::string show(const EnergyTable& config) { return yaml(config); }
std::string show(const PaperConfig& config) { return yaml(config); }
std::string show(const PePrice& config) { return yaml(config); }

}  // namespace systole::configs
