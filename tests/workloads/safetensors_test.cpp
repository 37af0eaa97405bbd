// safetensors files and Hugging Face checkpoints.
#include "workloads/safetensors.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "quant/kernels/vector.hpp"
#include "tests/workloads/refusal.hpp"
#include "tests/workloads/tiny_model.hpp"
#include "workloads/hf_model.hpp"

namespace systole::workloads {
namespace {

using namespace testing_tools;
using nlohmann::json;

std::vector<std::byte> file_of(const std::string& header, std::size_t data) {
  std::vector<std::byte> bytes;
  append(bytes, std::uint64_t{header.size()});
  append(bytes, header.data(), header.size());
  bytes.resize(bytes.size() + data);
  return bytes;
}

template <class... Parts>
void refused(const std::string& header, std::size_t data, const Parts&... parts) {
  expect_refusal([&] { SafetensorsFile::parse(file_of(header, data), "x.safetensors"); },
                 "x.safetensors: ", parts...);
}

TEST(Safetensors, ReadsEveryTypeAsFloats) {
  // Codes of 2 and 3 in each type, by hand.
  auto bytes = file_of(R"({"__metadata__":{"format":"pt"},)"
                       R"("a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},)"
                       R"("b":{"dtype":"F16","shape":[1,2],"data_offsets":[4,8]},)"
                       R"("c":{"dtype":"I8","shape":[2],"data_offsets":[8,10]},)"
                       R"("d":{"dtype":"F64","shape":[],"data_offsets":[10,18]}})",
                       0);
  for (const unsigned v : {0x4000u, 0x4040u, 0x4000u, 0x4200u}) {
    append(bytes, static_cast<std::uint16_t>(v));
  }
  for (const int v : {2, -3}) append(bytes, static_cast<std::int8_t>(v));
  append(bytes, 2.5);
  const auto file = SafetensorsFile::parse(bytes, "x");
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.read(*file.find("a")), (std::vector<float>{2, 3}));
  EXPECT_EQ(file.read(*file.find("b")), (std::vector<float>{2, 3}));
  EXPECT_EQ(file.read(*file.find("c")), (std::vector<float>{2, -3}));
  EXPECT_EQ(file.read(*file.find("d")), (std::vector<float>{2.5}));
  EXPECT_EQ(file.metadata().front().second, "pt");
  expect_refusal([&] { file.read("a", std::array<std::uint64_t, 1>{3}); }, "is [2], expected [3]");
}

TEST(SafetensorsRefuses, WhatIsNotSaid) {
  refused("", 0, "does not begin with");
  refused("{", 0, "not JSON");
  refused("{} x", 0, "not JSON");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":1})", 4, "a second key 'a'");
  refused(R"({"a":{"dtype":"F8","shape":[1],"data_offsets":[0,4]}})", 4, "dtype 'F8'");
  refused(R"({"a":{"dtype":"F32","shape":[1]}})", 4, "dtype, shape and data_offsets");
  refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "whole numbers");
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "needs 8 bytes");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "expected 0");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, "the file has 5");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "data_offsets [4, 0]");
  refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
          "2^64");
  refused("{\"a\":" + std::string(100000, '['), 0, "deeper");
  std::vector<std::byte> huge;
  append(huge, ~std::uint64_t{0});
  expect_refusal([&] { SafetensorsFile::parse(huge, "x"); }, "x: ", "header of");
}

/// The tiny model as Hugging Face stores it: q and k rows for half-split pairs.
std::vector<float> half_split(const std::vector<float>& rows, std::size_t dim, std::size_t cols) {
  std::vector<float> out(rows.size());
  for (std::size_t r = 0; r < rows.size() / cols; ++r) {
    const std::size_t head = r / dim, i = r % dim;
    const std::size_t to = head * dim + (i % 2) * (dim / 2) + i / 2;
    for (std::size_t c = 0; c < cols; ++c) out[to * cols + c] = rows[r * cols + c];
  }
  return out;
}

class Checkpoint {
 public:
  void add(const std::string& name, std::vector<std::uint64_t> shape,
           const std::vector<float>& values) {
    header_[name] = {{"dtype", "F32"},
                     {"shape", shape},
                     {"data_offsets", {data_.size(), data_.size() + 4 * values.size()}}};
    append(data_, values.data(), 4 * values.size());
  }
  std::vector<std::byte> bytes() const {
    auto result = file_of(header_.dump(), 0);
    append(result, data_.data(), data_.size());
    return result;
  }

 private:
  json header_;
  std::vector<std::byte> data_;
};

Checkpoint checkpoint_of(const LlamaModel& model) {
  const configs::ModelShape& s = model.shape;
  Checkpoint file;
  file.add("model.embed_tokens.weight", {s.vocab, s.hidden}, model.embedding);
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const LayerWeights& w = model.layers[i];
    const std::string block = "model.layers." + std::to_string(i) + ".";
    file.add(block + "input_layernorm.weight", {s.hidden}, w.attn_norm);
    file.add(block + "post_attention_layernorm.weight", {s.hidden}, w.ffn_norm);
    file.add(block + "self_attn.q_proj.weight", {s.q_dim(), s.hidden},
             half_split(w.q, s.head_dim, s.hidden));
    file.add(block + "self_attn.k_proj.weight", {s.kv_dim(), s.hidden},
             half_split(w.k, s.head_dim, s.hidden));
    file.add(block + "self_attn.v_proj.weight", {s.kv_dim(), s.hidden}, w.v);
    file.add(block + "self_attn.o_proj.weight", {s.hidden, s.q_dim()}, w.output);
    file.add(block + "mlp.gate_proj.weight", {s.intermediate, s.hidden}, w.gate);
    file.add(block + "mlp.up_proj.weight", {s.intermediate, s.hidden}, w.up);
    file.add(block + "mlp.down_proj.weight", {s.hidden, s.intermediate}, w.down);
  }
  file.add("model.norm.weight", {s.hidden}, model.final_norm);
  return file;
}

json config_of(const LlamaModel& model) {
  const configs::ModelShape& s = model.shape;
  return {{"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", s.hidden},
          {"intermediate_size", s.intermediate},
          {"num_hidden_layers", s.layers},
          {"num_attention_heads", s.heads},
          {"num_key_value_heads", s.kv_heads},
          {"vocab_size", s.vocab},
          {"max_position_embeddings", s.max_positions},
          {"tie_word_embeddings", true}};
}

TEST(HuggingFace, ACheckpointIsTheModelItHolds) {
  const LlamaModel model = tiny_model(3);
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "systole-hf-test";
  std::filesystem::create_directories(folder);
  const auto bytes = checkpoint_of(model).bytes();
  std::ofstream(folder / "model.safetensors", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  std::ofstream(folder / "config.json") << config_of(model).dump();
  for (const std::string& path : {folder.string(), (folder / "model.safetensors").string()}) {
    const LlamaModel read = load_model(path);
    EXPECT_EQ(read.embedding, model.embedding);
    ASSERT_EQ(read.layers.size(), model.layers.size());
    EXPECT_EQ(read.layers[1].q, model.layers[1].q);
    EXPECT_EQ(read.layers[1].k, model.layers[1].k);
    EXPECT_EQ(read.layers[0].down, model.layers[0].down);
    EXPECT_TRUE(read.head.empty());
  }
  std::filesystem::remove_all(folder);
}

// rotate_half of transformers on half-split rows gives the interleaved rotation's values, so scores
// are the same: the pairs (i, i + d/2) and (2i, 2i + 1) carry the same numbers.
TEST(HuggingFace, RotatedQueriesAgreeWithRotateHalf) {
  const std::vector<float> head{1, 2, 3, 4, 5, 6, 7, 8};  // d = 8, one column
  const auto angles = quant::rope_angles(3, quant::rope_frequencies(8, 10000.0));
  std::vector<float> ours = interleave_rotary_rows(head, 8, 1);
  quant::rope(ours, angles);
  for (std::size_t i = 0; i < 4; ++i) {
    const float c = angles.cos[i], s = angles.sin[i];
    EXPECT_EQ(ours[2 * i], head[i] * c - head[i + 4] * s);
    EXPECT_EQ(ours[2 * i + 1], head[i] * s + head[i + 4] * c);
  }
}

TEST(HuggingFaceRefuses, WhatWouldComputeSomethingElse) {
  const LlamaModel model = tiny_model(3);
  Checkpoint file = checkpoint_of(model);
  const auto load = [&](const json& config) {
    return huggingface_model(SafetensorsFile::parse(file.bytes(), "m.safetensors"), config.dump(),
                             "config.json");
  };
  EXPECT_NO_THROW(load(config_of(model)));
  json scaled = config_of(model);
  scaled["rope_scaling"] = {{"rope_type", "llama3"}, {"factor", 8.0}};
  expect_refusal([&] { load(scaled); }, "config.json: ", "rope_scaling");
  json untied = config_of(model);
  untied["tie_word_embeddings"] = false;
  expect_refusal([&] { load(untied); }, "lm_head.weight");
  json deeper = config_of(model);
  deeper["num_hidden_layers"] = 3;
  expect_refusal([&] { load(deeper); }, "model.layers.2.");
  file.add("model.layers.0.self_attn.q_proj.bias", {model.shape.q_dim()},
           std::vector<float>(model.shape.q_dim()));
  expect_refusal([&] { load(config_of(model)); }, "q_proj.bias", "not part of a Llama model");
}

}  // namespace
}  // namespace systole::workloads
