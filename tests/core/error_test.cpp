#include "sim/core/error.hpp"

#include <gmock/gmock.h>

namespace systole {
namespace {

using ::testing::HasSubstr;

TEST(UnknownName, ProposesTheNearestKnownName) {
  const std::vector<std::string> known = {"mixpe-128x128", "int8-128x94"};
  EXPECT_EQ(unknown_name_message("machine", "mixpe-128x182", known),
            "unknown machine 'mixpe-128x182'; did you mean 'mixpe-128x128'?");
}

TEST(UnknownName, ListsWhatIsKnownWhenNothingIsNear) {
  const std::vector<std::string> known = {"alpha", "beta"};
  EXPECT_THAT(unknown_name_message("machine", "zzzzzzzz", known), HasSubstr("known: alpha beta"));
}

TEST(EditDistance, CountsInsertionsDeletionsAndSubstitutions) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(Check, NamesTheConditionAndTheMessage) {
  try {
    SYSTOLE_CHECK(1 + 1 == 3, "arithmetic");
    FAIL() << "the check passed";
  } catch (const InternalError& e) {
    EXPECT_THAT(e.what(), HasSubstr("arithmetic (failed: 1 + 1 == 3)"));
  }
}

}  // namespace
}  // namespace systole
