// A JSON Schema validator for what reports/*.schema.json use of draft 2020-12.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace systole::reports {

/// reports/`file`, as it ships.
nlohmann::json shipped_schema(const std::string& file);

/// Faults of `document`, each with its path; none when it is valid. A keyword of `schema` that the
/// validator does not know is a fault too. References are to its own definitions or to shipped
/// files.
std::vector<std::string> schema_faults(const nlohmann::json& schema,
                                       const nlohmann::json& document);

}  // namespace systole::reports
