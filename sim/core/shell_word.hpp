// A text as one word of a shell command.
#pragma once

#include <string>
#include <string_view>

namespace systole {

/// As it is where a shell takes it so, else in quotes.
std::string shell_word(std::string_view text);

}  // namespace systole
