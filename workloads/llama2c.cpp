#include "workloads/llama2c.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "sim/core/error.hpp"
#include "workloads/file.hpp"
#include "workloads/shape.hpp"

namespace systole::workloads {

using configs::ModelShape;

namespace {

constexpr std::uint32_t kMagic = 0x616b3432;  // "ak42"
constexpr std::uint64_t kHeaderBytes = 256;   // of version 1

/// The seven integers of every version's header.
struct Header {
  std::int32_t hidden, intermediate, layers, heads, kv_heads, vocab, positions;
};

Header read_header(ByteReader& reader) {
  Header header{};
  for (std::int32_t* field : {&header.hidden, &header.intermediate, &header.layers, &header.heads,
                              &header.kv_heads, &header.vocab, &header.positions}) {
    *field = reader.read<std::int32_t>("the header");
  }
  return header;
}

std::uint32_t positive(std::int32_t value, std::string_view name, const std::string& path) {
  if (value <= 0) {
    throw ConfigError(fmt::format(
        "{}: {} is {} in the header, expected at least 1: not a llama2.c checkpoint, or damaged",
        path, name, value));
  }
  return static_cast<std::uint32_t>(value);
}

/// The shape; `vocab` is already without its sign.
ModelShape shape_of(const Header& header, const std::string& path) {
  ModelShape shape;
  shape.source = path;
  shape.name = path.substr(path.find_last_of('/') + 1);
  if (const std::size_t dot = shape.name.find_last_of('.'); dot != std::string::npos && dot > 0)
    shape.name.resize(dot);
  shape.summary = "llama2.c checkpoint";
  shape.hidden = positive(header.hidden, "dim", path);
  shape.intermediate = positive(header.intermediate, "hidden_dim", path);
  shape.layers = positive(header.layers, "n_layers", path);
  shape.heads = positive(header.heads, "n_heads", path);
  shape.kv_heads = positive(header.kv_heads, "n_kv_heads", path);
  shape.vocab = positive(header.vocab, "vocab_size", path);
  shape.max_positions = positive(header.positions, "max_seq_len", path);
  shape.norm_epsilon = 1e-5;   // llama2.c run.c, rmsnorm()
  shape.rope_theta = 10000.0;  // llama2.c run.c, forward()
  shape = validated(std::move(shape), path);
  if (shape.q_dim() != shape.hidden) {  // holds by construction: head_dim = hidden / heads
    throw ConfigError(
        fmt::format("{}: dim {} is not a multiple of n_heads {}", path, shape.hidden, shape.heads));
  }
  return shape;
}

/// Floats of all layer matrices and norms, without embedding, head and final norm. Fits:
/// validated() bounds the shape.
std::uint64_t layer_floats(const ModelShape& s) {
  return s.layers * (2 * std::uint64_t{s.hidden} + 2 * s.hidden * (s.q_dim() + s.kv_dim()) +
                     3 * std::uint64_t{s.hidden} * s.intermediate);
}

void expect_size(const std::string& path, std::uint64_t found, std::uint64_t expected,
                 std::uint64_t or_else) {
  if (found == expected || found == or_else) return;
  throw ConfigError(fmt::format(
      "{}: {} bytes, but its header implies {}{}: truncated, damaged, or not a llama2.c checkpoint",
      path, found, expected,
      or_else == expected ? std::string() : fmt::format(" (or {})", or_else)));
}

/// Reads one matrix of every layer, as both versions store them: layer by layer.
void read_all(ByteReader& reader, LlamaModel& model, std::vector<float> LayerWeights::*member,
              std::uint64_t floats, std::string_view name) {
  for (LayerWeights& layer : model.layers) layer.*member = reader.floats(floats, name);
}

struct Sizes {
  explicit Sizes(const ModelShape& s)
      : norm(s.hidden),
        q(std::uint64_t{s.hidden} * s.q_dim()),
        kv(std::uint64_t{s.hidden} * s.kv_dim()),
        ffn(std::uint64_t{s.hidden} * s.intermediate),
        embedding(std::uint64_t{s.vocab} * s.hidden) {}
  std::uint64_t norm, q, kv, ffn, embedding;
};

LlamaModel read_version0(ByteReader& reader, std::uint64_t file_bytes) {
  Header header = read_header(reader);
  LlamaModel model;
  const bool tied = header.vocab > 0;
  // -INT32_MIN does not exist; positive() refuses what stays negative.
  if (!tied && header.vocab != std::numeric_limits<std::int32_t>::min())
    header.vocab = -header.vocab;
  model.shape = shape_of(header, reader.file());
  model.shape.tied_embedding = tied;
  const ModelShape& shape = model.shape;
  const Sizes size(shape);

  const std::uint64_t rotary =
      std::uint64_t{shape.max_positions} * shape.head_dim;  // cosines and sines
  const std::uint64_t weights = layer_floats(shape) + size.norm + size.embedding;
  const std::uint64_t head = tied ? 0 : size.embedding;
  // Files without the two obsolete tables exist for tied models only: the head lies behind the
  // tables.
  const std::uint64_t with_tables = reader.position() + 4 * (weights + rotary + head);
  expect_size(reader.file(), file_bytes, with_tables,
              tied ? with_tables - 4 * rotary : with_tables);

  model.layers.resize(shape.layers);
  model.embedding = reader.floats(size.embedding, "the embedding");
  read_all(reader, model, &LayerWeights::attn_norm, size.norm, "rms_att");
  read_all(reader, model, &LayerWeights::q, size.q, "wq");
  read_all(reader, model, &LayerWeights::k, size.kv, "wk");
  read_all(reader, model, &LayerWeights::v, size.kv, "wv");
  read_all(reader, model, &LayerWeights::output, size.q, "wo");
  read_all(reader, model, &LayerWeights::ffn_norm, size.norm, "rms_ffn");
  read_all(reader, model, &LayerWeights::gate, size.ffn, "w1");
  read_all(reader, model, &LayerWeights::down, size.ffn, "w2");
  read_all(reader, model, &LayerWeights::up, size.ffn, "w3");
  model.final_norm = reader.floats(size.norm, "rms_final");
  if (!tied) {
    reader.take(4 * rotary, "the rotary tables");
    model.head = reader.floats(size.embedding, "the classifier");
  }
  return model;
}

LlamaModel read_version1(ByteReader& reader, std::uint64_t file_bytes) {
  const Header header = read_header(reader);
  const auto shared = reader.read<std::uint8_t>("the shared-classifier flag");
  if (shared > 1)
    reader.fail(fmt::format("the shared-classifier flag is {}, expected 0 or 1", shared));
  LlamaModel model;
  model.shape = shape_of(header, reader.file());
  model.shape.tied_embedding = shared == 1;
  const ModelShape& shape = model.shape;
  const Sizes size(shape);
  const std::uint64_t floats =
      layer_floats(shape) + size.norm + size.embedding * (shared == 1 ? 1 : 2);
  expect_size(reader.file(), file_bytes, kHeaderBytes + 4 * floats, kHeaderBytes + 4 * floats);
  reader.take(kHeaderBytes - reader.position(), "the header");

  model.layers.resize(shape.layers);
  read_all(reader, model, &LayerWeights::attn_norm, size.norm, "attention norm");
  read_all(reader, model, &LayerWeights::ffn_norm, size.norm, "ffn norm");
  model.final_norm = reader.floats(size.norm, "final norm");
  model.embedding = reader.floats(size.embedding, "the embedding");
  read_all(reader, model, &LayerWeights::q, size.q, "wq");
  read_all(reader, model, &LayerWeights::k, size.kv, "wk");
  read_all(reader, model, &LayerWeights::v, size.kv, "wv");
  read_all(reader, model, &LayerWeights::output, size.q, "wo");
  read_all(reader, model, &LayerWeights::gate, size.ffn, "w1");
  read_all(reader, model, &LayerWeights::down, size.ffn, "w2");
  read_all(reader, model, &LayerWeights::up, size.ffn, "w3");
  if (shared == 0) model.head = reader.floats(size.embedding, "the classifier");
  return model;
}

}  // namespace

LlamaModel read_llama2c(const std::string& path) {
  const FileBytes file = FileBytes::map(path);
  ByteReader reader(file.bytes(), path);
  const auto first = reader.read<std::uint32_t>("the header");
  if (first != kMagic) {
    ByteReader from_start(file.bytes(), path);
    return read_version0(from_start, file.bytes().size());
  }
  const auto version = reader.read<std::int32_t>("the version");
  if (version == 2)
    reader.fail(
        "a llama2.c checkpoint of version 2 (int8); expected version 0 or 1: quantise fp32 weights "
        "here");
  if (version != 1)
    reader.fail(fmt::format("a llama2.c checkpoint of version {}, expected 0 or 1", version));
  return read_version1(reader, file.bytes().size());
}

}  // namespace systole::workloads
