// Names from input files, made fit for a message.
#pragma once

#include <string>
#include <string_view>

namespace systole::workloads {

/// `text` in single quotes, cut to 64 bytes, everything but printable ASCII as \xHH: a hostile name
/// cannot drive a terminal.
std::string printable(std::string_view text);

}  // namespace systole::workloads
