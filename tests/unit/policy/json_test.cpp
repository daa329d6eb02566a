// SPDX-License-Identifier: Apache-2.0
#include "policy/json.h"

#include <gtest/gtest.h>

#include "policy/parse.h"

namespace xfilter::policy {
namespace {

Rule rule_of(const std::string& text) {
  const auto policy = parse(text, "f", {});
  EXPECT_TRUE(policy) << render(policy.error());
  return policy->rules().at(0);
}

TEST(Json, a_rule_comes_back_as_the_same_rule) {
  for (const char* text :
       {"drop tcp dport {25, 465} not uid 33 parent exe {/bin/a, /bin/b*}", "protect exe /usr/x",
        "observe allow flags syn/syn+ack log", "drop hidden expires 600s"}) {
    const auto json = to_json(rule_of(text));
    EXPECT_EQ(text_of(nlohmann::json::parse(json.dump())).value(), text);
  }
}

TEST(Json, what_has_the_wrong_shape_is_named) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([])", "expected {\"action\": ..., \"matches\": [...]}, found []"},
      {R"({"action": 5, "matches": []})", "action: expected a text, found 5"},
      {R"({"action": "drop", "matches": 5})", "matches: expected a list, found 5"},
      {R"({"action": "drop", "matches": [5]})", "matches: expected {\"field\": ...}, found 5"},
      {R"({"action": "drop", "matches": [{"field": "colour"}]})",
       "field: there is no field \"colour\""},
      {R"({"action": "drop", "matches": [{"field": "uid", "values": []}]})",
       "values: expected a list of texts, found []"},
      {R"({"action": "drop", "matches": [{"field": "comm", "values": ["a uid 0"]}]})",
       "values: expected one word, found \"a uid 0\""},
      {R"({"action": "drop", "matches": [{"field": "comm", "values": ["a\nallow"]}]})",
       "values: expected one word, found \"a\\nallow\""},
      {R"({"action": "drop", "log": 1, "matches": []})", "log: expected true or false, found 1"},
      {R"({"action": "drop", "expires_s": -1, "matches": []})",
       "expires_s: expected a number of seconds, found -1"}};
  for (const auto& [text, message] : cases) {
    const auto line = text_of(nlohmann::json::parse(text));
    ASSERT_FALSE(line) << *line;
    EXPECT_EQ(line.error().message, message);
  }
}

}  // namespace
}  // namespace xfilter::policy
