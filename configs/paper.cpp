#include "configs/paper.hpp"

#include <charconv>
#include <utility>

#include "sim/core/error.hpp"

namespace systole::configs {
namespace {

/// Reads "8", "4x14" and "(8 4)x3" separated by blanks; groups do not nest.
class Runs {
 public:
  Runs(std::string_view text, std::size_t limit) : text_(text), limit_(limit) {}

  std::vector<std::uint32_t> read() {
    std::vector<std::uint32_t> numbers;
    while (skip_blanks()) {
      if (text_[at_] != '(') {
        append(numbers, {number()});
        continue;
      }
      ++at_;
      std::vector<std::uint32_t> group;
      while (skip_blanks() && text_[at_] != ')') append(group, {number()});
      if (at_ == text_.size()) refuse();
      ++at_;
      append(numbers, group);
    }
    if (numbers.empty()) refuse();
    return numbers;
  }

 private:
  bool skip_blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size();
  }

  std::uint32_t number() {
    std::uint32_t value = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc{} || value == 0) refuse();
    at_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }

  /// `run`, as often as the "xN" that may follow says.
  void append(std::vector<std::uint32_t>& numbers, const std::vector<std::uint32_t>& run) {
    std::uint32_t times = 1;
    if (at_ < text_.size() && text_[at_] == 'x') {
      ++at_;
      times = number();
    }
    if (at_ < text_.size() && text_[at_] != ' ' && text_[at_] != ')') refuse();
    if (run.empty() || times > limit_ || numbers.size() + run.size() * times > limit_) refuse();
    for (std::uint32_t i = 0; i < times; ++i) numbers.insert(numbers.end(), run.begin(), run.end());
  }

  [[noreturn]] void refuse() const {
    throw ConfigError("expected at most " + std::to_string(limit_) +
                      " widths such as '8 4x14 (4 8)x3', stopped at column " +
                      std::to_string(at_ + 1));
  }

  std::string_view text_;
  std::size_t limit_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<std::uint32_t> expand_runs(std::string_view text, std::size_t limit) {
  return Runs(text, limit).read();
}

std::vector<PaperLayer> expand(const std::vector<PaperBlock>& blocks) {
  std::vector<PaperLayer> layers;
  for (const PaperBlock& block : blocks) {
    for (std::uint32_t t = 0; t < block.times; ++t) {
      for (PaperLayer layer : block.layers) {
        const std::uint32_t times = std::exchange(layer.times, 1);
        layers.insert(layers.end(), times, layer);
      }
    }
  }
  return layers;
}

}  // namespace systole::configs
