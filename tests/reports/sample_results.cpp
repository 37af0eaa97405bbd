#include "tests/reports/sample_results.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sim/core/units.hpp"

namespace systole::reports {
namespace {

struct Machine {
  std::string name, recipe, weights, activations, kv;
  double weight_bits = 0;  ///< stored, scales included
  double activation_bits = 0;
  double macs_per_cycle = 0;
  double array_mm2 = 0;
  double mac_pj = 0;
};

struct Model {
  std::string name;
  std::uint64_t dim, hidden, layers, heads, kv_heads, vocab, prompt, decoded;
};

constexpr double kBytesPerCycle = 51.2;  // LPDDR5-6400 x64 at 1 GHz
constexpr std::uint64_t kVectorLanes = 128;

Machine machine_of(SampleMachine kind) {
  switch (kind) {
    case SampleMachine::mixpe_w4a8:
      return {"mixpe-128x128", "mixpe-w4a8", "int4 g128", "int8 token", "int8 token", 4.125, 8,
              16384,           6.42,         0.21};
    case SampleMachine::int8:
      return {"int8-112x112", "int8", "int8 channel", "int8 token", "int8 token", 8, 8, 12544,
              6.40,           0.31};
    default:
      return {"fp16-56x56", "fp16", "fp16", "fp16", "fp16", 16, 16, 3136, 6.38, 1.31};
  }
}

class Run {
 public:
  Run(const Machine& machine, const Model& model) : machine_(machine), model_(model) {}

  RunResult operator()() {
    result_.version = "0.1.0";
    result_.machine = machine_.name;
    result_.recipe = machine_.recipe;
    result_.model = model_.name;
    result_.seed = 1;
    result_.command = "systole run --model " + model_.name + " --machine " + machine_.name +
                      " --recipe " + machine_.recipe + " --prefill " +
                      std::to_string(model_.prompt) + " --decode " +
                      std::to_string(model_.decoded) + " --seed 1 --out run.h5";
    result_.clock_mhz = 1000;
    result_.prefill_tokens = model_.prompt;
    result_.decode_tokens = model_.decoded;
    result_.peak_macs_per_cycle = machine_.macs_per_cycle;
    result_.peak_dram_bytes_per_cycle = kBytesPerCycle;
    result_.memory_paths = {{"weight_scratchpad.read", 2048, 0},
                            {"activation_scratchpad.read", 512, 0}};
    for (const std::string_view name : kScratchpadNames) {
      result_.scratchpads.push_back({std::string(name), 256 * 1024, 0});
    }
    phase("prefill", model_.prompt, 1);
    phase("decode", 1, model_.decoded);
    totals();
    config_and_notes();
    over_time();
    return result_;
  }

 private:
  /// Rows one after the other in windows, the first operations piece by piece.
  void over_time() {
    RunResult& r = result_;
    r.window_cycles = ceil_div(r.cycles, kMostWindows);
    r.windows.resize(ceil_div(r.cycles, r.window_cycles));
    std::uint64_t at = 0;
    for (const OperationRow& row : r.operations) {
      TimeWindow& window = r.windows.at(std::min(at / r.window_cycles, r.windows.size() - 1));
      for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
        window.cycles_by_cause[c] += row.cycles_by_cause[c];
      }
      window.macs += row.macs;
      for (const std::uint64_t bytes : row.dram_read_bytes) window.dram_read_bytes += bytes;
      for (const std::uint64_t bytes : row.dram_write_bytes) window.dram_write_bytes += bytes;
      for (std::size_t s = 0; s < kScratchpadCount; ++s) {
        window.held_byte_cycles[s] += row.held_byte_cycles[s];
      }
      at += row.cycles;
    }
    r.steps.push_back(
        {"prefill", 1, model_.prompt, r.prefill_cycles, r.kv_bytes, r.kv_bytes_read, 0});
    r.steps.push_back({"decode", model_.decoded, model_.prompt + model_.decoded, r.decode_cycles,
                       r.kv_bytes, 0, r.kv_bytes_written});
    for (std::uint64_t i = 0; i < 4; ++i) {
      for (std::uint64_t s = 0; s < kScratchpadCount; ++s) {
        const std::uint64_t begin = i % 2 * 1'000'000;
        r.excerpt.levels.push_back(
            {i / 2 * 2, s, begin, begin + 1'000'000, (s + 1) * (i + 1) * 16'384});
      }
      const std::string stretch =
          i < 2 ? "prefill, embedding and layer 0" : "decode step 64, embedding and layer 0";
      r.excerpt.operations.push_back({stretch, r.operations[i % 2].name, i * 1000, 1000});
      for (std::uint64_t track = 0; track < kTimelineTrackCount; track += 3) {
        const std::uint64_t begin = i % 2 * 1'000'000 + track * 50'000;
        r.excerpt.bars.push_back({i, track, begin, begin + 400'000, 300'000, 2, 4096});
      }
    }
    r.sensitivities.push_back({"DRAM 10 % faster", "memory.dram.clock_mhz=880",
                               static_cast<double>(r.cycles) / (1050 * r.clock_mhz), r.ttft_ms,
                               r.tpot_ms.value_or(0) / 1.05, r.energy_pj, r.area_mm2});
  }

  void phase(const std::string& name, std::uint64_t tokens, std::uint64_t steps) {
    phase_ = name;
    tokens_ = tokens;
    const std::uint64_t l = model_.layers * steps, d = model_.dim, head = d / model_.heads;
    const std::uint64_t kv = head * model_.kv_heads,
                        context = model_.prompt + (name == "decode" ? model_.decoded : 0);
    vector("embedding", "embedding", steps, d);
    vector("rms_norm", "vector", 2 * l + steps, d);
    gemm("attn_q", l, d, d);
    gemm("attn_k", l, kv, d);
    gemm("attn_v", l, kv, d);
    vector("rope", "vector", l, d + kv);
    attention("attention.scores", l, context, head);
    vector("attention.softmax", "vector", l, context * model_.heads / 2);
    attention("attention.context", l, head, context);
    gemm("attn_output", l, d, d);
    gemm("ffn_gate", l, model_.hidden, d);
    gemm("ffn_up", l, model_.hidden, d);
    vector("swiglu", "vector", l, model_.hidden);
    gemm("ffn_down", l, d, model_.hidden);
    vector("residual_add", "vector", 2 * l, d);
    tokens_ = 1;
    gemm("output", steps, model_.vocab, d);
    vector("argmax", "vector", steps, model_.vocab);
  }

  OperationRow& row(const std::string& name, const std::string& kind, std::uint64_t repeats) {
    OperationRow& r = result_.operations.emplace_back();
    r.name = name;
    r.kind = kind;
    r.phase = phase_;
    r.repeats = repeats;
    return r;
  }

  /// Splits the cycles between what each limit asks for.
  void finish(OperationRow& r, double compute, double fill, double dequantise) {
    double bytes = 0;
    for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
      bytes += static_cast<double>(r.dram_read_bytes[c] + r.dram_write_bytes[c]);
    }
    r.compute_bound_cycles = static_cast<std::uint64_t>(std::ceil(compute));
    r.bandwidth_bound_cycles = static_cast<std::uint64_t>(std::ceil(bytes / kBytesPerCycle));
    const double streamed = bytes / (kBytesPerCycle * 0.87);
    const double busy = compute + fill + dequantise;
    r.cycles_by_cause[0] = r.compute_bound_cycles;
    r.cycles_by_cause[1] = static_cast<std::uint64_t>(fill);
    r.cycles_by_cause[2] = static_cast<std::uint64_t>(std::max(0.0, streamed - busy));
    r.cycles_by_cause[3] = static_cast<std::uint64_t>(compute * 0.02);
    r.cycles_by_cause[4] = static_cast<std::uint64_t>(dequantise);
    r.cycles_by_cause[5] = r.repeats * 220;
    for (const std::uint64_t cycles : r.cycles_by_cause) r.cycles += cycles;
    static const char* const kBounds[] = {"compute",    "fill/drain", "bandwidth",
                                          "scratchpad", "dequantise", "dependency"};
    r.bound = kBounds[std::max_element(r.cycles_by_cause.begin(), r.cycles_by_cause.end()) -
                      r.cycles_by_cause.begin()];
    // Operands are used by many rows and columns each.
    r.path_bytes = {r.macs / 16, r.macs / 64};
    r.held_byte_cycles = {r.cycles * 200'000, r.cycles * 50'000,
                          r.cycles * (r.macs > 0 ? 90'000 : 0)};
    for (std::size_t s = 0; s < kScratchpadCount; ++s) {
      result_.scratchpads[s].held_byte_cycles += r.held_byte_cycles[s];
    }
    for (std::size_t p = 0; p < r.path_bytes.size(); ++p) {
      result_.memory_paths[p].bytes += r.path_bytes[p];
    }
    r.energy_pj["dram"] = bytes * 8 * 3.9;
    r.energy_pj["array"] = static_cast<double>(r.macs) * machine_.mac_pj;
    r.energy_pj["weight_scratchpad"] = bytes * 1.6;
    r.energy_pj["activation_scratchpad"] = static_cast<double>(r.macs) * 0.02 + bytes * 0.5;
    r.energy_pj["output_scratchpad"] = static_cast<double>(r.macs) * 0.01;
    if (dequantise > 0) r.energy_pj["dequantiser"] = dequantise * 260;
    if (r.macs == 0) r.energy_pj["vector"] = compute * 310;
    result_.events.add("array.mac", r.macs);
    result_.events.add("dram.read_bit",
                       8 * (r.dram_read_bytes[0] + r.dram_read_bytes[1] + r.dram_read_bytes[2]));
    result_.events.add("dram.write_bit", 8 * (r.dram_write_bytes[1] + r.dram_write_bytes[2]));
    result_.events.add("sram.weight.read_word", r.macs / 128);
  }

  static std::uint64_t bytes(double elements, double bits) {
    return static_cast<std::uint64_t>(elements * bits / 8);
  }

  void gemm(const std::string& name, std::uint64_t repeats, std::uint64_t n, std::uint64_t k) {
    OperationRow& r = row(name, "gemm", repeats);
    r.m = tokens_;
    r.n = n;
    r.k = k;
    r.weight_format = machine_.weights;
    r.activation_format = machine_.activations;
    r.macs = repeats * tokens_ * n * k;
    const auto times = static_cast<double>(repeats);
    const double elements = static_cast<double>(n) * static_cast<double>(k);
    r.dram_read_bytes[0] = bytes(times * elements, machine_.weight_bits);
    if (tokens_ > 1) {
      r.dram_read_bytes[1] =
          bytes(times * static_cast<double>(tokens_ * k), machine_.activation_bits);
      r.dram_write_bytes[1] = bytes(times * static_cast<double>(tokens_ * n), 16);
    }
    if (name == "attn_k" || name == "attn_v") {
      r.dram_write_bytes[2] =
          bytes(times * static_cast<double>(tokens_ * n), machine_.activation_bits);
    }
    const double compute = static_cast<double>(r.macs) / machine_.macs_per_cycle;
    const double side = std::sqrt(machine_.macs_per_cycle);
    finish(r, compute, times * 3 * side + (tokens_ > 1 ? 0.06 * compute : 0.0),
           machine_.weight_bits < 8 ? 0.03 * compute : 0);
    const std::uint64_t once = r.cycles / repeats;
    const std::uint64_t rows = std::min<std::uint64_t>(tokens_, 256);
    const std::string order = rows < tokens_ ? "weights_outer" : "rows_outer";
    MappingChoice& mapping = r.mapping.emplace();
    mapping.objective = "cycles";
    mapping.chosen = Tiling{rows, 512, k, order, once, once / 90, 1e7, 1000};
    mapping.runner_up = Tiling{rows, 256, k, order, once + once / 32, once / 90, 1.1e7, 1000};
    mapping.estimated_cycles = once * repeats;
  }

  void attention(const std::string& name, std::uint64_t repeats, std::uint64_t n, std::uint64_t k) {
    OperationRow& r = row(name, "attention", repeats);
    r.m = tokens_;
    r.n = n;
    r.k = k;
    r.weight_format = machine_.kv;
    r.activation_format = machine_.activations;
    r.macs = repeats * model_.heads * tokens_ * n * k / (tokens_ > 1 ? 2 : 1);
    r.dram_read_bytes[2] =
        bytes(static_cast<double>(repeats * model_.kv_heads * n * k), machine_.activation_bits);
    const double peak = machine_.macs_per_cycle * 0.5;
    const double compute = static_cast<double>(r.macs) / peak;
    finish(r, compute, 0.11 * compute + static_cast<double>(repeats * model_.heads * 40), 0);
  }

  void vector(const std::string& name, const std::string& kind, std::uint64_t repeats,
              std::uint64_t width) {
    OperationRow& r = row(name, kind, repeats);
    r.m = tokens_;
    r.n = width;
    if (kind == "embedding") r.dram_read_bytes[0] = repeats * tokens_ * width * 2;
    finish(r, static_cast<double>(repeats * tokens_ * ((width + kVectorLanes - 1) / kVectorLanes)),
           0, 0);
  }

  void totals() {
    std::map<std::string, double> dynamic;
    for (const OperationRow& r : result_.operations) {
      result_.cycles += r.cycles;
      (r.phase == "prefill" ? result_.prefill_cycles : result_.decode_cycles) += r.cycles;
      for (const auto& [component, pj] : r.energy_pj) dynamic[component] += pj;
    }
    result_.ttft_ms = static_cast<double>(result_.prefill_cycles) * 1e-6;
    result_.tpot_ms =
        static_cast<double>(result_.decode_cycles) * 1e-6 / static_cast<double>(model_.decoded);
    const auto time = static_cast<double>(result_.cycles);  // ns; x mW = pJ
    const auto part = [&](const std::string& name, double milliwatts, double area,
                          const char* area_source, const char* energy_source) {
      result_.components.push_back(
          {name, dynamic[name], time * milliwatts, area, area_source, energy_source});
      result_.energy_pj += dynamic[name] + time * milliwatts;
      result_.area_mm2 += area;
    };
    part("array", 61, machine_.array_mm2, "MixPE table 3, 28 nm", "MixPE table 3, 28 nm");
    if (machine_.weight_bits < 8)
      part("dequantiser", 4, 0.31, "assumed: 5 % of the array", "assumed");
    part("vector", 9, 0.84, "assumed", "assumed");
    part("weight_scratchpad", 18, 1.6, "CACTI 7, 1 MiB, 28 nm", "CACTI 7, 1 MiB, 28 nm");
    part("activation_scratchpad", 12, 0.84, "CACTI 7, 512 KiB, 28 nm", "CACTI 7, 512 KiB, 28 nm");
    part("output_scratchpad", 8, 0.68, "CACTI 7, 256 KiB, 28 nm", "CACTI 7, 256 KiB, 28 nm");
    part("dram", 182, 0, "off chip", "LPDDR5 data sheet, IDD2N and IDD5; 3.9 pJ/bit transfer");
  }

  void config_and_notes() {
    result_.config_echo = {
        {"machine.name", machine_.name},
        {"machine.clock_mhz", "1000"},
        {"array.rows", std::to_string(static_cast<int>(std::sqrt(machine_.macs_per_cycle)))},
        {"array.columns", std::to_string(static_cast<int>(std::sqrt(machine_.macs_per_cycle)))},
        {"array.dataflow", "weight_stationary"},
        {"vector.lanes", std::to_string(kVectorLanes)},
        {"memory.scratchpad.capacity_bytes", "2097152"},
        {"memory.scratchpad.banks", "16"},
        {"memory.dram.standard", "lpddr5-6400"},
        {"memory.dram.channels", "4"},
        {"recipe.linear.weights", machine_.weights},
        {"recipe.linear.activations", machine_.activations},
        {"recipe.kv_cache", machine_.kv},
        {"model.dim", std::to_string(model_.dim)},
        {"model.layers", std::to_string(model_.layers)}};
    result_.notes = {
        {"decode interpolation",
         "Decode steps are simulated at 8 context lengths and interpolated between them; the "
         "largest error bound is 0.4 %."},
        {"norms in fp32",
         "RMSNorm, RoPE and softmax run in fp32 on the vector unit, as in the released code."},
        {"refresh",
         "All-bank refresh every 3.9 \u00b5s; per-bank refresh is not modelled, which overstates "
         "the loss."},
        {"static power",
         "Leakage is charged for the whole run at 25 \u00b0C; no power gating (assumed)."}};
  }

  Machine machine_;
  Model model_;
  RunResult result_;
  std::string phase_;
  std::uint64_t tokens_ = 0;
};

}  // namespace

RunResult sample_7b(SampleMachine machine) {
  return Run(machine_of(machine), {"llama-2-7b", 4096, 11008, 32, 32, 32, 32000, 2048, 64})();
}

RunResult sample_small(SampleMachine machine) {
  RunResult r = Run(machine_of(machine), {"stories15M", 288, 768, 6, 6, 6, 32000, 256, 128})();
  const double perplexity = machine == SampleMachine::mixpe_w4a8 ? 3.6142
                            : machine == SampleMachine::int8     ? 3.5127
                                                                 : 3.5081;
  r.quality = Quality{perplexity, std::log(perplexity), 11843, "tinystories/eval50.txt", 0.0313};
  return r;
}

}  // namespace systole::reports
