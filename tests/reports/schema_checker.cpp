#include "tests/reports/schema_checker.hpp"

#include <algorithm>
#include <fstream>

namespace systole::reports {
namespace {

using Json = nlohmann::json;

bool is_type(const Json& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

void check(const Json& root, const Json& schema, const Json& value, const std::string& path,
           std::vector<std::string>& faults) {
  if (schema.is_boolean()) {
    if (!schema.get<bool>()) faults.push_back(path + ": not in the schema");
    return;
  }
  for (const auto& [keyword, what] : schema.items()) {
    if (keyword == "$ref") {
      const auto target = what.get<std::string>();
      if (target.starts_with('#')) {
        check(root, root.at(Json::json_pointer(target.substr(1))), value, path, faults);
      } else {
        const Json other = shipped_schema(target);
        check(other, other, value, path, faults);
      }
    } else if (keyword == "type") {
      const Json types = what.is_array() ? what : Json::array({what});
      if (std::ranges::none_of(types, [&](const Json& t) { return is_type(value, t); }))
        faults.push_back(path + ": is no " + what.dump());
    } else if (keyword == "enum") {
      if (std::ranges::find(what, value) == what.end())
        faults.push_back(path + ": is none of " + what.dump());
    } else if (keyword == "minimum") {
      if (value.is_number() && value.get<double>() < what.get<double>())
        faults.push_back(path + ": below " + what.dump());
    } else if (keyword == "anyOf") {
      const bool any = std::ranges::any_of(what, [&](const Json& option) {
        std::vector<std::string> ignored;
        check(root, option, value, path, ignored);
        return ignored.empty();
      });
      if (!any) faults.push_back(path + ": fits no alternative");
    } else if (keyword == "required") {
      for (const Json& key : what) {
        if (value.is_object() && !value.contains(key.get<std::string>()))
          faults.push_back(path + "." + key.get<std::string>() + ": missing");
      }
    } else if (keyword == "properties") {
      for (const auto& [key, inner] : what.items()) {
        if (value.is_object() && value.contains(key))
          check(root, inner, value.at(key), path + "." + key, faults);
      }
    } else if (keyword == "additionalProperties") {
      for (const auto& [key, inner] : value.items()) {
        if (value.is_object() &&
            !(schema.contains("properties") && schema["properties"].contains(key)))
          check(root, what, inner, path + "." + key, faults);
      }
    } else if (keyword == "items") {
      for (std::size_t i = 0; value.is_array() && i < value.size(); ++i)
        check(root, what, value[i], path + "[" + std::to_string(i) + "]", faults);
    } else if (keyword != "$schema" && keyword != "$defs" && keyword != "title" &&
               keyword != "description") {
      faults.push_back(path + ": the validator does not know '" + keyword + "'");
    }
  }
}

}  // namespace

Json shipped_schema(const std::string& file) {
  return Json::parse(std::ifstream(SYSTOLE_SOURCE_DIR "/reports/" + file));
}

std::vector<std::string> schema_faults(const Json& schema, const Json& document) {
  std::vector<std::string> faults;
  check(schema, schema, document, "$", faults);
  return faults;
}

}  // namespace systole::reports
