// Traces line by line, patterns by their definition, and the player in front of a channel.
#include "memory/request_source.hpp"

#include <gmock/gmock.h>

#include <sstream>

#include "devices.hpp"
#include "memory/request_player.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {
namespace {

std::vector<DramRequest> all(RequestSource& source) {
  std::vector<DramRequest> requests;
  while (auto request = source.next()) requests.push_back(*request);
  return requests;
}

std::vector<DramRequest> parse(const std::string& text, TraceFormat format) {
  std::istringstream stream(text);
  return all(*read_trace(stream, "t", format));
}

std::string refused(const std::string& text, TraceFormat format) {
  try {
    parse(text, format);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(RequestTrace, BothRamulatorFormsAndHexAndDecimalAreRead) {
  const auto requests =
      parse("LD 64\n\n# comment\nST 0x80\r\n 0xC0  R\n256 W", TraceFormat::ramulator);
  EXPECT_EQ(requests,
            (std::vector<DramRequest>{
                {64, 64, false, 0}, {128, 64, true, 0}, {192, 64, false, 0}, {256, 64, true, 0}}));
}

TEST(RequestTrace, Dramsim3LinesCarryTheirClock) {
  EXPECT_EQ(parse("0x40 READ 3\n0x80 WRITE 3\n", TraceFormat::dramsim3),
            (std::vector<DramRequest>{{64, 64, false, 3}, {128, 64, true, 3}}));
}

TEST(RequestTrace, ABadLineIsNamedWithItsNumberAndWhatWasExpected) {
  using testing::HasSubstr;
  EXPECT_THAT(refused("LD 64\nLD x\n", TraceFormat::ramulator),
              HasSubstr("t:2: found 'LD x'; expected 'LD ADDRESS'"));
  for (const char* line : {"LD", "LD 1 2", "64", "64 X", "ld 64", "LD -1", "LD 0x",
                           "LD 99999999999999999999", "LD 0xffffffffffffffff", "\x01\x02 R"}) {
    EXPECT_THAT(refused(line, TraceFormat::ramulator), HasSubstr("t:1: found '")) << line;
  }
  for (const char* line :
       {"0x40 READ", "0x40 LOAD 3", "0x40 READ x", "0x40 READ 999999999999999999"}) {
    EXPECT_THAT(refused(line, TraceFormat::dramsim3), HasSubstr("t:1: found '")) << line;
  }
  EXPECT_THAT(refused("0x40 READ 9\n0x40 READ 8\n", TraceFormat::dramsim3), HasSubstr("(at 9)"));
  EXPECT_THAT(refused(std::string(1'000'000, 'a'), TraceFormat::ramulator), HasSubstr("aaa..."));
}

TEST(RequestPattern, CoverTheirBytesInTheirOrder) {
  PatternConfig c;
  c.bytes = 4096;
  const auto sequence = all(*make_pattern(c));
  ASSERT_EQ(sequence.size(), 64u);
  EXPECT_EQ(sequence[63].address, 63u * 64);

  c.pattern = Pattern::tile;
  c.chunk = 128;
  const auto tile = all(*make_pattern(c));
  ASSERT_EQ(tile.size(), 128u);  // one tile of 64 rows
  EXPECT_EQ(tile[2].address, 8192u);

  c.pattern = Pattern::mixed;
  c.chunk = 64;
  c.bytes = 192;
  const auto mixed = all(*make_pattern(c));
  ASSERT_EQ(mixed.size(), 3u);
  EXPECT_TRUE(mixed[2].write);
  EXPECT_EQ(mixed[1].address, 128u << 20);

  c.pattern = Pattern::kv_gather;
  c.chunk = 0;
  c.bytes = 4096;
  const auto gather = all(*make_pattern(c));
  ASSERT_EQ(gather.size(), 64u);
  EXPECT_EQ(gather[16].address % 1024, 0u);
  EXPECT_EQ(gather[17].address, gather[16].address + 64);
}

TEST(RequestPattern, RefusesChunksThatDoNotFit) {
  PatternConfig c;
  c.bytes = 4096;
  c.chunk = 100;
  EXPECT_THROW(make_pattern(c), ConfigError);
  c.pattern = Pattern::tile;
  c.chunk = 16384;
  EXPECT_THROW(make_pattern(c), ConfigError);
}

TEST(RequestPlayer, StopsAndGoesOnWithoutChangingAnything) {
  PatternConfig c;
  c.pattern = Pattern::mixed;
  c.bytes = 3 << 20;
  const auto device = ddr4_3200();
  DramChannel once(device), pieces(device);
  RequestPlayer whole(once, 1), parts(pieces, 1);
  auto a = make_pattern(c), b = make_pattern(c);
  ASSERT_TRUE(whole.play(*a));
  for (Clock until = 777; !parts.play(*b, until); until += 777) {
  }
  EXPECT_EQ(parts.end(), whole.end());
  EXPECT_EQ(parts.requests(), whole.requests());
  EXPECT_EQ(pieces.counts().activates, once.counts().activates);
  EXPECT_EQ(pieces.counts().latency_clocks, once.counts().latency_clocks);
}

TEST(RequestPlayer, OffersNothingBeforeItsClock) {
  std::istringstream stream("0x40 READ 5000\n");
  const auto source = read_trace(stream, "t", TraceFormat::dramsim3);
  DramChannel channel(ddr4_3200());
  RequestPlayer player(channel, 1);
  player.play(*source);
  EXPECT_EQ(player.end(), 5000 + channel.idle_read_latency());
}

}  // namespace
}  // namespace systole::memory
