// SPDX-License-Identifier: Apache-2.0
// Runs tests/golden/policy/*.golden: rules, packets with owners, verdicts; and wrong files with
// their messages. The format is described in tests/golden/policy/README.md.
#include <gtest/gtest.h>

#include <set>

#include "policy/explain.h"
#include "policy/fields.h"
#include "policy/lint.h"
#include "policy/lowering.h"
#include "policy/match.h"
#include "tests/unit/policy/golden.h"

namespace xfilter::policy {
namespace {

// Calls visit(golden, policy, facts, subject, expected) for every case.
template <class Visit>
void for_each_case(Visit visit) {
  for (const Golden& golden : all_goldens()) {
    if (golden.is_wrong) continue;
    const auto policy = parse_golden(golden);
    ASSERT_TRUE(policy) << golden.file << "\n" << render(policy.error());
    for (const auto& [facts, expected] : golden.cases) {
      const auto asked = asked_of(facts);
      ASSERT_TRUE(asked) << golden.file << ": " << asked.error().message;
      visit(golden, *policy, facts, *asked, expected);
    }
  }
}

TEST(Golden, every_case_gets_its_verdict_from_its_line_by_the_index_and_by_trying_all) {
  int cases = 0;
  for_each_case([&](const Golden& golden, const Policy& policy, const std::string& facts,
                    const Asked& asked, const std::string& expected) {
    EXPECT_EQ(told(policy.decide(asked.subject(), asked.age)), expected)
        << golden.file << ": " << facts;
    EXPECT_EQ(told(policy.decide_by_trying_all(asked.subject(), asked.age)), expected)
        << golden.file << ": " << facts;
    const auto steps = explain(policy, asked.subject(), asked.age);
    EXPECT_EQ(steps.back().rule, policy.decide(asked.subject(), asked.age).rule) << facts;
    for (const Step& step : steps)
      EXPECT_EQ(step.outcome == Outcome::missed, !step.missed_on.empty()) << facts;
    ++cases;
  });
  EXPECT_GT(cases, 80);
}

// What an error is about: its message without what was found and how many there are.
std::string kind_of(const Diagnostic& error) {
  std::string kind = error.message.substr(0, error.message.find(", found"));
  std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
  return kind;
}

TEST(Golden, every_wrong_file_gets_its_messages_to_the_letter_each_with_a_hint) {
  int files = 0;
  std::set<std::string> kinds;
  for (const Golden& golden : all_goldens()) {
    if (!golden.is_wrong) continue;
    const auto policy = parse_golden(golden);
    ASSERT_FALSE(policy) << golden.file;
    EXPECT_EQ(render(policy.error()), golden.errors) << golden.file;
    for (const Diagnostic& error : policy.error()) {
      EXPECT_FALSE(error.hint.empty()) << golden.file << ": " << error.message;
      kinds.insert(kind_of(error));
    }
    ++files;
  }
  EXPECT_GT(files, 5);
  EXPECT_GE(kinds.size(), 35U);
}

TEST(Golden, every_file_with_warnings_gets_them_to_the_letter) {
  int files = 0;
  for (const Golden& golden : all_goldens()) {
    if (golden.warnings.empty()) continue;
    const auto policy = parse_golden(golden);
    ASSERT_TRUE(policy) << golden.file << "\n" << render(policy.error());
    EXPECT_EQ(render(lint(*policy)), golden.warnings) << golden.file;
    ++files;
  }
  EXPECT_GT(files, 0);
}

std::string told(const Plan& plan) {
  std::string text;
  for (const HeaderClass& one : plan.classes) {
    text += to_string(one.treatment);
    for (const Match* match : one.matches) text += " " + to_string(*match);
    text += fmt::format("  # line {}\n", one.because->place.line);
  }
  return text + fmt::format("{} the rest\n", to_string(plan.otherwise));
}

TEST(Golden, every_plan_is_as_written) {
  int files = 0;
  for (const Golden& golden : all_goldens()) {
    if (golden.plan.empty()) continue;
    const auto policy = parse_golden(golden);
    ASSERT_TRUE(policy) << golden.file << "\n" << render(policy.error());
    EXPECT_EQ(told(lower(*policy)), golden.plan) << golden.file;
    ++files;
  }
  EXPECT_GT(files, 0);
}

// Each field and operator (plain, `not`, a set of values) has a case that it decides, and one that
// it alone keeps its rule from deciding.
TEST(Golden, every_field_and_operator_has_a_case_that_fits_and_one_that_does_not) {
  std::set<std::string> fitted, missed;
  for_each_case([&](const Golden&, const Policy& policy, const std::string&, const Asked& asked,
                    const std::string&) {
    const Subject subject = asked.subject();
    if (subject.owner.processes.size() > 1)
      return;  // which holder decides is not the field's doing
    for (const Rule& rule : policy.rules()) {
      std::vector<const Match*> against;
      for (const Match& match : rule.matches) {
        const bool fits = !match.field->is_guest_side() ? fits_packet(match, subject)
                          : subject.owner.processes.empty()
                              ? fits_nobody(match, subject.owner)
                              : fits_process(match, subject.owner, *subject.owner.processes[0]);
        if (!fits) against.push_back(&match);
      }
      const auto note = [](std::set<std::string>& seen, const Match& match) {
        const std::string word(match.field->word);
        seen.insert((match.is_negated ? "not " : "") + word);
        if (match.values.starts_with("{")) seen.insert("a set of " + word);
      };
      if (against.empty())
        for (const Match& match : rule.matches) note(fitted, match);
      if (against.size() == 1) note(missed, *against.front());
    }
  });
  for (const Field& field : all_fields()) {
    std::vector<std::string> pairs = {std::string(field.word), "not " + std::string(field.word)};
    if (field.kind != ValueKind::none) pairs.push_back("a set of " + std::string(field.word));
    for (const std::string& pair : pairs) {
      EXPECT_TRUE(fitted.contains(pair)) << "no golden case that fits: " << pair;
      EXPECT_TRUE(missed.contains(pair)) << "no golden case that misses by: " << pair;
    }
  }
}

TEST(Parse, too_large_files_sets_and_numbers_of_rules_are_refused) {
  EXPECT_FALSE(parse(std::string(kLargestFile + 1, '#'), "f", {}));
  std::string set = "drop dport {0";
  for (std::size_t i = 0; i < kMostValues; ++i) set += ", 1";
  EXPECT_FALSE(parse(set + "}", "f", {}));
  std::string rules;
  for (std::size_t i = 0; i <= kMostRules; ++i) rules += "drop tcp\n";
  const auto many = parse(rules, "f", {});
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().size(), 1u);
}

TEST(Parse, random_bytes_never_crash_and_errors_stay_within_the_line) {
  std::srand(1);
  const char letters[] = "drop alow{},-/@.0129 tcpdrudi#\n\tnotexe";
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (int j = std::rand() % 80; j > 0; --j)
      text += letters[static_cast<std::size_t>(std::rand()) % (sizeof letters - 1)];
    const auto policy = parse(text, "f", {});
    if (policy) continue;
    for (const Diagnostic& at : policy.error()) {
      ASSERT_GE(at.column, 1);
      ASSERT_LE(static_cast<std::size_t>(at.column + at.width), at.source.size() + 3);
    }
  }
}

}  // namespace
}  // namespace xfilter::policy
