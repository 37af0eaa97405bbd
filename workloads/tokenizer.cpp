#include "workloads/tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <queue>

#include "sim/core/error.hpp"
#include "workloads/file.hpp"
#include "workloads/text.hpp"

namespace systole::workloads {

namespace {

constexpr std::string_view kWordBoundary = "\xe2\x96\x81";  // U+2581
constexpr std::string_view kUnknownText =
    " \xe2\x81\x87 ";  // U+2047, as SentencePiece shows an unknown token
constexpr std::uint64_t kMostPieces = 1u << 22;

std::string with_spaces(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const bool boundary = text.starts_with(kWordBoundary);
    result += boundary ? ' ' : text.front();
    text.remove_prefix(boundary ? kWordBoundary.size() : 1);
  }
  return result;
}

/// The byte that a piece `<0xHH>` stands for.
std::optional<std::uint8_t> byte_of(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return std::nullopt;
  std::uint8_t value = 0;
  const char* last = piece.data() + 5;
  const auto [end, error] = std::from_chars(piece.data() + 3, last, value, 16);
  if (error != std::errc{} || end != last) return std::nullopt;
  return value;
}

/// Bytes of the UTF-8 character that `text` (not empty) begins with; 1 for a byte that begins none.
std::size_t character_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  std::size_t length = 1;
  if (lead >= 0xf0 && lead < 0xf8) {
    length = 4;
  } else if (lead >= 0xe0) {
    length = lead < 0xf0 ? 3 : 1;
  } else if (lead >= 0xc0) {
    length = 2;
  }
  if (length > text.size()) return 1;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 1;
  }
  return length;
}

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

/// A stretch of the text during merging, in a doubly linked list.
struct Symbol {
  std::uint32_t previous, next;
  std::string_view text;  ///< empty once merged into its left neighbour
  std::uint32_t id;
  bool mergeable;  ///< a piece, not a byte or the unknown token
};

/// Two neighbours whose concatenation is a piece. Stale when either has changed since.
struct Pair {
  float score;
  std::uint32_t left, right;
  std::size_t length;
  std::uint32_t id;

  /// The best score comes first, then the leftmost pair.
  friend bool operator<(const Pair& a, const Pair& b) {
    return a.score != b.score ? a.score < b.score : a.left > b.left;
  }
};

}  // namespace

Tokenizer::Tokenizer(Vocabulary vocabulary, const std::string& where)
    : vocabulary_(std::move(vocabulary)) {
  const std::size_t count = vocabulary_.pieces.size();
  if (count == 0 || count > kMostPieces) {
    throw ConfigError(
        fmt::format("{}: a vocabulary of {} pieces, expected 1 to {}", where, count, kMostPieces));
  }
  if (vocabulary_.scores.size() != count || vocabulary_.types.size() != count) {
    throw ConfigError(fmt::format("{}: {} pieces, {} scores and {} types; expected as many of each",
                                  where, count, vocabulary_.scores.size(),
                                  vocabulary_.types.size()));
  }
  for (const std::uint32_t special : {vocabulary_.bos, vocabulary_.eos, vocabulary_.unknown}) {
    if (special >= count) {
      throw ConfigError(
          fmt::format("{}: special token {} in a vocabulary of {}", where, special, count));
    }
  }
  std::vector<std::uint32_t> bytes(256, kNone);
  id_of_.reserve(count);
  for (std::uint32_t id = 0; id < count; ++id) {
    if (!std::isfinite(vocabulary_.scores[id])) {
      throw ConfigError(fmt::format("{}: the score of token {} is not a number", where, id));
    }
    std::string& piece = vocabulary_.pieces[id];
    switch (vocabulary_.types[id]) {
      case TokenType::normal:
      case TokenType::user_defined:
        piece = with_spaces(piece);
        if (!piece.empty()) id_of_.emplace(piece, id);  // the first of equals
        break;
      case TokenType::byte: {
        const auto value = byte_of(piece);
        if (!value) {
          throw ConfigError(fmt::format("{}: byte token {} is {}, expected '<0xHH>'", where, id,
                                        printable(piece)));
        }
        if (bytes[*value] == kNone) bytes[*value] = id;
        break;
      }
      case TokenType::unknown:
      case TokenType::control:
      case TokenType::unused:
        break;
    }
  }
  if (std::find(bytes.begin(), bytes.end(), kNone) == bytes.end()) byte_ids_ = std::move(bytes);
}

std::vector<std::uint32_t> Tokenizer::encode(std::string_view text, bool bos) const {
  std::vector<std::uint32_t> ids;
  if (bos) ids.push_back(vocabulary_.bos);
  if (text.empty()) return ids;
  const std::vector<std::uint32_t> merged = merge(
      with_spaces(vocabulary_.add_space_prefix ? " " + std::string(text) : std::string(text)));
  ids.insert(ids.end(), merged.begin(), merged.end());
  return ids;
}

std::vector<std::uint32_t> Tokenizer::merge(std::string_view text) const {
  if (text.size() >= kNone)
    throw ConfigError(fmt::format("a text of {} bytes; at most {}", text.size(), kNone - 1));
  std::vector<Symbol> symbols;
  auto append = [&](std::string_view piece, std::uint32_t id, bool mergeable) {
    const auto index = static_cast<std::uint32_t>(symbols.size());
    symbols.push_back({index == 0 ? kNone : index - 1, index + 1, piece, id, mergeable});
  };
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view character = rest.substr(0, character_length(rest));
    rest.remove_prefix(character.size());
    if (const auto it = id_of_.find(character); it != id_of_.end()) {
      append(character, it->second, true);
    } else if (byte_ids_.empty()) {
      append(character, vocabulary_.unknown, false);
    } else {
      for (std::size_t i = 0; i < character.size(); ++i) {
        append(character.substr(i, 1), byte_ids_[static_cast<unsigned char>(character[i])], false);
      }
    }
  }
  if (symbols.empty()) return {};
  symbols.back().next = kNone;

  std::priority_queue<Pair> pairs;
  auto offer = [&](std::uint32_t left, std::uint32_t right) {
    if (left == kNone || right == kNone || !symbols[left].mergeable || !symbols[right].mergeable)
      return;
    const std::string_view joined(symbols[left].text.data(),
                                  symbols[left].text.size() + symbols[right].text.size());
    const auto it = id_of_.find(joined);
    if (it == id_of_.end()) return;
    pairs.push({vocabulary_.scores[it->second], left, right, joined.size(), it->second});
  };
  for (std::uint32_t i = 1; i < symbols.size(); ++i) offer(i - 1, i);
  while (!pairs.empty()) {
    const Pair best = pairs.top();
    pairs.pop();
    Symbol& left = symbols[best.left];
    Symbol& right = symbols[best.right];
    const bool stale = left.text.empty() || right.text.empty() || left.next != best.right ||
                       left.text.size() + right.text.size() != best.length;
    if (stale) continue;
    left.text = std::string_view(left.text.data(), best.length);
    left.id = best.id;
    left.next = right.next;
    if (right.next != kNone) symbols[right.next].previous = best.left;
    right.text = {};
    offer(left.previous, best.left);
    offer(best.left, left.next);
  }

  std::vector<std::uint32_t> ids;
  for (std::uint32_t i = 0; i != kNone; i = symbols[i].next) ids.push_back(symbols[i].id);
  return ids;
}

std::string Tokenizer::decode(std::span<const std::uint32_t> ids) const {
  std::string text;
  bool first = true;
  for (const std::uint32_t id : ids) {
    if (id >= size()) throw ConfigError(fmt::format("token {} in a vocabulary of {}", id, size()));
    const std::string& piece = vocabulary_.pieces[id];
    switch (vocabulary_.types[id]) {
      case TokenType::normal:
      case TokenType::user_defined:
        text += first && vocabulary_.add_space_prefix && piece.starts_with(' ') ? piece.substr(1)
                                                                                : piece;
        break;
      case TokenType::byte:
        text += static_cast<char>(*byte_of(piece));
        break;
      case TokenType::unknown:
        text += kUnknownText;
        break;
      case TokenType::control:
      case TokenType::unused:
        continue;
    }
    first = false;
  }
  return text;
}

Tokenizer read_llama2c_tokenizer(const std::string& path) {
  const FileBytes file = FileBytes::map(path);
  ByteReader reader(file.bytes(), path);
  const auto longest = reader.read<std::int32_t>("the longest piece's length");
  constexpr std::int32_t kLongestPiece = 1 << 16;
  if (longest < 1 || longest > kLongestPiece) {
    throw ConfigError(
        fmt::format("{}: the longest piece is said to have {} bytes, expected 1 to {}: not a "
                    "llama2.c tokenizer",
                    path, longest, kLongestPiece));
  }
  Vocabulary vocabulary;
  while (reader.left() > 0) {
    const std::string label = fmt::format("token {}", vocabulary.pieces.size());
    const auto score = reader.read<float>(label);
    const auto length = reader.read<std::int32_t>(label);
    if (length < 0 || length > longest) {
      reader.fail(
          fmt::format("{} has a piece of {} bytes, expected 0 to {}", label, length, longest));
    }
    const std::span<const std::byte> data = reader.take(static_cast<std::uint64_t>(length), label);
    const std::string piece(reinterpret_cast<const char*>(data.data()), data.size());
    const std::size_t id = vocabulary.pieces.size();
    TokenType type = byte_of(piece) ? TokenType::byte : TokenType::normal;
    if (id == vocabulary.unknown) type = TokenType::unknown;
    if (id == vocabulary.bos || id == vocabulary.eos) type = TokenType::control;
    vocabulary.pieces.push_back(piece);
    vocabulary.scores.push_back(score);
    vocabulary.types.push_back(type);
  }
  return Tokenizer(std::move(vocabulary), path);
}

Tokenizer read_sentencepiece_vocab(const std::string& path) {
  const FileBytes file = FileBytes::map(path);
  std::string_view rest = file.text();
  Vocabulary vocabulary;
  for (std::size_t line = 1; !rest.empty(); ++line) {
    const std::size_t end = rest.find('\n');
    std::string_view text = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    const std::size_t tab = text.rfind('\t');
    if (tab == std::string_view::npos || tab == 0) {
      throw ConfigError(fmt::format("{}:{}: {}, expected a piece, a tab and a score", path, line,
                                    printable(text)));
    }
    const std::string_view piece = text.substr(0, tab), number = text.substr(tab + 1);
    float score = 0;
    const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), score);
    if (error != std::errc{} || stop != number.data() + number.size()) {
      throw ConfigError(
          fmt::format("{}:{}: the score is {}, expected a number", path, line, printable(number)));
    }
    TokenType type = byte_of(piece) ? TokenType::byte : TokenType::normal;
    const auto id = static_cast<std::uint32_t>(vocabulary.pieces.size());
    auto special = [&](std::string_view name, std::uint32_t& slot, TokenType special_type) {
      if (piece != name) return;
      slot = id;
      type = special_type;
    };
    special("<unk>", vocabulary.unknown, TokenType::unknown);
    special("<s>", vocabulary.bos, TokenType::control);
    special("</s>", vocabulary.eos, TokenType::control);
    vocabulary.pieces.emplace_back(piece);
    vocabulary.scores.push_back(score);
    vocabulary.types.push_back(type);
  }
  return Tokenizer(std::move(vocabulary), path);
}

}  // namespace systole::workloads
