// systole completion and systole man: what the commands declare of their options, as a completion
// script and as a manual page, so that neither can fall behind --help.
#include <fmt/core.h>

#include <cctype>
#include <nlohmann/json.hpp>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {
namespace {

using Entry = OptionTable::Entry;

/// "serial|preload|ideal" is a choice; "NAME|FILE" and "FILE" are completed as files.
std::string choices_of(const Entry& entry) {
  std::string words = entry.placeholder;
  if (words.find('|') == std::string::npos) return "";
  for (char& c : words) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0) return "";
    if (c == '|') c = ' ';
  }
  return words;
}

std::string flags_of(const OptionTable& table) {
  std::string words;
  for (const Entry& entry : table.entries) {
    words += (words.empty() ? "--" : " --") + entry.name;
  }
  return words;
}

std::string command_names() {
  std::string names;
  for (const Command& command : all_commands()) {
    names += (names.empty() ? "" : " ") + std::string(command.name);
  }
  return names;
}

std::string bash_completion() {
  std::string out =
      "# Completion of systole for bash: source <(systole completion bash)\n"
      "_systole() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"" +
      command_names() +
      " --help --version\" -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${COMP_WORDS[1]}$before in\n";
  for (const Command& command : all_commands()) {
    if (command.run == nullptr) continue;
    for (const Entry& entry : Options::table_of(command.run).entries) {
      const std::string words = choices_of(entry);
      if (words.empty()) continue;
      out += fmt::format("    {}--{}) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return ;;\n",
                         command.name, entry.name, words);
    }
  }
  out += "  esac\n  case ${COMP_WORDS[1]} in\n";
  for (const Command& command : all_commands()) {
    if (command.run == nullptr) continue;
    out += fmt::format("    {}) words=\"{}\" ;;\n", command.name,
                       flags_of(Options::table_of(command.run)));
  }
  out +=
      "  esac\n"
      "  case $word in\n"
      "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) ;;\n"
      "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
      "  esac\n"
      "}\n"
      "complete -o filenames -F _systole systole ./systole\n";
  return out;
}

/// Within '...' and within the [...] of an _arguments specification.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string zsh_completion() {
  std::string out =
      "#compdef systole\n"
      "# Completion of systole for zsh: systole completion zsh > a folder of $fpath, as _systole\n"
      "_systole() {\n"
      "  local -a commands\n"
      "  commands=(\n";
  for (const Command& command : all_commands()) {
    out += fmt::format("    '{}:{}'\n", command.name, zsh_text(command.summary));
  }
  out +=
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n";
  for (const Command& command : all_commands()) {
    if (command.run == nullptr) continue;
    out += fmt::format("    {}) _arguments", command.name);
    for (const Entry& entry : Options::table_of(command.run).entries) {
      out += fmt::format(" \\\n      '{}--{}[{}]", entry.repeats ? "*" : "", entry.name,
                         zsh_text(entry.help));
      if (!entry.placeholder.empty()) {
        const std::string words = choices_of(entry);
        out += fmt::format(":{}:{}", zsh_text(entry.placeholder),
                           words.empty() ? "_files" : "(" + words + ")");
      }
      out += "'";
    }
    out += " \\\n      '*:file:_files' ;;\n";
  }
  out += "  esac\n}\n_systole \"$@\"\n";
  return out;
}

/// A line of troff text: backslashes, minus signs and a leading dot or quote are what they say.
std::string troff_text(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string manual_page() {
  std::string out = fmt::format(
      ".TH SYSTOLE 1 \"\" \"systole {}\" \"User Commands\"\n"
      ".SH NAME\nsystole \\- simulator of mixed\\-precision accelerators for language models\n"
      ".SH SYNOPSIS\n.B systole\n.I COMMAND\n[options]\n"
      ".SH DESCRIPTION\nWhat a quantised language model computes, how well, how fast and at what "
      "energy, on a simulated mixed\\-precision accelerator.\n"
      ".SH COMMANDS\n",
      SYSTOLE_VERSION);
  for (const Command& command : all_commands()) {
    out += fmt::format(".TP\n.B {}\n{}\n", troff_text(command.name), troff_text(command.summary));
  }
  for (const Command& command : all_commands()) {
    if (command.run == nullptr) continue;
    const OptionTable table = Options::table_of(command.run);
    std::string title = "systole " + std::string(command.name);
    for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    out += fmt::format(".SH \"{}\"\n.B systole {}\n.PP\n{}\n", title, troff_text(table.usage),
                       troff_text(table.description));
    std::string group;
    for (const Entry& entry : table.entries) {
      if (entry.group != group) out += fmt::format(".SS \"{}\"\n", troff_text(entry.group));
      group = entry.group;
      out += fmt::format(".TP\n\\fB\\-\\-{}\\fR", troff_text(entry.name));
      if (!entry.placeholder.empty()) {
        out += fmt::format(" \\fI{}\\fR", troff_text(entry.placeholder));
      }
      out += fmt::format("\n{}{}\n", troff_text(entry.help),
                         entry.repeats ? "; may be given several times" : "");
    }
    if (!table.examples.empty()) {
      out += fmt::format(".SS Examples\n.nf\n{}.fi\n", troff_text(table.examples));
    }
  }
  out +=
      ".SH \"EXIT STATUS\"\n0 done, 1 a check found a difference, 2 something to mend in the "
      "input, 70 a defect of Systole, 130 interrupted.\n"
      ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nset and not empty: no colours\n";
  return out;
}

/// The commands and their options, for programs that call them.
nlohmann::ordered_json commands_json() {
  nlohmann::ordered_json document;
  for (const Command& command : all_commands()) {
    nlohmann::ordered_json entry = {{"name", command.name}, {"summary", command.summary}};
    if (command.run != nullptr) {
      const OptionTable table = Options::table_of(command.run);
      entry["usage"] = table.usage;
      for (const Entry& option : table.entries) {
        entry["options"].push_back({{"option", option.name},
                                    {"placeholder", option.placeholder},
                                    {"group", option.group},
                                    {"help", option.help},
                                    {"repeats", option.repeats}});
      }
    }
    document["commands"].push_back(std::move(entry));
  }
  return document;
}

}  // namespace

int completion_command(const Arguments& arguments) {
  std::vector<std::string> words;
  Options options("completion bash|zsh",
                  "Prints a script that completes commands, options and their values in a shell.",
                  "  source <(systole completion bash)\n"
                  "  systole completion zsh > ~/.zfunc/_systole\n");
  options.positional(words);
  if (!options.parse(arguments)) return 0;
  if (words.size() != 1) throw ConfigError("completion: expected one shell, bash or zsh");
  constexpr std::string_view kShells[] = {"bash", "zsh"};
  const bool bash = choice_of("completion", "shell", words[0], kShells) == 0;
  fmt::print("{}", bash ? bash_completion() : zsh_completion());
  return 0;
}

int man_command(const Arguments& arguments) {
  std::string json;
  Options options("man", "Prints the manual page of all commands in troff.",
                  "  systole man > systole.1 && man -l systole.1\n  systole man --json\n");
  options.json(json, "the commands and their options", JsonFile::joined);
  if (!options.parse(arguments)) return 0;
  check_writable(json);
  if (!json.empty()) write_text_file(json, commands_json().dump(2) + "\n");
  if (json != "-") fmt::print("{}", manual_page());
  return 0;
}

}  // namespace systole::cli
