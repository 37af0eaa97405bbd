// The SentencePiece-style tokeniser of the Llama family: byte-pair merging by score.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace systole::workloads {

/// Values as `tokenizer.ggml.token_type` stores them.
enum class TokenType : std::uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

/// What a tokeniser is made of; ids are indices.
struct Vocabulary {
  std::vector<std::string>
      pieces;  ///< UTF-8; a word boundary is U+2581 or a plain space, both read as a space
  std::vector<float> scores;  ///< the best-scored pair is merged first
  std::vector<TokenType> types;
  std::uint32_t bos = 1, eos = 2, unknown = 0;
  bool add_space_prefix = true;  ///< a space is put before a text that is not empty
};

/// Text to token ids and back.
///
/// encode: the text, a space before it, is cut into UTF-8 characters; a character that is no piece
/// becomes its bytes' tokens where the vocabulary has all 256, else `unknown`; then the adjacent
/// pair whose concatenation is the best-scored piece is merged, the leftmost of equals, until none
/// is. Control and byte pieces never match text. Source: llama2.c run.c encode(), whose quadratic
/// search is replaced by a heap with the same order.
class Tokenizer {
 public:
  /// `where` (a file) opens the message of the ConfigError for lists of different lengths, an empty
  /// vocabulary, special ids out of range, or scores that are not numbers.
  Tokenizer(Vocabulary vocabulary, const std::string& where);

  /// Token ids of `text`; the first is the beginning-of-text token when `bos`.
  std::vector<std::uint32_t> encode(std::string_view text, bool bos) const;

  /// The text of `ids`: control tokens are left out, and so is the space that encode() put in
  /// front. Errors: ConfigError for an id that is not in the vocabulary.
  std::string decode(std::span<const std::uint32_t> ids) const;

  std::uint32_t size() const { return static_cast<std::uint32_t>(vocabulary_.pieces.size()); }
  std::uint32_t bos() const { return vocabulary_.bos; }
  std::uint32_t eos() const { return vocabulary_.eos; }
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };

  std::vector<std::uint32_t> merge(std::string_view text) const;

  Vocabulary vocabulary_;
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> id_of_;
  std::vector<std::uint32_t> byte_ids_;  ///< 256, or empty without byte fallback
};

/// A llama2.c tokenizer `.bin`: int32 longest piece, then per id float score, int32 length, bytes;
/// ids 0, 1, 2 are unknown, beginning and end, `<0xHH>` are bytes. It does not hold its size: the
/// file's end ends it.
Tokenizer read_llama2c_tokenizer(const std::string& path);

/// A SentencePiece `.vocab` text file: per line a piece, a tab, a score; the id is the line number.
Tokenizer read_sentencepiece_vocab(const std::string& path);

}  // namespace systole::workloads
