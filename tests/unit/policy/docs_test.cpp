// SPDX-License-Identifier: Apache-2.0
// The examples in docs/rules.md do what is written beside them.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "policy/parse.h"
#include "tests/unit/policy/cases.h"

namespace xfilter::policy {
namespace {

struct Example {
  std::string rules;
  std::vector<std::string> verdicts;
};

// Each ```rules block, with the ```verdicts block that follows it.
std::vector<Example> examples() {
  std::ifstream file(XFILTER_TESTS_DIR "/../docs/rules.md");
  std::vector<Example> examples;
  std::string block;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) {
      block = line.substr(3);
      if (block == "rules") examples.emplace_back();
    } else if (block == "rules") {
      examples.back().rules += line + "\n";
    } else if (block == "verdicts") {
      examples.back().verdicts.push_back(line);
    }
  }
  return examples;
}

TEST(Documentation, every_example_decides_as_it_says_and_shows_each_of_its_rules) {
  const auto names = Names::parse("root:x:0:0::/root:/bin/sh\n", "names").value();
  const auto all = examples();
  EXPECT_GE(all.size(), 4U);
  for (const Example& example : all) {
    const auto policy = parse(example.rules, "office.rules", {&names, &names, {}});
    ASSERT_TRUE(policy) << render(policy.error());
    std::set<const Rule*> shown;
    for (const std::string& line : example.verdicts) {
      const Case written = read_case(line);
      const auto asked = asked_of(written.facts);
      ASSERT_TRUE(asked) << line << ": " << asked.error().message;
      const Verdict verdict = policy->decide(asked->subject(), asked->age);
      EXPECT_EQ(told(verdict), written.verdict) << line;
      shown.insert(verdict.rule);
      shown.insert(verdict.observed.begin(), verdict.observed.end());
    }
    for (const Rule& rule : policy->rules())
      EXPECT_TRUE(shown.contains(&rule)) << "no verdict shows: " << rule.place.text;
  }
}

}  // namespace
}  // namespace xfilter::policy
