// SPDX-License-Identifier: Apache-2.0
#include "policy/edit.h"

#include <gtest/gtest.h>

namespace xfilter::policy {
namespace {

constexpr const char* kOffice =
    "# office\n"
    "set mail = {25, 465}   # sets come first\n"
    "\n"
    "  # the web server\n"
    "drop tcp dport @mail uid 33  # spam\n"
    "default allow";

TEST(Edit, TakesOneLineAndLeavesTheRestAsItIs) {
  EXPECT_EQ(without_line(kOffice, 5),
            "# office\nset mail = {25, 465}   # sets come first\n\n  # the web server\n"
            "default allow");
  EXPECT_EQ(without_line(kOffice, 6) + "default allow", kOffice);
  EXPECT_EQ(without_line(kOffice, 7), kOffice);
  EXPECT_EQ(without_line(kOffice, 0), kOffice);
}

TEST(Edit, PutsRulesBeforeTheFirstAndBehindTheSets) {
  EXPECT_EQ(with_rules_first(kOffice, {"drop uid 1", "drop uid 2"}),
            "# office\nset mail = {25, 465}   # sets come first\n\n  # the web server\n"
            "drop uid 1\ndrop uid 2\n"
            "drop tcp dport @mail uid 33  # spam\ndefault allow");
  EXPECT_EQ(with_rules_first("", {"drop uid 1"}), "drop uid 1\n");
  EXPECT_EQ(with_rules_first("# nothing", {"drop uid 1"}), "# nothing\ndrop uid 1\n");
}

}  // namespace
}  // namespace xfilter::policy
