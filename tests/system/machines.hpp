// Programs and machines that the system tests share, and a way to simulate more than once in a
// process.
#pragma once

#include <functional>
#include <string>

#include "configs/library.hpp"
#include "reports/json.hpp"
#include "sim/core/error.hpp"
#include "sim/system/simulate.hpp"
#include "workloads/lowering.hpp"

namespace systole::tests {

/// A model small enough for a hundred simulations a second, with every feature: grouped queries, a
/// group of 128 that divides one matrix and not another.
inline configs::ModelShape small_shape() {
  configs::ModelShape shape;
  shape.name = "small";
  shape.layers = 3;
  shape.hidden = 256;
  shape.intermediate = 512;
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.head_dim = 64;
  shape.vocab = 500;
  shape.max_positions = 4096;
  return shape;
}

inline workloads::Program small_program(const std::string& recipe = "mixpe-w4a8",
                                        std::uint64_t prefill = 40, std::uint64_t decode = 3) {
  return workloads::lower(small_shape(), configs::load_recipe(recipe), prefill, decode);
}

/// fp16 with the cached keys and values of another recipe.
inline configs::Recipe with_cache(const std::string& name) {
  configs::Recipe recipe = configs::load_recipe("fp16");
  const configs::Recipe kv = configs::load_recipe(name);
  for (const configs::Target target : {configs::Target::key, configs::Target::value})
    recipe[target] = kv[target];
  return recipe;
}

/// The small model with heads that every cache codec takes.
inline configs::ModelShape kv_shape() {
  configs::ModelShape shape = small_shape();
  shape.head_dim = 128;
  shape.heads = shape.kv_heads = 4;
  return shape;
}

/// What `work` returns, or "failed: " and what it threw, from a child process (SystemC elaborates
/// once a process).
std::string in_child(const std::function<std::string()>& work);

/// Simulates in a child process (SystemC elaborates once a process) and returns the result as JSON.
std::string simulate_in_child(const workloads::Program& program,
                              const configs::MachineConfig& machine,
                              const sim::SimulateOptions& options = {});

}  // namespace systole::tests
