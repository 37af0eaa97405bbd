// SCALE-Sim's topology files: what they mean, and that nothing in them can do harm.
#include "workloads/topology.hpp"

#include <gmock/gmock.h>

#include <random>

#include "refusal.hpp"
#include "temporary_file.hpp"

namespace systole::workloads {
namespace {

using testing_tools::expect_refusal;
using testing_tools::TemporaryFile;

const std::string kMnk = "Layer,M,N,K,\nqkv, 256, 2304, 768,\nout,256,768,768\n";
const std::string kConv =
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
    "Strides,\nConv1, 224, 224, 11, 11, 3, 96, 4,\r\n\nConv2,27,27,5,5,96,256,1,\n";

TEST(Topology, ReadsProducts) {
  const Topology topology = parse_topology(kMnk, "t.csv");
  EXPECT_EQ(topology.format, TopologyFormat::mnk);
  ASSERT_EQ(topology.layers.size(), 2u);
  EXPECT_EQ(topology.layers[0], (TopologyLayer{"qkv", 256, 2304, 768, {}}));
}

TEST(Topology, ReadsConvolutionsAsProducts) {
  const Topology topology = parse_topology("\xef\xbb\xbf" + kConv, "t.csv");
  EXPECT_EQ(topology.format, TopologyFormat::conv);
  ASSERT_EQ(topology.layers.size(), 2u);
  const TopologyLayer& first = topology.layers[0];
  EXPECT_EQ(first.m, 55u * 55) << "ceil((224 - 11 + 4) / 4)";
  EXPECT_EQ(first.n, 96u);
  EXPECT_EQ(first.k, 11u * 11 * 3);
  EXPECT_EQ(first.convolution, (Convolution{224, 224, 11, 11, 3, 96, 4}));
  EXPECT_EQ(topology.layers[1].m, 23u * 23);
}

TEST(Topology, TakesTheDenseSparsityOfVersion3) {
  const std::string dense = "a,b,c,d,e,f,g,h,Sparsity\nc1,8,8,3,3,4,5,1,1:1\n";
  EXPECT_EQ(parse_topology(dense, "t.csv").layers.size(), 1u);
  expect_refusal([&] { parse_topology("a,b,c,d,e,f,g,h,i\nc1,8,8,3,3,4,5,1,2:4\n", "t.csv"); },
                 "t.csv:2: found sparsity '2:4'");
}

TEST(Topology, ReadsAFile) {
  const TemporaryFile file(kMnk, ".csv");
  EXPECT_EQ(read_topology(file.path()).layers.size(), 2u);
  expect_refusal([] { read_topology("/nonexistent/t.csv"); }, "/nonexistent/t.csv");
}

TEST(Topology, NamesEveryFaultWithItsLine) {
  expect_refusal([] { parse_topology("Layer,M,N,K\na,1,x,3\nb,0,2,3\nc,1,2\n", "t.csv"); },
                 "t.csv:2: N: found 'x'; expected a whole number from 1 to 1048576",
                 "t.csv:3: M: found '0'", "t.csv:4: 3 columns; expected 4");
  expect_refusal([] { parse_topology("a,1,2,3\n", "t.csv"); },
                 "t.csv:1: the first line is a layer");
  expect_refusal([] { parse_topology("Layer,M\n", "t.csv"); }, "t.csv:1: a heading of 2 columns");
  expect_refusal([] { parse_topology("", "t.csv"); }, "t.csv: no layers");
  expect_refusal([] { parse_topology("Layer,M,N,K\n", "t.csv"); }, "t.csv: no layers");
  expect_refusal([] { parse_topology("Layer,M,N,K\na,-1,2,99999999999999999999\n", "t.csv"); },
                 "M: found '-1'", "K: found '99999999999999999999'");
  expect_refusal([] { parse_topology("Layer,M,N,K\na,1048576,1048576,1048576\n", "t.csv"); },
                 "t.csv:2: a layer of");
  expect_refusal([] { parse_topology("a,b,c,d,e,f,g,h\nc1,2,2,3,3,1,1,1\n", "t.csv"); },
                 "t.csv:2: a filter of 3 x 3 on an image of 2 x 2");
  expect_refusal(
      [] { parse_topology("Layer,M,N,K\n" + std::string(300, 'n') + ",1,2,3\n", "t.csv"); },
      "a name of 300 bytes");
  expect_refusal([] { parse_topology(kMnk, "t.csv", TopologyFormat::conv); },
                 "t.csv:2: 4 columns; expected 8");
}

TEST(Topology, BoundsWhatAFileMayHold) {
  std::string many = "Layer,M,N,K\n";
  for (int i = 0; i < 65537; ++i) many += "a,1,1,1\n";
  expect_refusal([&] { parse_topology(many, "t.csv"); }, "more than 65536 layers");
  expect_refusal([] { parse_topology(std::string(5u << 20, '\n'), "t.csv"); }, "at most 4194304");
}

TEST(Topology, SurvivesDamage) {
  std::mt19937 random(3);
  const std::string alphabet("0123456789,,\n\n\"'\0\xff -:xM", 22);
  for (int i = 0; i < 20000; ++i) {
    std::string text = i % 2 == 0 ? kMnk : kConv;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          text.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        default:
          text.erase(at, 1 + random() % 5);
      }
      if (text.empty()) text = "\n";
    }
    try {
      for (const TopologyLayer& layer : parse_topology(text, "t.csv").layers) {
        EXPECT_GE(layer.m, 1u);
        EXPECT_LE(static_cast<double>(layer.m) * static_cast<double>(layer.n) *
                      static_cast<double>(layer.k),
                  1.2e15);
      }
    } catch (const ConfigError&) {
    }
  }
}

}  // namespace
}  // namespace systole::workloads
