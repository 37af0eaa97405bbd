// A text as one word of a shell command, and such a command's words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace systole {

/// As it is where a shell takes it so, else in quotes.
std::string shell_word(std::string_view text);

/// The words of a command that was put together of such; whatever else it holds stays as it is.
std::vector<std::string> shell_words(std::string_view command);

}  // namespace systole
