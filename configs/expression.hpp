// Arithmetic and comparisons of a sweep file: "machine.array.rows * 4 / 3", "area_mm2 <= 100".
// Names are looked up once, when the text is parsed; evaluating is cheap, a sweep does it a point.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace systole::configs {

/// A number, or a text such as the name of a recipe.
struct SweepValue {
  std::string text;
  std::optional<double> number;

  friend bool operator==(const SweepValue&, const SweepValue&) = default;
};

/// Shortest decimal text that reads back; whole numbers in digits.
std::string number_to_text(double value);
SweepValue value_of(double number);
/// A number where the whole text is one.
SweepValue value_of(std::string text);

/// + - * / ( ), numbers, 'texts', names with dots, min(a, b) max(a, b) floor ceil round sqrt log2.
class Expression {
 public:
  /// Throws ConfigError "what was found; expected ..." with the nearest of `names` for an unknown
  /// one.
  static Expression parse(std::string_view text, std::span<const std::string> names);

  /// `values[i]` is that of `names[i]`. Absent where a text meets arithmetic, or the result is not
  /// finite.
  std::optional<double> number(std::span<const SweepValue> values) const;
  /// The text that the expression is, where it is just one name or 'text'.
  std::optional<std::string> text(std::span<const SweepValue> values) const;
  bool uses(std::size_t name) const;
  /// The name or the 'text' that the expression is, where it is just that.
  std::optional<std::size_t> only_name() const;
  std::optional<std::string> only_text() const;

 private:
  friend class ExpressionParser;
  enum class Op : std::uint8_t {
    number,
    name,
    text,
    add,
    subtract,
    multiply,
    divide,
    negate,
    min,
    max,
    floor,
    ceil,
    round,
    sqrt,
    log2
  };
  struct Token {
    Op op;
    double number = 0;
    std::size_t name = 0;
    std::string text;
  };
  std::vector<Token> postfix_;
};

/// left OPERATOR right, with < <= > >= == !=; left in [a, b, ...], which is == to one of them; or
/// several of these with `or` between them. Texts have no order: they take == != and in.
class Comparison {
 public:
  static Comparison parse(std::string_view text, std::span<const std::string> names);

  const std::string& source() const { return source_; }
  bool holds(std::span<const SweepValue> values) const;
  /// 0 where it holds; else by how much it misses, relative to the larger side, the least of its
  /// parts; infinite where the sides cannot be compared.
  double violation(std::span<const SweepValue> values) const;
  bool uses(std::size_t name) const;
  /// Whether the name's value is ordered or reckoned with: a text then never holds.
  bool needs_number(std::size_t name) const;
  /// The 'texts' that the name's value is compared with.
  std::vector<std::string> texts_of(std::size_t name) const;

 private:
  struct Part {
    std::string operation;
    Expression left, right;
    double violation(std::span<const SweepValue> values) const;
  };
  static Part part_of(std::string_view text, std::span<const std::string> names);

  std::string source_;
  std::vector<Part> parts_;  ///< one that holds is enough
};

}  // namespace systole::configs
