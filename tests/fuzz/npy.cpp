// Fuzz target: NPY files. What is accepted can be written and reads back the same.
#include "quant/golden/npy.hpp"

#include <stdexcept>

#include "tests/fuzz/input.hpp"

using namespace systole;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  quant::NpyArray array;
  try {
    array = quant::parse_npy({data, size});
  } catch (const std::invalid_argument&) {
    return 0;
  }
  const auto file = quant::npy_file(array.type, array.shape, array.bytes);
  const quant::NpyArray again = quant::parse_npy(file);
  fuzz::expect(again.type == array.type && again.shape == array.shape && again.bytes == array.bytes,
               "an array that reads back as another");
  return 0;
}
