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

std::optional<std::size_t> Expression::only_name() const {
  if (postfix_.size() != 1 || postfix_.front().op != Op::name) return std::nullopt;
  return postfix_.front().name;
}

std::optional<std::string> Expression::only_text() const {
  if (postfix_.size() != 1 || postfix_.front().op != Op::text) return std::nullopt;
  return postfix_.front().text;
}

namespace {

/// Where `what` first stands outside quotes and brackets; npos where it does not.
std::size_t find_bare(std::string_view text, std::string_view what) {
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (depth == 0 && text.substr(at, what.size()) == what) return at;
    if (text[at] == '\'') {
      at = text.find('\'', at + 1);
      if (at == std::string_view::npos) break;
    }
    depth += (text[at] == '(' || text[at] == '[')   ? 1
             : (text[at] == ')' || text[at] == ']') ? -1
                                                    : 0;
  }
  return std::string_view::npos;
}

std::vector<std::string_view> split_bare(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> pieces;
  for (std::size_t at = find_bare(text, separator); at != std::string_view::npos;
       at = find_bare(text, separator)) {
    pieces.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  pieces.push_back(text);
  return pieces;
}

/// What stands between [ and ], which are all of the text but blanks; nothing where they do not.
std::optional<std::string_view> list_in(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' '), last = text.find_last_not_of(' ');
  if (first == std::string_view::npos || text[first] != '[' || text[last] != ']') {
    return std::nullopt;
  }
  return text.substr(first + 1, last - first - 1);
}

}  // namespace

Comparison Comparison::parse(std::string_view text, std::span<const std::string> names) {
  Comparison result;
  result.source_ = text;
  for (const std::string_view piece : split_bare(text, " or ")) {
    const std::size_t in = find_bare(piece, " in ");
    if (in == std::string_view::npos) {
      result.parts_.push_back(part_of(piece, names));
      continue;
    }
    constexpr std::string_view kIn = " in ";
    const std::string_view values = piece.substr(in + kIn.size());
    const std::optional<std::string_view> list = list_in(values);
    if (!list) {
      throw ConfigError("found " + quote(values) + "; expected values such as ['a', 'b'] after in");
    }
    const Expression left = Expression::parse(piece.substr(0, in), names);
    for (const std::string_view value : split_bare(*list, ",")) {
      result.parts_.push_back({"==", left, Expression::parse(value, names)});
    }
  }
  return result;
}

Comparison::Part Comparison::part_of(std::string_view text, std::span<const std::string> names) {
  // Two characters first: "<=" begins with "<".
  constexpr std::array<std::string_view, 6> kOperators = {"<=", ">=", "==", "!=", "<", ">"};
  std::size_t at = std::string_view::npos;
  std::string_view sign;
  for (const std::string_view each : kOperators) {
    const std::size_t found = find_bare(text, each);
    if (found >= at) continue;
    at = found;
    sign = each;
  }
  if (at == std::string_view::npos) {
    throw ConfigError("found " + quote(text) +
                      "; expected a comparison with < <= > >= == != or in [...]");
  }
  Part part{std::string(sign), Expression::parse(text.substr(0, at), names),
            Expression::parse(text.substr(at + sign.size()), names)};
  const bool ordered = sign != "==" && sign != "!=";
  for (const Expression* side : {&part.left, &part.right}) {
    const std::optional<std::string> word = side->only_text();
    if (ordered && word) {
      throw ConfigError("found " + quote(*word) + " beside " + std::string(sign) +
                        "; texts have no order, expected == != or in");
    }
  }
  return part;
}

bool Comparison::holds(std::span<const SweepValue> values) const { return violation(values) == 0; }

double Comparison::violation(std::span<const SweepValue> values) const {
  double least = std::numeric_limits<double>::infinity();
  for (const Part& part : parts_) least = std::min(least, part.violation(values));
  return least;
}

bool Comparison::uses(std::size_t name) const {
  return std::ranges::any_of(
      parts_, [&](const Part& part) { return part.left.uses(name) || part.right.uses(name); });
}

bool Comparison::needs_number(std::size_t name) const {
  return std::ranges::any_of(parts_, [&](const Part& part) {
    const bool ordered = part.operation != "==" && part.operation != "!=";
    const auto reckoned = [&](const Expression& side) {
      return side.uses(name) && (ordered || side.only_name() != name);
    };
    return reckoned(part.left) || reckoned(part.right);
  });
}

std::vector<std::string> Comparison::texts_of(std::size_t name) const {
  std::vector<std::string> texts;
  for (const Part& part : parts_) {
    for (const auto& [side, other] :
         {std::pair(&part.left, &part.right), std::pair(&part.right, &part.left)}) {
      const std::optional<std::string> text = other->only_text();
      if (side->only_name() == name && text) texts.push_back(*text);
    }
  }
  return texts;
}

double Comparison::Part::violation(std::span<const SweepValue> values) const {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const std::optional<double> a = left.number(values), b = right.number(values);
  if (!a || !b) {
    const std::optional<std::string> x = left.text(values), y = right.text(values);
    if (!x || !y || x->empty() || y->empty()) return kNever;
    if (operation == "==") return *x == *y ? 0 : 1;
    if (operation == "!=") return *x != *y ? 0 : 1;
    return kNever;
  }
  const bool holds = operation == "<="   ? *a <= *b
                     : operation == ">=" ? *a >= *b
                     : operation == "<"  ? *a < *b
                     : operation == ">"  ? *a > *b
                     : operation == "==" ? *a == *b
                                         : *a != *b;
  if (holds) return 0;
  const double scale = std::max(std::abs(*a), std::abs(*b));
  // A strict comparison of equals misses too, by as little as there is.
  return std::max(std::abs(*a - *b) / std::max(scale, 1e-300),
                  std::numeric_limits<double>::epsilon());
}

}  // namespace systole::configs
