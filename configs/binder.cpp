#include "configs/binder.hpp"

#include <charconv>
#include <cmath>
#include <system_error>

namespace systole::configs {
namespace {

constexpr std::size_t kLongestKeyWithHint = 64;

/// A number as the messages print it: shortest decimal form, whole numbers without exponent.
std::string number_text(double value) {
  std::array<char, 64> buffer{};
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  const auto result = whole ? std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                            static_cast<std::int64_t>(value))
                            : std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), result.ptr};
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// 010 is eight to one reader and ten to another; we refuse to choose.
bool has_leading_zero(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

}  // namespace

std::string range_text(const Info& info, bool whole, double type_limit) {
  std::string text = whole ? "a whole number" : "a number";
  const double high = std::min(info.high, type_limit);
  const bool has_low = std::isfinite(info.low);
  if (has_low && info.low_excluded) {
    text += " above " + number_text(info.low);
    return std::isfinite(info.high) ? text + " and at most " + number_text(high) : text;
  }
  if (has_low && std::isfinite(info.high)) {
    return text + " from " + number_text(info.low) + " to " + number_text(high);
  }
  return has_low ? text + " not below " + number_text(info.low) : text;
}

std::optional<std::uint64_t> to_integer(const Tree& node, const Info& info, double type_limit,
                                        Expected& expected) {
  expected.text = range_text(info, true, type_limit);
  if (node.kind != Tree::Kind::scalar || node.quoted) return std::nullopt;
  if (has_leading_zero(node.text)) {
    expected.text += " without a leading zero (octal or decimal?)";
    return std::nullopt;
  }
  if (!all_digits(node.text)) {
    double value = 0;
    const auto [end, error] =
        std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
    if (error == std::errc{} && end == node.text.data() + node.text.size() && value >= 0 &&
        value < 1e15 && value == std::floor(value)) {
      expected.text += ", written in digits: " + number_text(value);
    }
    return std::nullopt;
  }
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  const auto number = static_cast<double>(value);
  if (number < info.low || number > info.high || number > type_limit) return std::nullopt;
  return value;
}

std::optional<double> to_number(const Tree& node, const Info& info, Expected& expected) {
  expected.text = range_text(info, false, std::numeric_limits<double>::infinity());
  if (node.kind != Tree::Kind::scalar || node.quoted) return std::nullopt;
  if (has_leading_zero(node.text)) {
    expected.text += " without a leading zero";
    return std::nullopt;
  }
  double value = 0;
  const auto [end, error] =
      std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
  if (error != std::errc{} || end != node.text.data() + node.text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  if (value < info.low || value > info.high || (info.low_excluded && value == info.low)) {
    return std::nullopt;
  }
  return value;
}

std::optional<bool> to_bool(const Tree& node, Expected& expected) {
  expected.text = "true or false";
  if (node.kind != Tree::Kind::scalar || node.quoted) return std::nullopt;
  if (node.text == "true") return true;
  if (node.text == "false") return false;
  return std::nullopt;
}

std::optional<std::string> to_text(const Tree& node, Expected& expected) {
  expected.text = "text";
  if (node.kind != Tree::Kind::scalar || node.text.empty()) return std::nullopt;
  return node.text;
}

const Tree* Binder::take(std::string_view key, const Info& info) {
  known_.emplace_back(key);
  const Tree* node = map_.find(key);
  if (node == nullptr && info.required) {
    context_.faults.add(map_.at, child(key), "missing; expected " + std::string(info.meaning));
  }
  return node;
}

std::optional<Tree> Binder::resolve(const Tree& node, Kind kind, const std::string& path) {
  const std::string_view name = kKindTitles[static_cast<std::size_t>(kind)];
  if (node.kind == Tree::Kind::scalar) return context_.load(kind, node.text, node.at, path);
  if (node.kind != Tree::Kind::map) {
    wrong(node, path, "the name of one (see `systole list`) or a map of its values");
    return std::nullopt;
  }
  const Tree* base = node.find("base");
  if (base == nullptr) return node;
  if (base->kind != Tree::Kind::scalar) {
    wrong(*base, path + ".base", "the name of a shipped " + std::string(name) + " or a path");
    return std::nullopt;
  }
  std::optional<Tree> result = context_.load(kind, base->text, base->at, path + ".base");
  if (!result) return std::nullopt;
  Tree over = node;
  over.erase("base");
  merge(*result, std::move(over));
  result->at = node.at;
  return result;
}

void Binder::wrong(const Tree& node, const std::string& path, const std::string& expected) {
  context_.faults.add(node.at, path, "found " + node.found() + "; expected " + expected);
}

void Binder::wrong_name(const Tree& node, const std::string& path,
                        const std::vector<std::string>& names) {
  constexpr std::size_t kLongestList = 24;
  std::string expected = "one of";
  if (names.size() > kLongestList) {
    expected += " the " + std::to_string(names.size()) + " of `systole list formats`";
  } else {
    for (const std::string& name : names) expected += (&name == &names.front() ? " " : ", ") + name;
  }
  if (node.kind == Tree::Kind::scalar && node.text.size() <= kLongestKeyWithHint) {
    const std::string near = nearest_name(node.text, names);
    if (!near.empty()) expected += "; did you mean '" + near + "'?";
  }
  wrong(node, path, expected);
}

void Binder::finish() {
  for (const Tree::Entry& entry : map_.entries) {
    if (std::ranges::find(known_, entry.key) != known_.end()) continue;
    std::string message = "unknown key " + quote(entry.key);
    const std::string near =
        entry.key.size() <= kLongestKeyWithHint ? nearest_name(entry.key, known_) : "";
    if (!near.empty()) {
      message += "; did you mean '" + near + "'?";
    } else {
      message += "; expected one of";
      for (const std::string& key : known_) message += (&key == &known_.front() ? " " : ", ") + key;
    }
    context_.faults.add(entry.at, child(quote(entry.key).substr(1, quote(entry.key).size() - 2)),
                        std::move(message));
  }
}

}  // namespace systole::configs
