// The perplexity of a sweep's points: `quality:` in its file names a model with weights, which is
// executed under each point's recipe, whatever model is timed.
#pragma once

#include <functional>

#include "configs/sweep.hpp"

namespace systole::cli {

/// Puts into config.quality what its model and text are by content, so that points of another model
/// or text are other points. Nothing without a quality. Errors: ConfigError for what cannot be
/// read.
void identify_quality(configs::SweepConfig& config);

/// The perplexity under a recipe; null without a quality. Loads the model, once. Errors:
/// ConfigError where there are no weights, no tokeniser or no text; of the function, for a recipe
/// that the model does not take.
std::function<double(const configs::Recipe&)> quality_measure(const configs::SweepConfig& config);

}  // namespace systole::cli
