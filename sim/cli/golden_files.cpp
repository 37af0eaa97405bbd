#include "sim/cli/golden_files.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "quant/golden/npy.hpp"
#include "quant/verify.hpp"
#include "reports/hdf5_file.hpp"
#include "sim/cli/console.hpp"
#include "sim/core/error.hpp"
#include "workloads/file.hpp"
#include "workloads/text.hpp"

namespace systole::cli {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;
using quant::Array;
using quant::Arrays;

namespace {

constexpr const char* kManifest = "manifest.json";
constexpr const char* kHdf5 = "systole.h5";
constexpr std::uint64_t kManifestVersion = 1;
constexpr std::size_t kLongestManifest = 1u << 20;

std::string options_name(const quant::KernelCase& c) { return c.drawn ? "drawn" : "usual"; }
std::string values_name(quant::Values values) {
  return std::string(quant::kValuesNames[static_cast<std::size_t>(values)]);
}

std::string fingerprint_text(const Array& array) {
  return fmt::format("{:016x}", quant::fingerprint(array));
}

ordered_json entry_of(const Array& array) {
  return {{"name", array.name},         {"type", quant::name_of(array.type)},
          {"shape", array.shape},       {"npy", array.name + ".npy"},
          {"hex", array.name + ".hex"}, {"fingerprint", fingerprint_text(array)}};
}

ordered_json manifest_of(const quant::KernelCase& c, const Arrays& operands,
                         const Arrays& results) {
  const quant::GoldenKernel& kernel = quant::golden_kernel(c.kernel);
  ordered_json manifest;
  manifest["systole_golden"] = kManifestVersion;
  manifest["kernel"] = kernel.name;
  manifest["contract"] = kernel.contract;
  manifest["source"] = kernel.source;
  manifest["formats"] = kernel.operands;
  manifest["case"] = {{"m", c.shape.m},
                      {"n", c.shape.n},
                      {"k", c.shape.k},
                      {"seed", c.seed},
                      {"values", values_name(c.values)},
                      {"options", options_name(c)},
                      {"activation", quant::describe(c.activation)},
                      {"weight", quant::describe(c.weight)},
                      {"chunk", c.chunk}};
  manifest["repeat"] = "systole " + quant::repeat_arguments(c);
  manifest["order"] = "row-major, little-endian";
  manifest["hdf5"] = kHdf5;
  for (const Array& array : operands) manifest["operands"].push_back(entry_of(array));
  for (const Array& array : results) manifest["results"].push_back(entry_of(array));
  return manifest;
}

/// The definition's results, then the sums within it that an exporter wants.
Arrays results_of(const quant::Problem& problem) {
  Arrays results = problem.reference();
  if (!problem.intermediate) return results;
  for (Array& array : problem.intermediate()) results.push_back(std::move(array));
  return results;
}

reports::Hdf5Number hdf5_type(quant::Element type) {
  switch (type) {
    case quant::Element::int8:
      return reports::Hdf5Number::int8;
    case quant::Element::uint8:
      return reports::Hdf5Number::uint8;
    case quant::Element::int16:
      return reports::Hdf5Number::int16;
    case quant::Element::uint16:
      return reports::Hdf5Number::uint16;
    case quant::Element::int32:
      return reports::Hdf5Number::int32;
    case quant::Element::uint32:
      return reports::Hdf5Number::uint32;
    case quant::Element::fp32:
      break;
  }
  return reports::Hdf5Number::float32;
}

std::vector<std::uint64_t> extents_of(const Array& array) {
  return {array.shape.begin(), array.shape.end()};
}

void write_hdf5(const std::string& path, const std::string& manifest, const Arrays& operands,
                const Arrays& results) {
  reports::Hdf5Writer file(path);
  file.attribute("/", "kind", "systole golden vectors");
  file.scalar("/manifest", manifest, "");
  const auto write_group = [&file](const std::string& group, const Arrays& arrays) {
    file.group(group);
    for (const Array& array : arrays) {
      const std::vector<std::uint8_t> bytes = quant::to_bytes(array);
      file.array(group + "/" + array.name, hdf5_type(array.type), extents_of(array), bytes);
    }
  };
  write_group("/operands", operands);
  write_group("/results", results);
  file.commit();
}

std::string hex_comment(const quant::KernelCase& c, const Array& array, const char* role) {
  return fmt::format(
      "systole golden vectors: {} {} of kernel {}\n{} [{}], row-major, one element a line, {} bits "
      "in hexadecimal\n{}\ncase: {}",
      role, array.name, c.kernel, quant::name_of(array.type), fmt::join(array.shape, ", "),
      8 * quant::bytes_of(array.type),
      array.type == quant::Element::fp32 ? "the bits of an IEEE binary32" : "two's complement",
      quant::describe(c));
}

// --- reading dumps

/// The manifest as far as it is needed, nothing trusted.
class Manifest {
 public:
  Manifest(std::string_view text, std::string file) : file_(std::move(file)) {
    if (text.size() > kLongestManifest) {
      fail(fmt::format("{} bytes; expected a manifest of at most {}", text.size(),
                       kLongestManifest));
    }
    try {
      document_ = json::parse(text, [this](int depth, json::parse_event_t, json&) {
        if (depth > 8) fail("nested deeper than a manifest");
        return true;
      });
    } catch (const json::exception& error) {
      fail(std::string("not JSON: ") + error.what());
    }
    if (!document_.is_object()) fail("not a JSON object; expected a manifest of verify --export");
    if (const std::uint64_t version = number(document_, "systole_golden");
        version != kManifestVersion) {
      fail(fmt::format("systole_golden is {}; expected {}", version, kManifestVersion));
    }
  }

  quant::KernelCase kernel_case() const {
    const json& c = member(document_, "case");
    if (!c.is_object()) fail("case is not an object");
    const std::string values = text(c, "values"), options = text(c, "options");
    const auto kind = std::ranges::find(quant::kValuesNames, values);
    if (kind == quant::kValuesNames.end()) {
      fail(fmt::format("case.values is {}; expected {}", workloads::printable(values),
                       fmt::join(quant::kValuesNames, ", ")));
    }
    if (options != "usual" && options != "drawn") {
      fail(fmt::format("case.options is {}; expected usual or drawn",
                       workloads::printable(options)));
    }
    try {
      return quant::golden_case(text(document_, "kernel"),
                                {number(c, "m"), number(c, "n"), number(c, "k")}, number(c, "seed"),
                                static_cast<quant::Values>(kind - quant::kValuesNames.begin()),
                                options == "drawn");
    } catch (const std::invalid_argument& error) {
      fail(error.what());
    }
  }

  /// Refuses a manifest whose operands are not those that this systole draws for its case.
  void check_operands(const Arrays& operands) const {
    const json& list = member(document_, "operands");
    bool equal = list.is_array() && list.size() == operands.size();
    for (std::size_t i = 0; equal && i < operands.size(); ++i) {
      equal = list[i].is_object() && text(list[i], "name") == operands[i].name &&
              text(list[i], "fingerprint") == fingerprint_text(operands[i]);
    }
    if (!equal) {
      fail("its operands are not those that this systole draws for the case; export again");
    }
  }

  /// What "actual", or "npy", names for a result; empty when the manifest does not list it.
  std::string file_of(const std::string& result, const char* key) const {
    const json& list = member(document_, "results");
    if (!list.is_array()) fail("results is not a list");
    for (const json& entry : list) {
      if (!entry.is_object()) fail("results holds something else than objects");
      if (text(entry, "name") == result && entry.contains(key)) return text(entry, key);
    }
    return {};
  }

  [[noreturn]] void fail(const std::string& what) const { throw ConfigError(file_ + ": " + what); }

 private:
  const json& member(const json& object, const char* key) const {
    const auto it = object.find(key);
    if (it == object.end()) fail(fmt::format("has no '{}'", key));
    return *it;
  }
  std::string text(const json& object, const char* key) const {
    const json& value = member(object, key);
    if (!value.is_string()) fail(fmt::format("'{}' is not a text", key));
    return value.get<std::string>();
  }
  std::uint64_t number(const json& object, const char* key) const {
    const json& value = member(object, key);
    if (!value.is_number_unsigned()) fail(fmt::format("'{}' is not a whole number", key));
    return value.get<std::uint64_t>();
  }

  std::string file_;
  json document_;
};

std::string shape_text(const Array& array) {
  return fmt::format("{} [{}]", quant::name_of(array.type), fmt::join(array.shape, ", "));
}

Array read_npy(const std::string& path, const Array& expected) {
  const workloads::FileBytes file = workloads::FileBytes::map(path);
  const std::span<const std::byte> bytes = file.bytes();
  try {
    Array array = quant::array_of(
        quant::parse_npy({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}),
        expected.name, expected.type);
    if (array.shape != expected.shape) {
      throw ConfigError(fmt::format("{}: shape [{}]; expected {} for '{}'", path,
                                    fmt::join(array.shape, ", "), shape_text(expected),
                                    expected.name));
    }
    return array;
  } catch (const std::invalid_argument& error) {
    throw ConfigError(path + ": " + error.what());
  }
}

Array read_hex(const std::string& path, const Array& expected) {
  const workloads::FileBytes file = workloads::FileBytes::map(path);
  try {
    return quant::parse_readmemh(file.text(), expected.name, expected.type, expected.shape);
  } catch (const std::invalid_argument& error) {
    throw ConfigError(path + ": " + error.what());
  }
}

Array read_dump(const std::string& path, const Array& expected) {
  return path.ends_with(".hex") ? read_hex(path, expected) : read_npy(path, expected);
}

/// The results that the name of one dump stands for.
const Array& result_named_by(const std::string& path, const Arrays& results) {
  const std::string stem = fs::path(path).stem().string();
  for (const Array& result : results) {
    if (stem == result.name || stem.ends_with("_" + result.name)) return result;
  }
  if (results.size() == 1) return results.front();
  std::vector<std::string> names;
  for (const Array& result : results) names.push_back(result.name);
  throw ConfigError(
      fmt::format("{}: expected a name that says which result it is, such as "
                  "'dut_{}': one of {}",
                  path, names.front(), fmt::join(names, ", ")));
}

Arrays actual_by_manifest(const Manifest& manifest, const fs::path& folder, const Arrays& results) {
  Arrays actual;
  for (const char* key : {"actual", "npy"}) {
    for (const Array& result : results) {
      const std::string file = manifest.file_of(result.name, key);
      if (!file.empty()) actual.push_back(read_dump((folder / file).string(), result));
    }
    if (!actual.empty()) return actual;
  }
  manifest.fail("names no file of results; expected \"actual\": FILE in an entry of results");
}

Arrays actual_in_hdf5(const reports::Hdf5Reader& file, const Arrays& results) {
  Arrays actual;
  for (const Array& result : results) {
    const std::string name = "/results/" + result.name;
    if (!file.has(name)) continue;
    actual.push_back(
        quant::from_bytes(result.name, result.type, result.shape,
                          file.array(name, hdf5_type(result.type), extents_of(result))));
  }
  if (actual.empty()) {
    file.fail("it holds no result of the kernel; expected /results/" + results.front().name);
  }
  return actual;
}

void compare(const quant::Problem& problem, const Arrays& results, const Arrays& actual,
             DumpOutcome& outcome) {
  for (const Array& got : actual) {
    const auto want = std::ranges::find(results, got.name, &Array::name);
    outcome.results.push_back(got.name);
    outcome.elements += got.size();
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (quant::same(want->type, want->words[i], got.words[i])) continue;
      if (outcome.mismatches++ > 0) continue;
      outcome.first = DumpMismatch{
          got.name, quant::place(*want, i), quant::describe(want->type, want->words[i]),
          quant::describe(got.type, got.words[i]),
          problem.trace(static_cast<std::size_t>(want - results.begin()), i)};
    }
  }
}

}  // namespace

std::vector<std::string> export_kernel(const std::string& folder, const quant::KernelCase& c) {
  const quant::Problem problem = quant::golden_kernel(c.kernel).make(c);
  const Arrays operands = problem.operands();
  const Arrays results = results_of(problem);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw ConfigError(fmt::format("cannot make '{}': {}", folder, error.message()));

  std::vector<std::string> written;
  const auto write = [&](const std::string& name, std::string_view content) {
    write_text_file((fs::path(folder) / name).string(), content);
    written.push_back(name);
  };
  const auto write_array = [&](const Array& array, const char* role) {
    const std::vector<std::uint8_t> npy = quant::npy_file(array);
    write(array.name + ".npy", {reinterpret_cast<const char*>(npy.data()), npy.size()});
    write(array.name + ".hex", quant::readmemh_text(array, hex_comment(c, array, role)));
  };
  for (const Array& array : operands) write_array(array, "operand");
  for (const Array& array : results) write_array(array, "expected result");
  const std::string manifest = manifest_of(c, operands, results).dump(2) + "\n";
  write_hdf5((fs::path(folder) / kHdf5).string(), manifest, operands, results);
  written.emplace_back(kHdf5);
  write(kManifest, manifest);
  return written;
}

DumpOutcome check_dump(const std::string& file) {
  const std::string extension = fs::path(file).extension().string();
  const bool hdf5 = extension == ".h5" || extension == ".hdf5";
  if (!hdf5 && extension != ".npy" && extension != ".hex" && extension != ".json") {
    throw ConfigError(file + ": expected a dump named .npy, .hex or .h5, or a manifest.json");
  }
  std::optional<reports::Hdf5Reader> container;
  std::string text, manifest_path = file;
  if (hdf5) {
    container.emplace(file);
    container->scalar("/manifest", text);
  } else {
    if (extension != ".json") manifest_path = (fs::path(file).parent_path() / kManifest).string();
    std::error_code ignored;
    if (extension != ".json" && !fs::exists(manifest_path, ignored)) {
      throw ConfigError(
          fmt::format("{}: there is no {} beside it; expected the folder of verify "
                      "--export",
                      file, kManifest));
    }
    text = workloads::FileBytes::map(manifest_path).text();
  }
  const Manifest manifest(text, manifest_path);
  DumpOutcome outcome;
  outcome.kernel_case = manifest.kernel_case();
  const quant::Problem problem =
      quant::golden_kernel(outcome.kernel_case.kernel).make(outcome.kernel_case);
  manifest.check_operands(problem.operands());
  const Arrays results = results_of(problem);
  if (container) {
    compare(problem, results, actual_in_hdf5(*container, results), outcome);
  } else if (extension == ".json") {
    compare(problem, results, actual_by_manifest(manifest, fs::path(file).parent_path(), results),
            outcome);
  } else {
    compare(problem, results, {read_dump(file, result_named_by(file, results))}, outcome);
  }
  return outcome;
}

}  // namespace systole::cli
