// The mixed files of llama.cpp: tensor counts as its loader prints them.
#include "quant/ggml/mix.hpp"

#include <gtest/gtest.h>

#include <map>

namespace systole::quant {
namespace {

constexpr TensorRole kOfALayer[] = {
    TensorRole::attention_q,      TensorRole::attention_k, TensorRole::attention_v,
    TensorRole::attention_output, TensorRole::ffn_gate,    TensorRole::ffn_up,
    TensorRole::ffn_down,         TensorRole::vector,      TensorRole::vector};  // two norms

/// Tensors of each format in a llama model with an output matrix of its own.
std::map<Format, int> count(Mix mix, std::size_t layers, std::size_t cols,
                            const MixModel& model = {}) {
  std::map<Format, int> counts;
  for (const TensorRole role :
       {TensorRole::token_embedding, TensorRole::output, TensorRole::vector}) {
    ++counts[mixed_type(mix, role, 0, layers, cols, model)];
  }
  for (std::size_t layer = 0; layer < layers; ++layer) {
    for (const TensorRole role : kOfALayer)
      ++counts[mixed_type(mix, role, layer, layers, cols, model)];
  }
  return counts;
}

using Counts = std::map<Format, int>;

// Llama-2-7B: 32 layers, as many KV as query heads. "type q4_K: 193 tensors, type q6_K: 33 tensors"
// and so on: what llama.cpp prints on loading these files.
TEST(GgmlMix, ALlamaOf32LayersHasTheTensorCountsOfItsFiles) {
  EXPECT_EQ(count(Mix::q4_k_m, 32, 4096),
            (Counts{{Format::fp32, 65}, {Format::q4_k, 193}, {Format::q6_k, 33}}));
  EXPECT_EQ(count(Mix::q5_k_m, 32, 4096),
            (Counts{{Format::fp32, 65}, {Format::q5_k, 193}, {Format::q6_k, 33}}));
  EXPECT_EQ(count(Mix::q3_k_m, 32, 4096), (Counts{{Format::fp32, 65},
                                                  {Format::q3_k, 129},
                                                  {Format::q4_k, 92},
                                                  {Format::q5_k, 4},
                                                  {Format::q6_k, 1}}));
}

// By the rule of its source; no loader's print was at hand.
TEST(GgmlMix, Q2_KGivesValuesFourBitsWhereFourQueriesShareThem) {
  EXPECT_EQ(count(Mix::q2_k, 32, 4096, {.query_heads_per_kv_head = 4}),
            (Counts{{Format::fp32, 65},
                    {Format::q2_k, 129},
                    {Format::q3_k, 64},
                    {Format::q4_k, 32},
                    {Format::q6_k, 1}}));
  EXPECT_EQ(mixed_type(Mix::q2_k, TensorRole::attention_v, 3, 32, 4096), Format::q3_k);
}

TEST(GgmlMix, MoreBitsGoToBothEndsAndEveryThirdLayer) {
  std::vector<std::size_t> chosen;
  for (std::size_t layer = 0; layer < 32; ++layer) {
    if (use_more_bits(layer, 32)) chosen.push_back(layer);
  }
  EXPECT_EQ(chosen,
            (std::vector<std::size_t>{0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31}));
  // Fewer than 8 layers: no first eighth; 7 * 5 / 8 = 4.
  EXPECT_FALSE(use_more_bits(0, 5));
  EXPECT_TRUE(use_more_bits(2, 5));
  EXPECT_TRUE(use_more_bits(4, 5));
}

TEST(GgmlMix, The70BModelGetsFiveBitsForItsFewValueRows) {
  const MixModel shared{.query_heads_per_kv_head = 8};
  EXPECT_EQ(mixed_type(Mix::q4_k_m, TensorRole::attention_v, 11, 80, 8192, shared), Format::q5_k);
  EXPECT_EQ(mixed_type(Mix::q4_k_m, TensorRole::attention_v, 12, 80, 8192, shared), Format::q6_k);
  EXPECT_EQ(mixed_type(Mix::q4_k_m, TensorRole::attention_v, 11, 80, 8192), Format::q4_k);  // 65B
}

TEST(GgmlMix, ATiedEmbeddingCountsAsTheOutput) {
  const MixModel tied{.tied_embeddings = true};
  EXPECT_EQ(mixed_type(Mix::q4_k_m, TensorRole::token_embedding, 0, 16, 2048, tied), Format::q6_k);
  EXPECT_EQ(mixed_type(Mix::q4_k_m, TensorRole::token_embedding, 0, 16, 2048), Format::q4_k);
}

TEST(GgmlMix, RowsThatAreNotMultiplesOf256FallBack) {
  EXPECT_EQ(mixed_type(Mix::q4_k_m, TensorRole::output, 0, 5, 288), Format::q8_0);
  EXPECT_EQ(mixed_type(Mix::q4_k_m, TensorRole::attention_q, 0, 5, 288), Format::q5_0);
  EXPECT_EQ(mixed_type(Mix::q4_k_m, TensorRole::attention_v, 2, 5, 288), Format::q8_0);  // Q6_K
  EXPECT_EQ(mixed_type(Mix::q2_k, TensorRole::ffn_up, 0, 5, 288), Format::q4_0);
  EXPECT_EQ(mixed_type(Mix::q5_k_m, TensorRole::ffn_up, 0, 5, 172), Format::fp16);  // nor of 32
}

TEST(GgmlMix, RefusesALayerThatIsNotOneOfTheModel) {
  EXPECT_THROW(mixed_type(Mix::q4_k_m, TensorRole::attention_q, 5, 5, 256), std::invalid_argument);
  EXPECT_NO_THROW(mixed_type(Mix::q4_k_m, TensorRole::output, 5, 5, 256));
}

}  // namespace
}  // namespace systole::quant
