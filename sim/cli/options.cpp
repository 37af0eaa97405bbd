#include "sim/cli/options.hpp"

#include <fmt/core.h>
#include <algorithm>

#include <boost/program_options.hpp>
#include <charconv>
#include <functional>

#include "reports/format.hpp"
#include "sim/cli/console.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {
namespace {

namespace po = boost::program_options;

std::uint64_t parse_number(const std::string& option, const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw ConfigError("--" + option + ": expected a whole number, found '" + text + "'");
  }
  return number;
}

/// Longer lines are hard to read.
constexpr unsigned kMostHelpColumns = 100;

/// A paragraph that was broken for one width, for another: a line's end that ends no sentence is a
/// blank.
std::string reflowed(std::string_view text, std::size_t width) {
  std::string out, paragraph;
  const auto end = [&] {
    if (!paragraph.empty()) out += reports::wrapped(paragraph, width, 0) + "\n";
    paragraph.clear();
  };
  for (const std::string_view line : split(text, '\n')) {
    paragraph += (paragraph.empty() ? "" : " ") + std::string(line);
    if (line.empty() || line.ends_with('.') || line.ends_with(':')) end();
  }
  end();
  return out;
}

/// Commands that are too long go on in the next line, as a shell takes them.
std::string examples_within(std::string_view examples, std::size_t width) {
  std::string out;
  for (std::string_view line : split(examples, '\n')) {
    if (line.empty()) continue;
    std::string text;
    for (std::string_view rest = line.substr(std::min<std::size_t>(2, line.size()));
         !rest.empty();) {
      const std::size_t indent = text.empty() ? 2 : 6, room = width - indent;
      std::size_t end = rest.size();
      if (end > room) {
        // Within quotes a break would be part of the text.
        std::size_t last = std::string_view::npos;
        bool quoted = false;
        for (std::size_t i = 0; i < rest.size() && i + 2 <= room; ++i) {
          if (rest[i] == '\'') quoted = !quoted;
          if (rest[i] == ' ' && !quoted) last = i;
        }
        if (last != std::string_view::npos) end = last;
      }
      text += std::string(indent, ' ') + std::string(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      text += rest.empty() ? "\n" : " \\\n";
    }
    out += text;
  }
  return out;
}

/// "--out FILE    what it is", the options of a group under its title.
std::string help_page(const std::string& usage, const std::string& description,
                      const std::vector<OptionTable::Entry>& entries, const std::string& examples,
                      std::size_t width) {
  const auto name_of = [](const OptionTable::Entry& entry) {
    return "--" + entry.name + (entry.placeholder.empty() ? "" : " " + entry.placeholder);
  };
  std::string out =
      reports::wrapped("Usage: systole " + usage, width, 6) + "\n\n" + reflowed(description, width);
  std::string group;
  std::size_t column = 0;
  for (const OptionTable::Entry& entry : entries) {
    if (entry.group != group) {
      group = entry.group;
      out += "\n" + group + ":\n";
      column = 0;
      // As wide as the longest that leaves most of the line to the texts.
      for (const OptionTable::Entry& other : entries) {
        const std::size_t size = name_of(other).size();
        if (other.group == group && size + 4 <= width * 2 / 5) column = std::max(column, size);
      }
      column += 4;
    }
    std::string line = "  " + name_of(entry);
    if (line.size() + 2 > column) {
      out += reports::wrapped(line.substr(2), width, 4).insert(0, "  ") + "\n";
      line.clear();
    }
    line.resize(column, ' ');
    out += reports::beside(line, entry.help, width);
  }
  if (!examples.empty()) out += "\nExamples:\n" + examples_within(examples, width);
  return out;
}

/// Where parse() puts the table instead of parsing, while table_of asks for one.
OptionTable* wanted_table = nullptr;

}  // namespace

struct Options::Impl {
  std::string usage, description, examples;
  std::vector<std::unique_ptr<po::options_description>> groups;
  std::vector<std::function<void(const po::variables_map&)>> store;
  std::vector<std::string> names;
  std::string group = "Options";
  std::vector<OptionTable::Entry> entries;
  JsonFile json_file = JsonFile::next_word;

  void note(const std::string& name, const std::string& placeholder, const std::string& help,
            bool repeats = false) {
    names.push_back(name);
    entries.push_back({group, name, placeholder, help, repeats});
  }

  /// With the "-" that a `--json` without a file means.
  std::vector<std::string> completed(std::vector<std::string> words) const {
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i] != "--json" || std::ranges::find(names, "json") == names.end()) continue;
      const std::string next = i + 1 < words.size() ? words[i + 1] : "--";
      const bool taken = json_file == JsonFile::joined ? next == "-" : !next.starts_with("--");
      if (!taken) words[i] += "=-";
    }
    return words;
  }
  std::vector<std::string>* positional = nullptr;
  std::string positional_words;

  po::options_description& current() {
    if (groups.empty()) {
      groups.push_back(std::make_unique<po::options_description>("Options"));
    }
    return *groups.back();
  }

  void add(const std::string& name, const std::string& placeholder, const std::string& help,
           std::function<void(const std::string&)> assign) {
    note(name, placeholder, help);
    current().add_options()(name.c_str(), po::value<std::string>()->value_name(placeholder),
                            help.c_str());
    store.push_back([name, assign = std::move(assign)](const po::variables_map& values) {
      if (values.count(name) > 0) assign(values[name].as<std::string>());
    });
  }
};

Options::Options(std::string usage, std::string description, std::string examples)
    : impl_(std::make_unique<Impl>()) {
  impl_->usage = std::move(usage);
  impl_->description = std::move(description);
  impl_->examples = std::move(examples);
}

Options::~Options() = default;

Options& Options::group(std::string_view title) {
  impl_->group = title;
  impl_->groups.push_back(std::make_unique<po::options_description>(std::string(title)));
  return *this;
}

Options& Options::flag(const std::string& name, bool& target, const std::string& help) {
  impl_->note(name, "", help);
  impl_->current().add_options()(name.c_str(), po::bool_switch(), help.c_str());
  impl_->store.push_back(
      [name, &target](const po::variables_map& values) { target = values[name].as<bool>(); });
  return *this;
}

Options& Options::value(const std::string& name, const std::string& placeholder,
                        std::string& target, const std::string& help) {
  impl_->add(name, placeholder, help, [&target](const std::string& text) { target = text; });
  return *this;
}

Options& Options::number(const std::string& name, const std::string& placeholder,
                         std::uint64_t& target, const std::string& help) {
  impl_->add(name, placeholder, help,
             [name, &target](const std::string& text) { target = parse_number(name, text); });
  return *this;
}

Options& Options::optional_number(const std::string& name, const std::string& placeholder,
                                  std::optional<std::uint64_t>& target, const std::string& help) {
  impl_->add(name, placeholder, help,
             [name, &target](const std::string& text) { target = parse_number(name, text); });
  return *this;
}

Options& Options::list(const std::string& name, const std::string& placeholder,
                       std::vector<std::string>& target, const std::string& help) {
  impl_->note(name, placeholder, help, true);
  impl_->current().add_options()(
      name.c_str(), po::value<std::vector<std::string>>()->value_name(placeholder), help.c_str());
  impl_->store.push_back([name, &target](const po::variables_map& values) {
    if (values.count(name) > 0) target = values[name].as<std::vector<std::string>>();
  });
  return *this;
}

Options& Options::json(std::string& target, const std::string& what, JsonFile file) {
  impl_->json_file = file;
  const bool joined = file == JsonFile::joined;
  value("json", joined ? "[=FILE]" : "[FILE]", target,
        what + " as JSON to FILE" + (joined ? " (joined by '=')" : "") +
            ", without it to standard output; names: sim/cli/JSON.md");
  impl_->entries.back().value_optional = true;
  return *this;
}

Options& Options::words(const std::string& words) {
  impl_->entries.back().words = words;
  return *this;
}

Options& Options::positional(std::vector<std::string>& target, const std::string& words) {
  impl_->positional = &target;
  impl_->positional_words = words;
  return *this;
}

bool Options::parse(const std::vector<std::string>& arguments) {
  bool help = false;
  group("Help").flag("help", help, "print this page");
  if (wanted_table != nullptr) {
    *wanted_table = {impl_->usage,   impl_->description,           impl_->examples,
                     impl_->entries, impl_->positional != nullptr, impl_->positional_words};
    return false;
  }

  po::options_description all;
  for (const auto& group : impl_->groups) all.add(*group);
  po::options_description hidden;
  hidden.add_options()("positional", po::value<std::vector<std::string>>());
  all.add(hidden);
  po::positional_options_description positions;
  positions.add("positional", -1);

  po::variables_map values;
  try {
    // No abbreviations: a script that uses one breaks when a longer option is added.
    const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(impl_->completed(arguments))
                  .options(all)
                  .positional(positions)
                  .style(style)
                  .run(),
              values);
  } catch (const po::unknown_option& error) {
    std::string name = error.get_option_name();
    name.erase(0, name.find_first_not_of('-'));
    std::string message = "unknown option '--" + name + "'";
    if (const std::string near = nearest_name(name, impl_->names); !near.empty()) {
      message += "; did you mean '--" + near + "'?";
    } else {
      message += "; see --help";
    }
    throw ConfigError(message);
  } catch (const po::error& error) {
    throw ConfigError(error.what());
  }

  for (const auto& store : impl_->store) store(values);
  if (help) {
    print_text(help_page(impl_->usage, impl_->description, impl_->entries, impl_->examples,
                         std::min(output_columns(), kMostHelpColumns)));
    return false;
  }
  if (values.count("positional") > 0) {
    const auto words = values["positional"].as<std::vector<std::string>>();
    if (impl_->positional == nullptr) {
      throw ConfigError("unexpected argument '" + words.front() + "'; see --help");
    }
    *impl_->positional = words;
  }
  return true;
}

OptionTable Options::table_of(int (*command)(const std::vector<std::string>&),
                              const std::vector<std::string>& arguments) {
  OptionTable table;
  wanted_table = &table;
  command(arguments);
  wanted_table = nullptr;
  return table;
}

std::size_t number_of(std::string_view text, std::string_view option, std::string_view whole,
                      std::string_view expected) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    throw ConfigError(fmt::format("{}: found '{}'; expected {}", option, whole, expected));
  }
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::vector<std::string> names_of(const std::string& option, const std::string& text,
                                  const std::string& expected) {
  std::vector<std::string> names;
  for (const std::string_view part : split(text, ',')) {
    if (part.empty()) throw ConfigError(option + ": found '" + text + "'; expected " + expected);
    if (std::ranges::find(names, part) != names.end()) {
      throw ConfigError(option + ": '" + std::string(part) + "' is named twice");
    }
    names.emplace_back(part);
  }
  return names;
}

std::vector<std::size_t> numbers_in(std::string_view option, std::string_view text, char separator,
                                    std::size_t count, std::string_view expected) {
  const auto parts = split(text, separator);
  if (parts.size() != count) {
    throw ConfigError(fmt::format("{}: found '{}'; expected {}", option, text, expected));
  }
  std::vector<std::size_t> numbers;
  for (const std::string_view part : parts) {
    numbers.push_back(number_of(part, option, text, expected));
  }
  return numbers;
}

std::size_t choice_of(std::string_view option, std::string_view kind, std::string_view text,
                      std::span<const std::string_view> names) {
  const auto found = std::ranges::find(names, text);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  const std::vector<std::string> known(names.begin(), names.end());
  throw ConfigError(std::string(option) + ": " + unknown_name_message(kind, text, known));
}

}  // namespace systole::cli
