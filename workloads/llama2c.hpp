// llama2.c checkpoints, versions 0 (no magic) and 1.
#pragma once

#include <string>

#include "workloads/model.hpp"

namespace systole::workloads {

/// Reads a checkpoint. The size that the header implies must be the size of the file (version 0 may
/// lack the two obsolete rotary tables). Errors: one ConfigError naming the file, the field, what
/// was found and what was expected. Source: llama2.c export.py, legacy_export() and
/// version1_export(); version 2 (int8) is refused by name.
LlamaModel read_llama2c(const std::string& path);

}  // namespace systole::workloads
