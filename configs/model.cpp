#include "configs/model.hpp"

namespace systole::configs {

std::uint64_t ModelShape::parameters() const {
  const std::uint64_t attention = 2 * std::uint64_t{hidden} * (q_dim() + kv_dim());
  const std::uint64_t swiglu = 3 * std::uint64_t{hidden} * intermediate;
  const std::uint64_t ffn =
      experts == 0 ? swiglu : experts * swiglu + std::uint64_t{experts} * hidden;
  const std::uint64_t norms = 2 * std::uint64_t{hidden};
  const std::uint64_t embedding = std::uint64_t{vocab} * hidden * (tied_embedding ? 1 : 2);
  return layers * (attention + ffn + norms) + embedding + hidden;
}

}  // namespace systole::configs
