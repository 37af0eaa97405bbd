// Models from each kind of file: the same weights come back, and what is wrong is refused by name.
#include "workloads/model.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "tests/workloads/refusal.hpp"
#include "tests/workloads/temporary_file.hpp"
#include "tests/workloads/tiny_model.hpp"
#include "workloads/hf_config.hpp"
#include "workloads/llama2c.hpp"

namespace systole::workloads {
namespace {

using namespace testing_tools;

void expect_same_weights(const LlamaModel& a, const LlamaModel& b) {
  EXPECT_EQ(a.embedding, b.embedding);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (std::size_t i = 0; i < a.layers.size(); ++i) {
    for (const auto member : {&LayerWeights::attn_norm, &LayerWeights::q, &LayerWeights::k,
                              &LayerWeights::v, &LayerWeights::output, &LayerWeights::ffn_norm,
                              &LayerWeights::gate, &LayerWeights::up, &LayerWeights::down}) {
      EXPECT_EQ(a.layers[i].*member, b.layers[i].*member);
    }
  }
  EXPECT_EQ(a.final_norm, b.final_norm);
  EXPECT_EQ(a.head, b.head);
  EXPECT_EQ(a.shape.tied_embedding, b.shape.tied_embedding);
  EXPECT_EQ(a.shape.head_dim, b.shape.head_dim);
  EXPECT_EQ(a.shape.max_positions, b.shape.max_positions);
}

TinyShape untied() {
  TinyShape shape;
  shape.tied = false;
  return shape;
}

TEST(LoadModel, ReadsAGgufModelWithItsTokenizer) {
  for (const TinyShape& shape : {TinyShape{}, untied()}) {
    const LlamaModel model = tiny_model(2, shape);
    const TemporaryFile file(as_gguf(model, GgmlType::f32).bytes(), ".gguf");
    const LlamaModel found = load_model(file.path());
    expect_same_weights(found, model);
    EXPECT_EQ(found.shape.name, "tiny");
    ASSERT_TRUE(found.tokenizer.has_value());
    EXPECT_EQ(found.tokenizer->encode("abc \xe2\x82\xac", true),
              model.tokenizer->encode("abc \xe2\x82\xac", true));
  }
}

TEST(LoadModel, ReadsLlama2cCheckpointsOfVersions0And1) {
  for (const TinyShape& shape : {TinyShape{}, untied()}) {
    for (const int version : {0, 1}) {
      const LlamaModel model = tiny_model(2, shape);
      const TemporaryFile file(as_llama2c(model, version));
      const LlamaModel found = load_model(file.path());
      expect_same_weights(found, model);
      EXPECT_FALSE(found.tokenizer.has_value());
    }
  }
}

TEST(LoadModel, RefusesAGgufThatIsNoLlama) {
  const LlamaModel model = tiny_model(2);
  auto refused = [&](auto change, const auto&... parts) {
    GgufWriter writer = as_gguf(model, GgmlType::f32);
    change(writer);
    const TemporaryFile file(writer.bytes(), ".gguf");
    expect_refusal([&] { load_model(file.path()); }, file.path(), parts...);
  };
  refused([](GgufWriter& w) { w.add("llama.rope.scaling.type", GgufValue::of("yarn")); },
          "'yarn', expected 'none'");
  refused([](GgufWriter& w) { w.add("llama.expert_count", GgufValue::of(8u)); },
          "mixture of experts");
  refused([](GgufWriter& w) { w.add("llama.rope.dimension_count", GgufValue::of(4u)); },
          "expected the head dimension 8");
  refused(
      [](GgufWriter& w) {
        w.add_tensor("blk.0.attn_q.bias", {2}, GgmlType::f32, std::vector<float>(2));
      },
      "tensor 'blk.0.attn_q.bias' is not part of a Llama model");
  refused([](GgufWriter& w) { w = {}; }, "has no key 'general.architecture'");
  refused(
      [](GgufWriter& w) {
        w = {};
        w.add("general.architecture", GgufValue::of("mamba"));
      },
      "general.architecture is 'mamba', expected 'llama'");
  refused(
      [](GgufWriter& w) {
        w = {};
        w.add("general.architecture", GgufValue::of(7u));
      },
      "'general.architecture' is of type uint32, expected a string");
}

TEST(LoadModel, RefusesAGgufWhoseShapeItsTensorsDoNotHave) {
  LlamaModel model = tiny_model(2);
  model.shape.intermediate = 32;
  GgufWriter writer;
  writer.add("general.architecture", GgufValue::of("llama"));
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, std::uint32_t>>{{"llama.block_count", 2000000000},
                                                          {"llama.embedding_length", 32},
                                                          {"llama.feed_forward_length", 0},
                                                          {"llama.attention.head_count", 5},
                                                          {"llama.context_length", 16}}) {
    writer.add(key, GgufValue::of(value));
  }
  writer.add_tensor("token_embd.weight", {32, 270}, GgmlType::f32, model.embedding);
  const TemporaryFile file(writer.bytes(), ".gguf");
  // All faults at once, and nothing is allocated for two billion layers.
  expect_refusal([&] { load_model(file.path()); }, "layers is 2000000000", "intermediate is 0",
                 "not a multiple of heads 5");
}

TEST(LoadModel, RefusesWeightsThatAreNotNumbers) {
  LlamaModel model = tiny_model(2);
  model.layers[1].up[7] = std::numeric_limits<float>::infinity();
  const TemporaryFile file(as_llama2c(model, 0));
  expect_refusal([&] { load_model(file.path()); }, file.path(),
                 "a weight of layer 1 holds inf at element 7");
}

TEST(LoadModel, RefusesATokenizerLargerThanTheModel) {
  TinyShape shape;
  shape.vocab = 5;
  const TemporaryFile model(as_llama2c(tiny_model(2, shape), 0));
  const TemporaryFile vocab("<unk>\t0\n<s>\t0\n</s>\t0\na\t0\nb\t0\nc\t0\n", ".vocab");
  expect_refusal([&] { load_model(model.path(), vocab.path()); }, vocab.path(), "6 tokens",
                 "embeddings for 5");
}

TEST(Llama2c, RefusesDamagedCheckpoints) {
  const std::vector<std::byte> good = as_llama2c(tiny_model(2), 0);
  auto refused = [&](auto change, const auto&... parts) {
    std::vector<std::byte> bytes = good;
    change(bytes);
    const TemporaryFile file(bytes);
    expect_refusal([&] { read_llama2c(file.path()); }, file.path(), parts...);
  };
  auto set = [](std::size_t field, std::int32_t value) {
    return [=](std::vector<std::byte>& bytes) { std::memcpy(bytes.data() + 4 * field, &value, 4); };
  };
  refused([](auto& b) { b.clear(); }, "the header needs 4 bytes, 0 are left");
  refused([](auto& b) { b.resize(20); }, "the header needs 4 bytes, 0 are left");
  refused([](auto& b) { b.pop_back(); }, "its header implies");
  refused([](auto& b) { b.push_back({}); }, "its header implies");
  refused(set(0, -1), "dim is -1 in the header");
  refused(set(1, 0), "hidden_dim is 0 in the header");
  refused(set(2, 2000000000), "layers is 2000000000");
  refused(set(3, 5), "not a multiple of heads 5");
  refused(set(4, 3), "heads 4 is not a multiple of kv_heads 3");
  refused(set(5, std::numeric_limits<std::int32_t>::min()), "vocab_size is -2147483648");
  refused(set(5, 269), "its header implies");
  refused(set(6, 0), "max_seq_len is 0");
  refused(
      [](auto& b) {
        const std::uint32_t head[2] = {0x616b3432, 2};
        std::memcpy(b.data(), head, 8);
      },
      "version 2 (int8)");
  refused(
      [](auto& b) {
        const std::uint32_t head[2] = {0x616b3432, 9};
        std::memcpy(b.data(), head, 8);
      },
      "version 9, expected 0 or 1");
}

TEST(Llama2c, MutationsNeverDoAnythingButReadOrRefuse) {
  TinyShape shape;
  shape.layers = 1;
  for (const int version : {0, 1}) {
    const std::vector<std::byte> good = as_llama2c(tiny_model(2, shape), version);
    Random random(23);
    for (int round = 0; round < 1000; ++round) {
      std::vector<std::byte> bytes = good;
      const auto at = static_cast<std::size_t>(random.uniform(0, 40));
      if (round % 5 == 0) {
        bytes.resize(
            static_cast<std::size_t>(random.uniform(0, static_cast<std::int64_t>(good.size()))));
      } else if (round % 2 == 0) {
        bytes[at] ^= std::byte{1} << random.uniform(0, 7);
      } else {
        const auto value = static_cast<std::uint32_t>(random.next() >> random.uniform(32, 63));
        std::memcpy(bytes.data() + at, &value, 4);
      }
      const TemporaryFile file(bytes);
      try {
        load_model(file.path());
      } catch (const ConfigError& error) {
        EXPECT_NE(std::string(error.what()).find(file.path()), std::string::npos);
      }
    }
  }
}

constexpr const char* kLlama31 =
    R"({"architectures": ["LlamaForCausalLM"], "attention_bias": false, "hidden_act": "silu",
  "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 131072, "num_attention_heads": 32,
  "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
  "rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "tie_word_embeddings": false, "vocab_size": 128256})";

TEST(HfConfig, ReadsTheShapeOfLlama31) {
  const configs::ModelShape shape = parse_hf_config(kLlama31, "config.json");
  EXPECT_EQ(shape.layers, 32u);
  EXPECT_EQ(shape.head_dim, 128u);
  EXPECT_EQ(shape.kv_heads, 8u);
  EXPECT_EQ(shape.rope_theta, 500000.0);
  EXPECT_EQ(shape.parameters(), 8030261248u);  // as the model card's 8.03B
}

TEST(HfConfig, ReadsASlidingWindow) {
  const configs::ModelShape shape = parse_hf_config(
      R"({"architectures": ["MistralForCausalLM"], "hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 4,
          "num_hidden_layers": 1, "vocab_size": 10, "max_position_embeddings": 32768, "sliding_window": 4096})",
      "config.json");
  EXPECT_EQ(shape.max_positions, 32768u);
  EXPECT_EQ(shape.sliding_window, 4096u);
  EXPECT_EQ(shape.kv_heads, 4u);  // absent: as many as heads
}

TEST(HfConfig, RefusesByNameAndPath) {
  auto refused = [](std::string_view from, std::string_view to, const auto&... parts) {
    std::string text = kLlama31;
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    expect_refusal([&] { parse_hf_config(text, "config.json"); }, "config.json: ", parts...);
  };
  refused("LlamaForCausalLM", "Qwen2ForCausalLM",
          "architecture 'Qwen2ForCausalLM' is not supported",
          "LlamaForCausalLM or MistralForCausalLM");
  refused("[\"LlamaForCausalLM\"]", "\"LlamaForCausalLM\"", "architectures is",
          "a list of one name");
  refused("\"architectures\"", "\"architecture\"", "architectures is missing");
  refused("\"hidden_size\": 4096,", "", "hidden_size is missing");
  refused("\"hidden_size\": 4096", "\"hidden_size\": \"4096\"",
          "hidden_size is '\"4096\"', expected an integer");
  refused("\"hidden_size\": 4096", "\"hidden_size\": -4096", "hidden_size is '-4096'");
  refused("\"hidden_size\": 4096", "\"hidden_size\": 4096.5", "hidden_size is '4096.5'");
  refused("\"vocab_size\": 128256", "\"vocab_size\": 99999999999", "vocab_size is '99999999999'");
  refused("\"vocab_size\": 128256", "\"vocab_size\": 0", "vocab is 0");
  refused("500000.0", "\"big\"", "rope_theta is '\"big\"', expected a number");
  refused("\"attention_bias\": false", "\"attention_bias\": true", "biases are not supported");
  refused("silu", "gelu", "hidden_act is 'gelu', expected 'silu'");
  refused("\"num_key_value_heads\": 8", "\"num_key_value_heads\": 7",
          "not a multiple of kv_heads 7");
  refused("}", "", "not JSON");
  expect_refusal([] { parse_hf_config("[]", "x.json"); }, "x.json: expected a JSON object");
  expect_refusal([] { parse_hf_config(std::string(100000, '['), "x.json"); }, "x.json: not JSON");
  expect_refusal([] { read_hf_config("/nonexistent/config.json"); }, "/nonexistent/config.json",
                 "No such file");
}

}  // namespace
}  // namespace systole::workloads
