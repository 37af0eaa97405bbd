#include "quant/storage.hpp"

#include <stdexcept>

namespace systole::quant {

std::uint64_t checked_product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product))
    throw std::overflow_error("stored_bits: more than 2^64 bits");
  return product;
}

std::uint64_t checked_sum(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum))
    throw std::overflow_error("stored_bits: more than 2^64 bits");
  return sum;
}

std::uint64_t StoredBits::total() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t part :
       {codes, scales, zeros, tags, codebook, sparse_values, sparse_indices, index, padding})
    sum = checked_sum(sum, part);
  return sum;
}

StoredBits& StoredBits::operator+=(const StoredBits& o) {
  codes = checked_sum(codes, o.codes);
  scales = checked_sum(scales, o.scales);
  zeros = checked_sum(zeros, o.zeros);
  tags = checked_sum(tags, o.tags);
  codebook = checked_sum(codebook, o.codebook);
  sparse_values = checked_sum(sparse_values, o.sparse_values);
  sparse_indices = checked_sum(sparse_indices, o.sparse_indices);
  index = checked_sum(index, o.index);
  padding = checked_sum(padding, o.padding);
  return *this;
}

}  // namespace systole::quant
