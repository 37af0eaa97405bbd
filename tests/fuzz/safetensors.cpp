// Fuzz target: safetensors files, as such and as the weights of a small Llama model.
#include "workloads/safetensors.hpp"

#include "sim/core/error.hpp"
#include "tests/fuzz/input.hpp"
#include "workloads/hf_model.hpp"

using namespace systole;

namespace {

/// The model that the seeds of the corpus hold.
constexpr const char* kConfig = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4,
  "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2,
  "num_key_value_heads": 1, "vocab_size": 5, "max_position_embeddings": 8,
  "tie_word_embeddings": true})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto file =
        workloads::SafetensorsFile::parse(fuzz::as_bytes(data, size), "fuzz.safetensors");
    for (const workloads::SafetensorsTensor& tensor : file.tensors()) {
      fuzz::expect(file.read(tensor).size() == tensor.elements(),
                   "a tensor of another size than its shape");
      fuzz::expect(file.find(tensor.name) == &tensor, "a tensor that is listed and not found");
    }
    (void)workloads::huggingface_model(file, kConfig, "config.json");
  } catch (const ConfigError&) {
  }
  return 0;
}
