// Fuzz target: request traces in Ramulator's and DRAMsim3's formats. What is accepted lies within
// the address space, in order of time, and plays to an end.
#include <sstream>

#include "memory/request_source.hpp"
#include "sim/core/error.hpp"
#include "tests/fuzz/input.hpp"

using namespace systole;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto format : {memory::TraceFormat::ramulator, memory::TraceFormat::dramsim3}) {
    std::istringstream stream(text);
    const auto source = memory::read_trace(stream, "fuzz.trace", format);
    try {
      std::uint64_t last = 0;
      while (const auto request = source->next()) {
        fuzz::expect(request->bytes == 64, "a request of another size");
        fuzz::expect(request->address + request->bytes > request->address, "a request that wraps");
        fuzz::expect(request->not_before >= last, "time that falls");
        last = request->not_before;
      }
    } catch (const ConfigError&) {
    }
  }
  return 0;
}
