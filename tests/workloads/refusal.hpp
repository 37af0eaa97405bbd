// Expecting a refusal: the kind of exception and what its message must tell.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "sim/core/error.hpp"

namespace systole::workloads::testing_tools {

/// `work` throws a ConfigError whose message holds every one of `parts`.
template <class Work, class... Parts>
void expect_refusal(Work&& work, const Parts&... parts) {
  try {
    work();
    ADD_FAILURE() << "accepted; expected a ConfigError";
  } catch (const ConfigError& error) {
    const std::string message = error.what();
    for (const std::string& part : {std::string(parts)...}) {
      EXPECT_THAT(message, testing::HasSubstr(part));
    }
  }
}

}  // namespace systole::workloads::testing_tools
