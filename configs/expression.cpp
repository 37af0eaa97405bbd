#include "configs/expression.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "configs/tree.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {

std::string number_to_text(double value) {
  std::array<char, 64> buffer{};
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  const auto end = whole ? std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                         static_cast<std::int64_t>(value))
                         : std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end.ptr};
}

SweepValue value_of(double number) { return {number_to_text(number), number}; }

SweepValue value_of(std::string text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  SweepValue value{std::move(text), std::nullopt};
  if (whole && std::isfinite(number)) value.number = number;
  return value;
}

/// Recursive descent; a level a precedence.
class ExpressionParser {
 public:
  using Op = Expression::Op;

  ExpressionParser(std::string_view text, std::span<const std::string> names)
      : text_(text), names_(names) {}

  Expression whole() {
    sum();
    skip_blanks();
    if (at_ < text_.size()) fail("an operator or the end");
    return std::move(result_);
  }

 private:
  static constexpr std::size_t kMaxDepth = 64;

  [[noreturn]] void fail(const std::string& expected) const {
    throw ConfigError("found " +
                      (at_ < text_.size() ? quote(text_.substr(at_)) : std::string("the end")) +
                      " in " + quote(text_) + "; expected " + expected);
  }

  void skip_blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void push(Op op) { result_.postfix_.push_back({op, 0, 0, {}}); }

  void sum() {
    product();
    while (true) {
      if (take('+')) {
        product();
        push(Op::add);
      } else if (take('-')) {
        product();
        push(Op::subtract);
      } else {
        return;
      }
    }
  }

  void product() {
    factor();
    while (true) {
      if (take('*')) {
        factor();
        push(Op::multiply);
      } else if (take('/')) {
        factor();
        push(Op::divide);
      } else {
        return;
      }
    }
  }

  void factor() {
    if (++depth_ > kMaxDepth) throw ConfigError(quote(text_) + ": nested too deeply");
    if (take('-')) {
      factor();
      push(Op::negate);
    } else if (take('(')) {
      sum();
      if (!take(')')) fail("')'");
    } else {
      skip_blanks();
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      if (c == '\'') {
        quoted();
      } else if (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.') {
        numeral();
      } else if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
        name();
      } else {
        fail("a number, a name or '('");
      }
    }
    --depth_;
  }

  void quoted() {
    const std::size_t end = text_.find('\'', at_ + 1);
    if (end == std::string_view::npos) fail("a closing '");
    result_.postfix_.push_back({Op::text, 0, 0, std::string(text_.substr(at_ + 1, end - at_ - 1))});
    at_ = end + 1;
  }

  void numeral() {
    double number = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
    if (error != std::errc{}) fail("a number");
    result_.postfix_.push_back({Op::number, number, 0, {}});
    at_ = static_cast<std::size_t>(end - text_.data());
  }

  void name() {
    const std::size_t begin = at_;
    const auto part = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
    };
    while (at_ < text_.size() && part(text_[at_])) ++at_;
    const std::string word(text_.substr(begin, at_ - begin));
    if (take('(')) return call(word);
    const auto it = std::ranges::find(names_, word);
    if (it == names_.end()) throw ConfigError(unknown_name_message("name", word, names_));
    result_.postfix_.push_back({Op::name, 0, static_cast<std::size_t>(it - names_.begin()), {}});
  }

  void call(const std::string& word) {
    constexpr std::array<std::pair<std::string_view, Op>, 7> kFunctions = {{{"min", Op::min},
                                                                            {"max", Op::max},
                                                                            {"floor", Op::floor},
                                                                            {"ceil", Op::ceil},
                                                                            {"round", Op::round},
                                                                            {"sqrt", Op::sqrt},
                                                                            {"log2", Op::log2}}};
    const auto* it = std::ranges::find(kFunctions, word, &std::pair<std::string_view, Op>::first);
    if (it == kFunctions.end()) {
      const std::vector<std::string> known = {"min",   "max",  "floor", "ceil",
                                              "round", "sqrt", "log2"};
      throw ConfigError(unknown_name_message("function", word, known));
    }
    sum();
    if (it->second == Op::min || it->second == Op::max) {
      if (!take(',')) fail("','");
      sum();
    }
    if (!take(')')) fail("')'");
    push(it->second);
  }

  std::string_view text_;
  std::span<const std::string> names_;
  std::size_t at_ = 0, depth_ = 0;
  Expression result_;
};

Expression Expression::parse(std::string_view text, std::span<const std::string> names) {
  return ExpressionParser(text, names).whole();
}

std::optional<double> Expression::number(std::span<const SweepValue> values) const {
  std::vector<double> stack;
  for (const Token& token : postfix_) {
    switch (token.op) {
      case Op::number:
        stack.push_back(token.number);
        continue;
      case Op::text:
        return std::nullopt;
      case Op::name:
        if (!values[token.name].number) return std::nullopt;
        stack.push_back(*values[token.name].number);
        continue;
      default:
        break;
    }
    double& top = stack.back();
    switch (token.op) {
      case Op::negate:
        top = -top;
        continue;
      case Op::floor:
        top = std::floor(top);
        continue;
      case Op::ceil:
        top = std::ceil(top);
        continue;
      case Op::round:
        top = std::round(top);
        continue;
      case Op::sqrt:
        top = std::sqrt(top);
        continue;
      case Op::log2:
        top = std::log2(top);
        continue;
      default:
        break;
    }
    const double right = top;
    stack.pop_back();
    double& left = stack.back();
    switch (token.op) {
      case Op::add:
        left += right;
        break;
      case Op::subtract:
        left -= right;
        break;
      case Op::multiply:
        left *= right;
        break;
      case Op::divide:
        left /= right;
        break;
      case Op::min:
        left = std::min(left, right);
        break;
      case Op::max:
        left = std::max(left, right);
        break;
      default:
        SYSTOLE_CHECK(false, "an operation that the parser does not make");
    }
  }
  if (!std::isfinite(stack.back())) return std::nullopt;
  return stack.back();
}

std::optional<std::string> Expression::text(std::span<const SweepValue> values) const {
  if (postfix_.size() != 1) return std::nullopt;
  const Token& token = postfix_.front();
  if (token.op == Op::text) return token.text;
  if (token.op == Op::name) return values[token.name].text;
  return std::nullopt;
}

bool Expression::uses(std::size_t name) const {
  return std::ranges::any_of(
      postfix_, [&](const Token& token) { return token.op == Op::name && token.name == name; });
}

Comparison Comparison::parse(std::string_view text, std::span<const std::string> names) {
  // Two characters first: "<=" begins with "<".
  constexpr std::array<std::string_view, 6> kOperators = {"<=", ">=", "==", "!=", "<", ">"};
  Comparison result;
  result.source_ = text;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\'') {  // what is quoted is no operator
      at = text.find('\'', at + 1);
      if (at == std::string_view::npos) break;
      continue;
    }
    for (const std::string_view sign : kOperators) {
      if (text.substr(at, sign.size()) != sign) continue;
      result.operator_ = sign;
      result.left_ = Expression::parse(text.substr(0, at), names);
      result.right_ = Expression::parse(text.substr(at + sign.size()), names);
      return result;
    }
  }
  throw ConfigError("found " + quote(text) + "; expected a comparison with < <= > >= == or !=");
}

bool Comparison::holds(std::span<const SweepValue> values) const { return violation(values) == 0; }

double Comparison::violation(std::span<const SweepValue> values) const {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const std::optional<double> left = left_.number(values), right = right_.number(values);
  if (!left || !right) {
    const std::optional<std::string> a = left_.text(values), b = right_.text(values);
    if (!a || !b || a->empty() || b->empty()) return kNever;
    if (operator_ == "==") return *a == *b ? 0 : 1;
    if (operator_ == "!=") return *a != *b ? 0 : 1;
    return kNever;
  }
  const bool holds = operator_ == "<="   ? *left <= *right
                     : operator_ == ">=" ? *left >= *right
                     : operator_ == "<"  ? *left < *right
                     : operator_ == ">"  ? *left > *right
                     : operator_ == "==" ? *left == *right
                                         : *left != *right;
  if (holds) return 0;
  const double scale = std::max(std::abs(*left), std::abs(*right));
  // A strict comparison of equals misses too, by as little as there is.
  return std::max(std::abs(*left - *right) / std::max(scale, 1e-300),
                  std::numeric_limits<double>::epsilon());
}

}  // namespace systole::configs
