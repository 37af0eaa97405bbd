#include "tests/reports/html_checker.hpp"

#include <array>
#include <cctype>
#include <set>
#include <utility>
#include <vector>

namespace systole::reports {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kEntities = {
    {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}}};

/// Length of the entity at the start of `text`, 0 when there is none of ours.
std::size_t entity(std::string_view text, std::string* decoded = nullptr) {
  for (const auto& [name, meaning] : kEntities) {
    if (!text.starts_with(name)) continue;
    if (decoded != nullptr) *decoded += meaning;
    return name.size();
  }
  return 0;
}

class Checker {
 public:
  Checker(std::string_view page, std::string* text) : page_(page), text_(text) {}

  std::string operator()() {
    if (!page_.starts_with("<!doctype html>")) return "no doctype";
    at_ = 15;
    while (at_ < page_.size() && fault_.empty()) {
      if (page_[at_] == '<') {
        tag();
      } else {
        character();
      }
    }
    if (fault_.empty() && !open_.empty()) fail("not closed: " + open_.back());
    return fault_;
  }

 private:
  void fail(const std::string& what) {
    if (fault_.empty())
      fault_ = what + " near: " + std::string(page_.substr(at_ < 60 ? 0 : at_ - 60, 140));
  }
  void character() {
    if (page_[at_] == '>') return fail("raw >");
    if (page_[at_] == '&') {
      const std::size_t length = entity(page_.substr(at_), text_);
      if (length == 0) return fail("raw &");
      at_ += length;
      return;
    }
    if (text_ != nullptr) *text_ += page_[at_];
    ++at_;
  }
  std::string name() {
    std::string out;
    while (at_ < page_.size() &&
           (std::isalnum(static_cast<unsigned char>(page_[at_])) != 0 || page_[at_] == '-')) {
      out += page_[at_++];
    }
    return out;
  }
  void spaces() {
    while (at_ < page_.size() && page_[at_] == ' ') ++at_;
  }
  void tag() {
    ++at_;
    const bool closing = at_ < page_.size() && page_[at_] == '/';
    if (closing) ++at_;
    const std::string element = name();
    if (element.empty()) return fail("raw <");
    if (closing) {
      if (page_[at_++] != '>') return fail("bad closing tag");
      if (open_.empty() || open_.back() != element)
        return fail("closes " + element + " out of turn");
      open_.pop_back();
      if (text_ != nullptr) *text_ += '\n';
      return;
    }
    attributes();
    if (!fault_.empty()) return;
    if (page_.substr(at_).starts_with("/>")) {
      at_ += 2;
      return;
    }
    if (page_[at_++] != '>') return fail("bad tag " + element);
    if (element == "script" || element == "style") {
      const std::size_t end = page_.find("</" + element + ">", at_);
      if (end == std::string_view::npos) return fail(element + " does not end");
      at_ = end;
    }
    open_.push_back(element);
  }
  void attributes() {
    std::set<std::string> seen;
    for (spaces(); at_ < page_.size() && page_[at_] != '>' && page_[at_] != '/'; spaces()) {
      const std::string attribute = name();
      if (attribute.empty()) return fail("bad attribute");
      if (!seen.insert(attribute).second) return fail("attribute twice: " + attribute);
      if (!page_.substr(at_).starts_with("=\""))
        return fail("attribute without a quoted value: " + attribute);
      const std::size_t end = page_.find('"', at_ + 2);
      if (end == std::string_view::npos) return fail("attribute does not end");
      const std::string_view value = page_.substr(at_ + 2, end - at_ - 2);
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] == '<') return fail("raw < in attribute");
        if (value[i] == '&' && entity(value.substr(i)) == 0) return fail("raw & in attribute");
      }
      if (attribute == "id" && !ids_.insert(std::string(value)).second)
        return fail("id twice: " + std::string(value));
      at_ = end + 1;
    }
  }

  std::string_view page_;
  std::string* text_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
  std::set<std::string> ids_;
  std::string fault_;
};

}  // namespace

std::string html_fault(std::string_view page) { return Checker(page, nullptr)(); }

std::string html_load(std::string_view page) {
  constexpr std::string_view kOwn = "<link rel=\"expect\" href=\"#";
  for (const std::string_view load :
       {"http:", "https:", "url(", "@import", "src=", "<link", "<iframe", "<object", "fetch("}) {
    for (std::size_t at = page.find(load); at != page.npos; at = page.find(load, at + 1)) {
      if (!page.substr(at).starts_with(kOwn)) return std::string(page.substr(at, 60));
    }
  }
  return "";
}

std::string html_text(std::string_view page) {
  std::string text;
  Checker(page, &text)();
  return text;
}

}  // namespace systole::reports
