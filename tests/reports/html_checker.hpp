// A checker of well-formedness for the pages we write: a stricter language than HTML (every tag
// closed, every attribute quoted, every & an entity), so that a few lines can decide it.
#pragma once

#include <string>
#include <string_view>

namespace systole::reports {

/// Empty when `page` is well-formed, else what is wrong and where.
std::string html_fault(std::string_view page);

/// What in `page` would make a browser load something, empty when nothing does. A link to a place of
/// the page itself does not.
std::string html_load(std::string_view page);

/// Text between tags, entities decoded, style and script left out.
std::string html_text(std::string_view page);

}  // namespace systole::reports
