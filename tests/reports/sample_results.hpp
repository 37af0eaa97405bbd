// Realistic results for tests and for looking at: Llama-2-7B (prefill and decode) and a 15 M
// parameter model with a perplexity, on three machines. A closed-form toy stands for the simulator:
// the figures are plausible and every sum holds, nothing more.
#pragma once

#include "sim/core/run_result.hpp"

namespace systole::reports {

enum class SampleMachine { mixpe_w4a8, int8, fp16 };

/// 2048 prompt tokens, 64 decoded; shapes only, so no perplexity.
RunResult sample_7b(SampleMachine machine = SampleMachine::mixpe_w4a8);

/// 15 M parameters, 256 prompt tokens, 128 decoded, with a perplexity.
RunResult sample_small(SampleMachine machine = SampleMachine::mixpe_w4a8);

}  // namespace systole::reports
