// Fuzz target: GGUF files. Whatever the bytes are, the reader gives tensors within the file or one
// ConfigError; a model that loads has the sizes its shape says.
#include "workloads/gguf.hpp"

#include "sim/core/error.hpp"
#include "tests/fuzz/input.hpp"
#include "workloads/model.hpp"

using namespace systole;

namespace {

void read_everything(const workloads::GgufFile& file) {
  for (const workloads::GgufTensor& tensor : file.tensors()) {
    const std::vector<float> values = file.read_tensor(tensor.name, tensor.rows(), tensor.cols());
    fuzz::expect(values.size() == tensor.elements(), "a tensor of another size than its shape");
  }
  for (const auto& [key, value] : file.metadata()) {
    fuzz::expect(file.find(key) != nullptr, "a key that is listed and not found");
  }
}

void load(const std::string& path) {
  const workloads::LlamaModel model = workloads::load_model(path);
  const std::uint64_t hidden = model.shape.hidden;
  fuzz::expect(model.embedding.size() == model.shape.vocab * hidden, "embedding of another size");
  fuzz::expect(model.layers.size() == model.shape.layers, "another number of layers");
  if (model.tokenizer) (void)model.tokenizer->encode("a b\xc3\xa9", true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    read_everything(workloads::GgufFile::parse(fuzz::as_bytes(data, size), "fuzz.gguf"));
    load(fuzz::MemoryFile(data, size).path());
  } catch (const ConfigError&) {
  }
  return 0;
}
