#include "workloads/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <limits>

#include "tests/workloads/refusal.hpp"
#include "tests/workloads/temporary_file.hpp"
#include "tests/workloads/tiny_model.hpp"

namespace systole::workloads {
namespace {

using namespace testing_tools;
using testing::ElementsAre;

std::uint32_t id_of(const Tokenizer& tokenizer, std::string_view piece) {
  const auto& pieces = tokenizer.vocabulary().pieces;
  return static_cast<std::uint32_t>(std::find(pieces.begin(), pieces.end(), piece) -
                                    pieces.begin());
}

Tokenizer tiny() { return Tokenizer(tiny_vocabulary(270), "tiny"); }

TEST(Tokenizer, MergesTheBestScoredPairFirst) {
  const Tokenizer t = tiny();
  // "ab" scores above "bc" and above " a"; then "ab"+"c" = "abc". With " a" first it would be " a",
  // "bc".
  Vocabulary v = tiny_vocabulary(270);
  v.scores[id_of(t, " a")] = -9999;
  EXPECT_THAT(Tokenizer(v, "v").encode("abc", false), ElementsAre(id_of(t, " "), id_of(t, "abc")));
  v.scores[id_of(t, " a")] = -1;
  EXPECT_THAT(Tokenizer(v, "v").encode("abc", false), ElementsAre(id_of(t, " a"), id_of(t, "bc")));
}

TEST(Tokenizer, MergesTheLeftmostOfEqualPairs) {
  const Tokenizer t = tiny();
  Vocabulary v = tiny_vocabulary(270);
  v.add_space_prefix = false;
  EXPECT_THAT(Tokenizer(v, "v").encode("aaa", false), ElementsAre(id_of(t, "aa"), id_of(t, "a")));
}

TEST(Tokenizer, PutsASpaceBeforeATextThatIsNotEmpty) {
  const Tokenizer t = tiny();
  EXPECT_THAT(t.encode("b", true), ElementsAre(1, id_of(t, " "), id_of(t, "b")));
  EXPECT_THAT(t.encode("", true), ElementsAre(1));
  EXPECT_THAT(t.encode("", false), ElementsAre());
}

TEST(Tokenizer, FallsBackToBytesForUnknownCharacters) {
  const Tokenizer t = tiny();
  const std::uint32_t space = id_of(t, " ");
  EXPECT_THAT(t.encode("\xe2\x82\xac", false), ElementsAre(space, 3 + 0xe2, 3 + 0x82, 3 + 0xac));
  EXPECT_THAT(t.encode("\xc3\xa9", false), ElementsAre(space, id_of(t, "\xc3\xa9")));
  EXPECT_THAT(t.encode("\xff\xc3", false), ElementsAre(space, 3 + 0xff, 3 + 0xc3));  // not UTF-8
}

TEST(Tokenizer, GivesUnknownForEachCharacterWithoutByteFallback) {
  Vocabulary v = tiny_vocabulary(270);
  v.types[3 + 0x41] = TokenType::unused;  // one byte missing is enough
  const Tokenizer t(v, "v");
  EXPECT_THAT(t.encode("\xe2\x82\xac", false), ElementsAre(id_of(t, " "), 0));
}

TEST(Tokenizer, NeverMakesControlOrByteTokensFromText) {
  const Tokenizer t = tiny();
  for (const std::uint32_t id : t.encode("<s></s><unk><0x41>", false)) {
    EXPECT_GT(id, 2u);
  }
  EXPECT_EQ(t.decode(t.encode("<s><0x41>", true)), "<s><0x41>");
}

TEST(Tokenizer, DecodesWhatItEncoded) {
  const Tokenizer t = tiny();
  Random random(11);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    const std::int64_t length = random.uniform(1, 40);
    for (std::int64_t i = 0; i < length; ++i) {
      text += random.uniform(0, 3) != 0 ? static_cast<char>('a' + random.uniform(0, 2))
                                        : static_cast<char>(random.next());
    }
    // A word-boundary character in the text reads as a space, by design.
    if (text.find("\xe2\x96\x81") != std::string::npos) continue;
    EXPECT_EQ(t.decode(t.encode(text, true)), text);
  }
}

TEST(Tokenizer, MergesLikeTheQuadraticDefinition) {
  // llama2.c run.c encode(): scan all pairs, merge the best, leftmost of equals, again.
  const Tokenizer t = tiny();
  const Vocabulary& v = t.vocabulary();
  auto defined = [&](const std::string& text) {
    std::vector<std::string> parts;
    for (const char c : " " + text) parts.emplace_back(1, c);
    while (true) {
      float best = -std::numeric_limits<float>::infinity();
      std::size_t at = parts.size();
      for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
        const std::uint32_t id = id_of(t, parts[i] + parts[i + 1]);
        if (id < v.pieces.size() && v.scores[id] > best) {
          best = v.scores[id];
          at = i;
        }
      }
      if (at == parts.size()) break;
      parts[at] += parts[at + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    std::vector<std::uint32_t> ids;
    for (const std::string& part : parts) ids.push_back(id_of(t, part));
    return ids;
  };
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const std::int64_t length = random.uniform(1, 30);
    for (std::int64_t i = 0; i < length; ++i) text += "abc "[random.uniform(0, 3)];
    EXPECT_EQ(t.encode(text, false), defined(text)) << text;
  }
}

TEST(Tokenizer, RefusesAVocabularyThatDoesNotFitTogether) {
  auto refused = [](auto change, const char* part) {
    Vocabulary v = tiny_vocabulary(270);
    change(v);
    expect_refusal([&] { Tokenizer(v, "file.gguf"); }, "file.gguf: ", part);
  };
  refused([](Vocabulary& v) { v = {}; }, "a vocabulary of 0 pieces");
  refused([](Vocabulary& v) { v.scores.pop_back(); }, "270 pieces, 269 scores and 270 types");
  refused([](Vocabulary& v) { v.bos = 270; }, "special token 270 in a vocabulary of 270");
  refused([](Vocabulary& v) { v.scores[7] = std::numeric_limits<float>::quiet_NaN(); },
          "the score of token 7");
  refused([](Vocabulary& v) { v.pieces[5] = "<0xZZ>"; }, "byte token 5 is '<0xZZ>'");
}

TEST(Tokenizer, RefusesToDecodeAnIdItDoesNotHave) {
  const std::vector<std::uint32_t> ids = {270};
  expect_refusal([&] { tiny().decode(ids); }, "token 270 in a vocabulary of 270");
}

std::vector<std::byte> llama2c_tokenizer(const std::vector<std::string>& pieces,
                                         std::int32_t longest) {
  std::vector<std::byte> out;
  append(out, longest);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    append(out, -static_cast<float>(i));
    append(out, static_cast<std::int32_t>(pieces[i].size()));
    append(out, pieces[i].data(), pieces[i].size());
  }
  return out;
}

TEST(Llama2cTokenizer, ReadsPiecesWithPlainSpaces) {
  const TemporaryFile file(llama2c_tokenizer({"<unk>", "\n<s>\n", "\n</s>\n", " ", "a", " a"}, 6));
  const Tokenizer t = read_llama2c_tokenizer(file.path());
  EXPECT_THAT(t.encode("a a", true), ElementsAre(1, 5, 5));
  EXPECT_EQ(t.decode(t.encode("a a", true)), "a a");
}

TEST(Llama2cTokenizer, RefusesDamagedFiles) {
  auto refused = [](std::vector<std::byte> bytes, const char* part) {
    const TemporaryFile file(bytes);
    expect_refusal([&] { read_llama2c_tokenizer(file.path()); }, file.path(), part);
  };
  refused({}, "the longest piece's length needs 4 bytes");
  refused(llama2c_tokenizer({"a"}, 0), "said to have 0 bytes");
  refused(llama2c_tokenizer({"a"}, -7), "said to have -7 bytes");
  refused(llama2c_tokenizer({"aaaa"}, 3), "token 0 has a piece of 4 bytes, expected 0 to 3");
  refused(llama2c_tokenizer({}, 3), "a vocabulary of 0 pieces");
  refused(llama2c_tokenizer({"a", "b"}, 3), "special token 2 in a vocabulary of 2");
  std::vector<std::byte> cut = llama2c_tokenizer({"a", "b", "cc"}, 3);
  cut.pop_back();
  refused(cut, "token 2 needs 2 bytes, 1 are left");
}

TEST(SentencePieceVocab, NumbersPiecesByLine) {
  const TemporaryFile file("<unk>\t0\n<s>\t0\n</s>\t0\n\xe2\x96\x81\t-1\na\t-2.5\n", ".vocab");
  const Tokenizer t = read_sentencepiece_vocab(file.path());
  EXPECT_THAT(t.encode("a\na", true),
              ElementsAre(1, 3, 4, 0, 4));  // no newline and no bytes: unknown
}

TEST(SentencePieceVocab, RefusesALineThatIsNoPieceAndScore) {
  auto refused = [](std::string_view text, const char* part) {
    const TemporaryFile file(text, ".vocab");
    expect_refusal([&] { read_sentencepiece_vocab(file.path()); }, file.path(), part);
  };
  refused("", "a vocabulary of 0 pieces");
  refused("<unk>\t0\nabc\n", ":2: 'abc', expected a piece, a tab and a score");
  refused("<unk>\t0\n\n", ":2: ''");
  refused("<unk>\tzero\n", ":1: the score is 'zero'");
  refused("<unk>\t1.5x\n", "'1.5x'");
  refused("<unk>\tnan\na\t0\nb\t0\n", "the score of token 0 is not a number");
}

}  // namespace
}  // namespace systole::workloads
