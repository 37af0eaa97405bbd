#include "sim/kernel/waveform.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "sim/core/error.hpp"

namespace systole::kernel {
namespace {

/// What a header section of SystemC's becomes; others stay.
void write_section(std::ostream& out, std::string_view keyword, std::string_view text,
                   const std::string& comment) {
  if (keyword == "$date") {
    out << "$date\n     not recorded: the same simulation gives the same file\n$end\n";
    return;
  }
  if (keyword == "$timescale") {
    out << "$timescale\n     1 ns\n$end\n";
    return;
  }
  // "SystemC 2.3.4-Accellera --- Jan 13 2023 17:28:48": when the library was built is left out.
  out << "$version\n" << text.substr(0, text.find(" ---")) << "\n$end\n\n";
  out << "$comment\n     " << comment << "\n$end\n";
}

/// "#51250": in nanoseconds, with the origin as 0.
std::string stamp(std::string_view line, std::uint64_t origin_ps) {
  std::uint64_t time_ps = 0;
  std::from_chars(line.data() + 1, line.data() + line.size(), time_ps);
  return "#" + std::to_string((time_ps - std::min(time_ps, origin_ps)) / 1000);
}

void rewrite(std::istream& in, std::ostream& out, std::uint64_t origin_ps,
             const std::string& comment) {
  for (std::string line; std::getline(in, line);) {
    if (line == "$date" || line == "$version" || line == "$timescale") {
      const std::string keyword = line;
      std::string text;
      while (std::getline(in, line) && line != "$end") text += line;
      write_section(out, keyword, text, comment);
    } else if (line.starts_with('#')) {
      out << stamp(line, origin_ps) << '\n';
    } else {
      out << line << '\n';
    }
  }
}

}  // namespace

Waveform::Waveform(const std::string& path, std::string comment)
    : path_(path), comment_(std::move(comment)), unfinished_(path + ".unfinished") {
  // A line break would end the comment's line, and "$end" the comment; names come from files.
  for (char& c : comment_) {
    if (c == '$' || static_cast<unsigned char>(c) < ' ') c = '?';
  }
  file_ = sc_core::sc_create_vcd_trace_file(unfinished_.c_str());  // which appends ".vcd"
  // A machine's clocks may have begun between two nanoseconds; from begin() on there are whole
  // ones.
  file_->set_time_unit(1.0, sc_core::SC_PS);
}

Waveform::~Waveform() {
  // Not closed where the simulation failed: SystemC refuses to close what has seen no cycle.
  std::error_code ignored;
  for (const char* end : {".vcd", ".rewritten"})
    std::filesystem::remove(unfinished_ + end, ignored);
}

void Waveform::begin() {
  origin_ps_ = sc_core::sc_time_stamp().value() / sc_core::sc_time(1.0, sc_core::SC_PS).value();
}

void Waveform::finish() {
  sc_core::sc_close_vcd_trace_file(file_);
  const std::string rewritten = unfinished_ + ".rewritten";
  {
    std::ifstream in(unfinished_ + ".vcd", std::ios::binary);
    std::ofstream out(rewritten, std::ios::binary);
    rewrite(in, out, origin_ps_, comment_);
    out.close();
    if (!in.eof() || !out) throw ConfigError(path_ + ": cannot be written");
  }
  std::error_code error;
  std::filesystem::rename(rewritten, path_, error);
  if (error) throw ConfigError(path_ + ": cannot be written: " + error.message());
}

}  // namespace systole::kernel
