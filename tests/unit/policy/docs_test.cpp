// SPDX-License-Identifier: Apache-2.0
// The examples in docs/rules.md are rules that parse.
#include <gtest/gtest.h>

#include <fstream>

#include "policy/parse.h"

namespace xfilter::policy {
namespace {

TEST(Documentation, every_example_of_rules_is_sound) {
  const auto names = Names::parse("root:x:0:0::/root:/bin/sh\nwww-data:x:33:\n", "names").value();
  const Surroundings surroundings{&names, &names, [](const std::string&) {
                                    return Result<std::string>("set office = {10.0.0.0/8}\n");
                                  }};
  std::ifstream file(XFILTER_TESTS_DIR "/../docs/rules.md");
  std::string example;
  bool is_inside = false;
  int examples = 0;
  for (std::string line; std::getline(file, line);) {
    if (line == "```rules") {
      is_inside = true;
    } else if (line == "```" && is_inside) {
      const auto policy = parse(example, "docs/rules.md", surroundings);
      EXPECT_TRUE(policy) << render(policy.error());
      EXPECT_FALSE(policy->rules().empty());
      is_inside = false;
      example.clear();
      ++examples;
    } else if (is_inside) {
      example += line + "\n";
    }
  }
  EXPECT_GE(examples, 3);
}

}  // namespace
}  // namespace xfilter::policy
