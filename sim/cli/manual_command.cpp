// systole completion and systole man: what the commands declare of their options, as a completion
// script and as a manual page, so that neither can fall behind --help.
#include <fmt/format.h>

#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {
namespace {

using Entry = OptionTable::Entry;

/// A command, or a command with a word that makes it another one.
struct Called {
  std::string name;  ///< "run", "sweep status"
  const Command* command = nullptr;
  OptionTable table;
};

/// All of them but the launcher's own.
std::vector<Called> all_called() {
  std::vector<Called> called;
  for (const Command& command : all_commands()) {
    if (command.run == nullptr) continue;
    called.push_back({command.name, &command, Options::table_of(command.run)});
    for (const std::string& word : command.further) {
      called.push_back({std::string(command.name) + " " + word, &command,
                        Options::table_of(command.run, {word})});
    }
  }
  return called;
}

/// What a value may be. Words as Options::words has them: "serial|preload|ideal" is a choice,
/// "NAME|FILE" none.
std::string words_of(const Entry& entry) {
  if (!entry.words.empty()) return entry.words;
  std::string words = entry.placeholder;
  if (words.find('|') == std::string::npos) return "";
  for (char& c : words) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0) return "";
    if (c == '|') c = ' ';
  }
  return words;
}

bool takes_file(const Entry& entry) {
  return entry.placeholder.find("FILE") != std::string::npos ||
         entry.placeholder.find("DIR") != std::string::npos;
}

/// What the scripts' own functions are told of a value: of words with commas between, files too.
std::string kind_of(const Entry& entry) {
  return fmt::format("{}{}", entry.placeholder.find(",...") != std::string::npos ? "list" : "one",
                     takes_file(entry) ? "-file" : "");
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

/// "@machines" of all values, without the sign.
std::set<std::string> lists_in(const std::vector<Called>& called) {
  std::set<std::string> kinds;
  const auto look = [&](const std::string& words) {
    for (const std::string_view word : split(words, ' ')) {
      if (word.starts_with('@')) kinds.emplace(word.substr(1));
    }
  };
  for (const Called& each : called) {
    look(each.table.positional_words);
    for (const Entry& entry : each.table.entries) look(entry.words);
  }
  return kinds;
}

/// With "@machines" as the shell's variable.
std::string with_variables(std::string words) {
  for (std::size_t at = 0; (at = words.find('@', at)) != std::string::npos;) {
    words.replace(at, 1, "$_systole_");
  }
  return words;
}

std::string bash_completion() {
  const std::vector<Called> called = all_called();
  std::string out = "# Completion of systole for bash: source <(systole completion bash)\n";
  for (const std::string& kind : lists_in(called)) {
    out += fmt::format("_systole_{}=\"{}\"\n", kind, fmt::join(listed_names(kind), " "));
  }
  out +=
      "# Offers $2 for the word $1; $3: of a list with commas, or files as well.\n"
      "_systole_offer() {\n"
      "  local word=$1 before=\n"
      "  case $3,$word in\n"
      "    list*,*,*) before=${word%,*},; word=${word##*,} ;;\n"
      "  esac\n"
      "  COMPREPLY=($(compgen -P \"$before\" -W \"$2\" -- \"$word\"))\n"
      "  case $3 in\n"
      "    *-file) local IFS=$'\\n'; COMPREPLY+=($(compgen -f -- \"$word\")) ;;\n"
      "  esac\n"
      "}\n"
      "_systole() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words= "
      "command=${COMP_WORDS[1]}\n"
      "  # Bash parts a word at its '='.\n"
      "  case $before,$word in\n"
      "    =,*) before=${COMP_WORDS[COMP_CWORD-2]} ;;\n"
      "    *,=) word= ;;\n"
      "  esac\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    _systole_offer \"$word\" \"" +
      command_names() +
      " --help --version\" one\n"
      "    return\n"
      "  fi\n";
  for (const Called& each : called) {
    if (each.name.find(' ') == std::string::npos) continue;
    out += fmt::format(
        "  [ \"$COMP_CWORD\" -gt 2 ] && [ \"$command ${{COMP_WORDS[2]}}\" = \"{0}\" ] && "
        "command=\"{0}\"\n",
        each.name);
  }
  out += "  case $command$before in\n";
  for (const Called& each : called) {
    for (const Entry& entry : each.table.entries) {
      if (entry.placeholder.empty() || entry.value_optional) continue;
      out += fmt::format("    \"{}--{}\") _systole_offer \"$word\" \"{}\" {}; return ;;\n",
                         each.name, entry.name, with_variables(words_of(entry)), kind_of(entry));
    }
  }
  out += "  esac\n  case $command in\n";
  for (const Called& each : called) {
    const OptionTable& table = each.table;
    const std::string flags = flags_of(table);
    // Where a command takes no words, its options are offered before a dash is typed.
    const std::string words = table.positional ? with_variables(table.positional_words) : flags;
    const bool files = table.positional && table.positional_words.empty();
    out += fmt::format(
        "    \"{}\") case $word in -*) words=\"{}\" ;; *) words=\"{}\" ;; esac; _systole_offer "
        "\"$word\" \"$words\" one{} ;;\n",
        each.name, flags, words, files || table.positional ? "-file" : "");
  }
  out +=
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

/// What _arguments does for a value. It would put words of its own before those of an action that
/// does not begin with a space.
std::string zsh_action(const std::string& words, bool list, bool file) {
  if (words.empty()) return file ? "_files" : " ";
  return fmt::format(" _systole_offer {}{} {}", list ? "list" : "one", file ? "-file" : "",
                     with_variables(words));
}

std::string zsh_option(const Entry& entry) {
  std::string name = entry.name;
  if (!entry.placeholder.empty()) name += entry.value_optional ? "=-" : "=";
  std::string spec =
      fmt::format("{}--{}[{}]", entry.repeats ? "*" : "", name, zsh_text(entry.help));
  if (entry.placeholder.empty()) return spec;
  const bool list = kind_of(entry).starts_with("list");
  return spec + fmt::format("{}{}:{}", entry.value_optional ? "::" : ":",
                            zsh_text(entry.placeholder),
                            zsh_action(words_of(entry), list, takes_file(entry)));
}

std::string zsh_completion() {
  const std::vector<Called> called = all_called();
  std::string out =
      "#compdef systole\n"
      "# Completion of systole for zsh: systole completion zsh > a folder of $fpath, as _systole; "
      "or, after\n"
      "# compinit, source <(systole completion zsh)\n";
  for (const std::string& kind : lists_in(called)) {
    out += fmt::format("typeset -ga _systole_{}\n_systole_{}=({})\n", kind, kind,
                       fmt::join(listed_names(kind), " "));
  }
  out +=
      "# Offers the words $2...; $1: of a list with commas, or files as well.\n"
      "_systole_offer() {\n"
      "  local kind=$1\n"
      "  shift\n"
      "  if [[ $kind == list* ]]; then\n"
      "    compset -P '*,'\n"
      "    compset -S ',*'\n"
      "    compadd -q -S , -- \"$@\"\n"
      "  else\n"
      "    compadd -- \"$@\"\n"
      "  fi\n"
      "  [[ $kind == *-file ]] && _files\n"
      "}\n"
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
      "  (( CURRENT-- ))\n";
  for (const Called& each : called) {
    if (each.name.find(' ') == std::string::npos) continue;
    out += fmt::format(
        "  if (( CURRENT > 2 )) && [[ \"$command $words[2]\" == '{0}' ]]; then\n"
        "    command='{0}'\n    shift words\n    (( CURRENT-- ))\n  fi\n",
        each.name);
  }
  out += "  case $command in\n";
  for (const Called& each : called) {
    out += fmt::format("    '{}') _arguments", each.name);
    for (const Entry& entry : each.table.entries) {
      out += fmt::format(" \\\n      '{}'", zsh_option(entry));
    }
    if (each.table.positional) {
      out += fmt::format(" \\\n      '*:word:{}'",
                         zsh_action(each.table.positional_words, false, true));
    }
    out += " ;;\n";
  }
  out +=
      "  esac\n}\n"
      "# Loaded by the first completion, or sourced.\n"
      "if [[ $funcstack[1] == _systole ]]; then _systole \"$@\"; else compdef _systole systole; "
      "fi\n";
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
  for (const Called& called : all_called()) {
    const OptionTable& table = called.table;
    std::string title = "systole " + called.name;
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
  for (const Called& called : all_called()) {
    nlohmann::ordered_json entry = {
        {"name", called.name}, {"summary", called.command->summary}, {"usage", called.table.usage}};
    for (const Entry& option : called.table.entries) {
      entry["options"].push_back({{"option", option.name},
                                  {"placeholder", option.placeholder},
                                  {"group", option.group},
                                  {"help", option.help},
                                  {"repeats", option.repeats}});
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
                  "  systole completion zsh > ~/.zfunc/_systole    # a folder of $fpath\n");
  options.positional(words, "bash zsh");
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
