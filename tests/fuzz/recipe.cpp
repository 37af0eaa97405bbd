// Fuzz target: recipe YAML. What is accepted is valid, and prints as text that reads back to the
// same recipe.
#include "configs/recipe.hpp"

#include "configs/echo.hpp"
#include "configs/reader.hpp"
#include "configs/validate.hpp"
#include "sim/core/error.hpp"
#include "tests/fuzz/input.hpp"

using namespace systole;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  configs::Recipe recipe;
  try {
    recipe = configs::read_text<configs::Recipe>(text, "fuzz.yaml");
  } catch (const ConfigError&) {
    return 0;
  }
  fuzz::expect(configs::problems(recipe).empty(), "an invalid recipe was accepted");
  fuzz::expect(configs::read_text<configs::Recipe>(configs::show(recipe), "shown.yaml") == recipe,
               "the printed recipe reads back as another");
  return 0;
}
