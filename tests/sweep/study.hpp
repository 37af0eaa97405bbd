// A sweep of 150 points that the end-to-end tests share.
#pragma once

namespace systole::tests {

inline constexpr const char* kStudy =
    "name: study\nsummary: a test\n"
    "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: llama-2-7b, prefill: 512,\n"
    "       decode: 1, prompt: cached, timing: analytic}\n"
    "axes:\n"
    "  machine.array.rows: [32, 48, 64, 96, 128]\n"
    "  machine.array.cols: [32, 48, 64, 96, 128]\n"
    "  machine.memory.dram.channels: [4, 16, 32]\n"
    "  recipe: [mixpe-w4a8, w8a8]\n"
    "derived: {macs_of_array: machine.array.rows * machine.array.cols}\n"
    "constraints: [area_mm2 <= 40]\n"
    "objectives: [minimise: tpot_ms, maximise: tokens_per_joule]\n";

}  // namespace systole::tests
