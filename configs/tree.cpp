// The one file that knows yaml-cpp. It listens to the parser's events and builds our own tree,
// because the library's nodes accept duplicate keys, read 010 as 8 and look up keys linearly.
#include "configs/tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <unordered_set>

namespace systole::configs {
namespace {

constexpr std::size_t kQuotedLength = 60;

/// Stops the parser; carries what to say and where.
struct Refusal : std::exception {
  Refusal(YAML::Mark where, std::string why) : mark(where), message(std::move(why)) {}
  const char* what() const noexcept override { return message.c_str(); }
  YAML::Mark mark;
  std::string message;
};

/// Builds the tree from the parser's events, keeping a stack of the open containers.
class Builder : public YAML::EventHandler {
 public:
  Builder(std::shared_ptr<const std::string> file, Faults& faults)
      : file_(std::move(file)), faults_(faults) {}

  Tree take() { return std::move(root_); }
  bool started() const { return nodes_ > 0; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    place(mark, Tree{});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refusal(mark, "an alias (*name); expected the value itself");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    Tree tree;
    tree.kind = Tree::Kind::scalar;
    tree.text = value;
    tree.quoted = tag == "!";
    place(mark, std::move(tree));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Tree::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Tree::Kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Tree* tree;
    std::unordered_set<std::string> keys;
    std::string key;             // of a map: the last one read
    bool expects_value = false;  // of a map: a key was read
    bool dropped = false;        // of a map: that key was a duplicate
  };

  Position position(const YAML::Mark& mark) const {
    return {file_, mark.line + 1, mark.column + 1};
  }

  static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) throw Refusal(mark, "an anchor (&name); expected plain values only");
  }
  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refusal(mark, "the tag " + quote(tag) + "; expected plain values only");
    }
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Tree::Kind kind) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (stack_.size() >= kMaxNesting) {
      throw Refusal(mark, "nesting deeper than " + std::to_string(kMaxNesting) + " levels");
    }
    if (!stack_.empty() && stack_.back().tree->kind == Tree::Kind::map &&
        !stack_.back().expects_value) {
      throw Refusal(mark, "a list or map where a name should be, or a bracket that is not closed");
    }
    Tree tree;
    tree.kind = kind;
    stack_.push_back({place(mark, std::move(tree)), {}, {}, false, false});
  }

  void close() {
    if (!stack_.empty()) stack_.pop_back();
  }

  /// Puts a node where it belongs and says where it now lives.
  Tree* place(const YAML::Mark& mark, Tree tree) {
    if (++nodes_ > kMaxNodes) {
      throw Refusal(mark, "more than " + std::to_string(kMaxNodes) + " values in one file");
    }
    tree.at = position(mark);
    if (stack_.empty()) {
      root_ = std::move(tree);
      return &root_;
    }
    Open& top = stack_.back();
    if (top.tree->kind == Tree::Kind::list) {
      return &top.tree->items.emplace_back(std::move(tree));
    }
    if (!top.expects_value) return place_key(mark, top, std::move(tree));
    top.expects_value = false;
    if (top.dropped) {
      return dropped_.emplace_back(std::make_unique<Tree>(std::move(tree))).get();
    }
    // An empty value has no place of its own: the parser gives the next token's.
    if (tree.kind == Tree::Kind::nothing) tree.at = top.tree->entries.back().at;
    top.tree->entries.back().value = std::move(tree);
    return &top.tree->entries.back().value;
  }

  Tree* place_key(const YAML::Mark& mark, Open& top, Tree key) {
    if (key.kind != Tree::Kind::scalar) throw Refusal(mark, "an empty key; expected a name");
    top.expects_value = true;
    top.key = key.text;
    top.dropped = !top.keys.insert(key.text).second;
    if (top.dropped) {
      const Tree* first = top.tree->find(key.text);
      faults_.add(key.at, path(key.text),
                  "duplicate key; the first one is at line " + std::to_string(first->at.line));
      return nullptr;
    }
    top.tree->entries.push_back({key.text, key.at, {}});
    return nullptr;
  }

  std::string path(const std::string& key) const {
    std::string text;
    for (const Open& open : stack_) {
      if (&open == &stack_.back()) break;
      if (open.tree->kind == Tree::Kind::map) {
        text += open.key + ".";
      }
    }
    return text + key;
  }

  std::shared_ptr<const std::string> file_;
  Faults& faults_;
  Tree root_;
  std::vector<std::unique_ptr<Tree>> dropped_;  // values of duplicate keys, still to be listened to
  std::vector<Open> stack_;
  std::size_t nodes_ = 0;
};

[[noreturn]] void refuse_file(const std::string& file, const YAML::Mark& mark,
                              const std::string& message) {
  Fault fault;
  fault.at.file = std::make_shared<const std::string>(file);
  if (!mark.is_null()) {
    fault.at.line = mark.line + 1;
    fault.at.column = mark.column + 1;
  }
  fault.message = message;
  throw ConfigError(fault.text());
}

}  // namespace

std::string Position::text() const {
  if (!file) return "";
  if (line == 0) return *file;
  return *file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string Fault::text() const {
  std::string result = at.text();
  for (const std::string* part : {&path, &message}) {
    if (part->empty()) continue;
    if (!result.empty()) result += ": ";
    result += *part;
  }
  return result;
}

void Faults::add(Position at, std::string path, std::string message) {
  ++count_;
  if (shown_.size() < kShown) {
    shown_.push_back({std::move(at), std::move(path), std::move(message)});
  }
}

void Faults::throw_if_any() const {
  if (empty()) return;
  std::string text;
  for (const Fault& fault : shown_) {
    if (!text.empty()) text += '\n';
    text += fault.text();
  }
  if (count_ > shown_.size()) {
    text += "\n... and " + std::to_string(count_ - shown_.size()) + " more faults";
  }
  throw ConfigError(text);
}

const Tree* Tree::find(std::string_view key) const {
  const auto it = std::ranges::find(entries, key, &Entry::key);
  return it == entries.end() ? nullptr : &it->value;
}
Tree* Tree::find(std::string_view key) {
  return const_cast<Tree*>(static_cast<const Tree*>(this)->find(key));
}

bool Tree::erase(std::string_view key) {
  const auto it = std::ranges::find(entries, key, &Entry::key);
  if (it == entries.end()) return false;
  entries.erase(it);
  return true;
}

std::string Tree::found() const {
  switch (kind) {
    case Kind::nothing:
      return "nothing";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a map";
    case Kind::scalar:
      break;
  }
  return (quoted ? "the text " : "") + quote(text);
}

std::string quote(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string result = "'";
  for (const char c : text.substr(0, kQuotedLength)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      result += "\\x";
      result += kHex[byte >> 4];
      result += kHex[byte & 15];
    } else {
      result += c;
    }
  }
  return result + (text.size() > kQuotedLength ? "...'" : "'");
}

Tree parse_yaml_value(std::string_view text, const std::string& file, Faults& faults) {
  if (text.size() > kMaxFileBytes) {
    refuse_file(
        file, YAML::Mark::null_mark(),
        std::to_string(text.size()) + " bytes; expected at most " + std::to_string(kMaxFileBytes));
  }
  Builder builder(std::make_shared<const std::string>(file), faults);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder) || !builder.started()) {
      refuse_file(file, YAML::Mark::null_mark(), "the file is empty; expected a map of settings");
    }
    Builder second(std::make_shared<const std::string>(file), faults);
    if (parser.HandleNextDocument(second)) {
      refuse_file(file, YAML::Mark::null_mark(), "several documents (---); expected one");
    }
  } catch (const ConfigError&) {
    throw;
  } catch (const Refusal& refusal) {
    refuse_file(file, refusal.mark, "found " + refusal.message);
  } catch (const YAML::Exception& error) {
    refuse_file(file, error.mark, "not valid YAML: " + error.msg);
  } catch (const std::exception& error) {  // what else the library may throw
    refuse_file(file, YAML::Mark::null_mark(), std::string("not valid YAML: ") + error.what());
  }
  return builder.take();
}

Tree parse_yaml(std::string_view text, const std::string& file, Faults& faults) {
  Tree tree = parse_yaml_value(text, file, faults);
  if (tree.kind != Tree::Kind::map) {
    faults.add(tree.at, "", "found " + tree.found() + " at the top; expected a map of settings");
    faults.throw_if_any();
  }
  return tree;
}

std::string read_text_file(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error || !std::filesystem::exists(status)) throw ConfigError(path + ": no such file");
  if (!std::filesystem::is_regular_file(status)) {
    throw ConfigError(path + ": not a regular file; expected a YAML file");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ConfigError(path + ": cannot be opened");
  // Read one byte beyond the limit instead of trusting the reported size.
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) throw ConfigError(path + ": cannot be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) {
    throw ConfigError(path + ": more than " + std::to_string(kMaxFileBytes) +
                      " bytes; a configuration is smaller");
  }
  return text;
}

void merge(Tree& base, Tree over) {
  if (over.kind != Tree::Kind::map) {
    base = std::move(over);
    return;
  }
  if (base.kind == Tree::Kind::scalar) {
    Tree named;
    named.kind = Tree::Kind::map;
    named.at = over.at;
    named.entries.push_back({"base", base.at, base});
    base = std::move(named);
  }
  if (base.kind != Tree::Kind::map) {
    base = std::move(over);
    return;
  }
  for (Tree::Entry& entry : over.entries) {
    if (Tree* old = base.find(entry.key)) {
      merge(*old, std::move(entry.value));
    } else {
      base.entries.push_back(std::move(entry));
    }
  }
}

}  // namespace systole::configs
