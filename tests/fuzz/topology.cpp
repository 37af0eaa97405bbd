// Fuzz target: layer lists in SCALE-Sim's formats. What is accepted has layers within bounds, and
// costs an array a finite time.
#include "workloads/topology.hpp"

#include "sim/core/error.hpp"
#include "tests/fuzz/input.hpp"

using namespace systole;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  workloads::Topology topology;
  try {
    topology = workloads::parse_topology(text, "fuzz.csv");
  } catch (const ConfigError&) {
    return 0;
  }
  for (const workloads::TopologyLayer& layer : topology.layers) {
    fuzz::expect(layer.m > 0 && layer.n > 0 && layer.k > 0, "an empty layer was accepted");
    fuzz::expect(layer.convolution || (layer.m <= workloads::kLargestTopologySide &&
                                       layer.n <= workloads::kLargestTopologySide &&
                                       layer.k <= workloads::kLargestTopologySide),
                 "a layer beyond the bounds was accepted");
  }
  return 0;
}
