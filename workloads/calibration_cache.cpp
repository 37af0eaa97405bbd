// The cache file: magic, version, key, then every array in a fixed order, then a digest of all
// before it. Little-endian. Array lengths follow from the key alone, so the file holds none.
#include "workloads/calibration_cache.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "sim/core/error.hpp"
#include "workloads/file.hpp"

namespace systole::workloads {

using quant::LayerStatistics;

namespace {

constexpr std::array<char, 8> kMagic = {'S', 'Y', 'S', 'C', 'A', 'L', 'I', 'B'};
constexpr std::uint32_t kVersion = 1;

/// Two lanes of multiply-and-rotate over 8-byte words, the end padded with its length.
class Digest {
 public:
  void add(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    std::size_t i = 0;
    for (; i + 8 <= size; i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + i, 8);
      mix(word);
    }
    std::uint64_t last = 0;
    std::memcpy(&last, bytes + i, size - i);
    mix(last);
    mix(size);
  }
  template <class T>
  void add(const std::vector<T>& values) {
    add(values.data(), values.size() * sizeof(T));
  }
  template <class T>
  void value(T v) {
    static_assert(std::is_arithmetic_v<T>);
    add(&v, sizeof v);
  }
  std::array<std::uint64_t, 2> result() const { return lanes_; }

 private:
  void mix(std::uint64_t word) {
    lanes_[0] = std::rotl((lanes_[0] ^ word) * 0x9E3779B97F4A7C15u, 27);
    lanes_[1] = std::rotl((lanes_[1] + word) * 0xBF58476D1CE4E5B9u, 31) ^ word;
  }
  std::array<std::uint64_t, 2> lanes_{0x243F6A8885A308D3u, 0x13198A2E03707344u};
};

void add_model(Digest& digest, const LlamaModel& model) {
  const configs::ModelShape& s = model.shape;
  for (const std::uint64_t v :
       {std::uint64_t{s.layers}, std::uint64_t{s.hidden}, std::uint64_t{s.intermediate},
        std::uint64_t{s.heads}, std::uint64_t{s.kv_heads}, std::uint64_t{s.head_dim},
        std::uint64_t{s.vocab}}) {
    digest.value(v);
  }
  digest.value(static_cast<double>(s.rope_theta));
  digest.value(static_cast<double>(s.norm_epsilon));
  digest.add(model.embedding);
  for (const LayerWeights& w : model.layers) {
    for (const std::vector<float>* part :
         {&w.attn_norm, &w.q, &w.k, &w.v, &w.output, &w.ffn_norm, &w.gate, &w.up, &w.down}) {
      digest.add(*part);
    }
  }
  digest.add(model.final_norm);
}

/// How many rows SiteCollector keeps: every stride-th token.
std::uint64_t kept_rows(std::uint64_t tokens, std::uint64_t wanted) {
  if (wanted == 0 || tokens == 0) return 0;
  const std::uint64_t stride = std::max<std::uint64_t>(1, tokens / wanted);
  return std::min(wanted, (tokens + stride - 1) / stride);
}

/// Calls f(vector, length) for every array of floats, d(vector, length) for those of doubles, in
/// file order. Lengths come from the key.
template <class C, class F, class D, class S>
void for_each_array(C& calibration, const CacheKey& key, F&& floats, D&& doubles, S&& scalar) {
  const std::uint64_t rows = kept_rows(key.tokens, key.sample_rows);
  const auto site = [&](auto& s, std::uint64_t cols) {
    doubles(s.hessian, cols * cols);
    floats(s.mean_abs, cols);
    floats(s.absmax, cols);
    floats(s.sample, rows * cols);
  };
  const std::uint64_t kv = std::min(key.tokens, key.kv_tokens);
  for (auto& layer : calibration.layers) {
    for (std::size_t i = 0; i < 4; ++i) site(layer.sites[i], key.cols[i]);
    floats(layer.queries_before, kv * key.q_dim);
    floats(layer.queries, kv * key.q_dim);
    floats(layer.keys_before, kv * key.kv_dim);
    floats(layer.keys, kv * key.kv_dim);
    floats(layer.values, kv * key.kv_dim);
    floats(layer.key_sensitivity, key.kv_dim);
    doubles(layer.attention_received, kv);
    scalar(layer.cosine);
  }
  site(calibration.head, key.cols[4]);
}

std::vector<std::uint64_t> words_of(const CacheKey& key) {
  std::vector<std::uint64_t> words = {key.digest[0], key.digest[1], key.layers};
  words.insert(words.end(), key.cols.begin(), key.cols.end());
  words.insert(words.end(), {key.q_dim, key.kv_dim, key.tokens, key.sample_rows, key.kv_tokens});
  return words;
}

template <class T>
bool finite(const std::vector<T>& values) {
  return std::all_of(values.begin(), values.end(), [](T v) { return std::isfinite(v); });
}

/// Takes arrays out of a file; throws ConfigError (ByteReader's) when it is too short.
struct ArrayReader {
  ByteReader& in;
  bool good = true;

  template <class T>
  void array(std::vector<T>& out, std::uint64_t count) {
    if (count > in.left() / sizeof(T)) in.fail("a calibration that ends early");
    const std::span<const std::byte> bytes = in.take(count * sizeof(T), "an array");
    out.resize(static_cast<std::size_t>(count));
    if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    good = good && finite(out);
  }
};

Calibration read_content(ByteReader& in, const CacheKey& key, bool& good) {
  Calibration out;
  if (key.layers > in.left()) in.fail("more layers than bytes");
  out.layers.resize(static_cast<std::size_t>(key.layers));
  ArrayReader reader{in};
  for_each_array(
      out, key, [&](std::vector<float>& v, std::uint64_t n) { reader.array(v, n); },
      [&](std::vector<double>& v, std::uint64_t n) { reader.array(v, n); },
      [&](double& v) { v = in.read<double>("a cosine"); });
  for (LayerCalibration& layer : out.layers) {
    good = good && std::isfinite(layer.cosine);
    for (std::size_t i = 0; i < 4; ++i) {
      layer.sites[i].cols = static_cast<std::size_t>(key.cols[i]);
      layer.sites[i].tokens = key.tokens;
    }
  }
  out.head.cols = static_cast<std::size_t>(key.cols[4]);
  out.head.tokens = out.tokens = key.tokens;
  good = good && reader.good;
  return out;
}

}  // namespace

CacheKey cache_key(const LlamaModel& model, std::span<const std::vector<std::uint32_t>> sequences,
                   const CalibrationOptions& options) {
  CacheKey key;
  Digest digest;
  add_model(digest, model);
  for (const std::vector<std::uint32_t>& ids : sequences) {
    digest.add(ids);
    key.tokens += ids.size();
  }
  digest.value(static_cast<std::uint64_t>(options.weighting));
  key.digest = digest.result();
  const configs::ModelShape& s = model.shape;
  key.layers = s.layers;
  key.cols = {s.hidden, s.q_dim(), s.hidden, s.intermediate, s.hidden};
  key.q_dim = s.q_dim();
  key.kv_dim = s.kv_dim();
  key.sample_rows = options.sample_rows;
  key.kv_tokens = options.kv_tokens;
  return key;
}

std::optional<Calibration> read_calibration(const std::string& path, const CacheKey& key) {
  try {
    if (!std::filesystem::is_regular_file(path)) return std::nullopt;
    const FileBytes file = FileBytes::map(path);
    ByteReader in(file.bytes(), path);
    if (std::memcmp(in.take(kMagic.size(), "magic").data(), kMagic.data(), kMagic.size()) != 0 ||
        in.read<std::uint32_t>("version") != kVersion) {
      return std::nullopt;
    }
    for (const std::uint64_t word : words_of(key)) {
      if (in.read<std::uint64_t>("key") != word) return std::nullopt;
    }
    bool good = true;
    Calibration out = read_content(in, key, good);
    Digest digest;
    digest.add(file.bytes().data(), static_cast<std::size_t>(in.position()));
    for (const std::uint64_t lane : digest.result()) {
      good = good && in.read<std::uint64_t>("digest") == lane;
    }
    if (!good || in.left() != 0) return std::nullopt;
    return out;
  } catch (const ConfigError&) {  // too short, unreadable: as if there were none
    return std::nullopt;
  }
}

bool write_calibration(const std::string& path, const CacheKey& key,
                       const Calibration& calibration) {
  std::string bytes(kMagic.data(), kMagic.size());
  const auto put = [&bytes](const void* data, std::size_t size) {
    if (size != 0) bytes.append(static_cast<const char*>(data), size);
  };
  put(&kVersion, sizeof kVersion);
  for (const std::uint64_t word : words_of(key)) put(&word, sizeof word);
  const auto array = [&](const auto& values, std::uint64_t count) {
    SYSTOLE_CHECK(values.size() == count, "a calibration of another size than its key says");
    put(values.data(), values.size() * sizeof values[0]);
  };
  for_each_array(calibration, key, array, array, [&](double v) { put(&v, sizeof v); });
  Digest digest;
  digest.add(bytes.data(), bytes.size());
  for (const std::uint64_t lane : digest.result()) put(&lane, sizeof lane);

  const std::string beside = path + ".new-" + std::to_string(::getpid());
  bool written = false;
  {
    std::ofstream out(beside, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.close();
    written = out.good();
  }
  std::error_code error;
  if (written) std::filesystem::rename(beside, path, error);
  if (!written || error) {
    std::filesystem::remove(beside, error);
    return false;
  }
  return true;
}

}  // namespace systole::workloads
