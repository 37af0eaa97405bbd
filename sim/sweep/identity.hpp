// What of this program decides the figures of a point, as one text.
#pragma once

#include <string_view>

namespace systole::sweep {

/// Part of every point's key: a digest over the sources of all that computes figures, made by the
/// build. Equal where they are equal, whatever machine or compiler; another after any change, so
/// that a journal's points are never taken for what this program would compute.
std::string_view figures_identity();

}  // namespace systole::sweep
