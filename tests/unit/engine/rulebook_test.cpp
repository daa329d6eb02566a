// SPDX-License-Identifier: Apache-2.0
#include "engine/rulebook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace xfilter::engine {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Rulebook& nothing() {
  static const Rulebook book = Rulebook::of({}, {}, seconds(0)).value();
  return book;
}

RuleSources office(const std::string& text) {
  return {{{"/etc/office.rules", text}}, {}, {}};
}

Rulebook of_file(const std::string& text) {
  return nothing().with_sources(office(text), {}, seconds(0)).value();
}

std::vector<std::string> texts_of(const Rulebook& book) {
  std::vector<std::string> texts;
  for (const policy::Rule& rule : book.policy()->rules()) texts.push_back(rule.place.text);
  return texts;
}

// Stored and read again, as after a crash.
Rulebook stored(const Rulebook& book) {
  const auto change = Rulebook::difference(nothing(), book);
  return Rulebook::of({1, 100, change.put}, {}, seconds(0)).value();
}

TEST(Rulebook, RulesThatAreAddedComeBeforeThoseOfFilesTheNewestFirst) {
  const auto book = of_file("drop uid 1\n")
                        .with_rule("drop uid 2", "uid 0", "", {}, seconds(0))
                        .value()
                        .with_rule("allow uid 3", "uid 0", "", {}, seconds(0))
                        .value();
  EXPECT_THAT(texts_of(book), ElementsAre("allow uid 3", "drop uid 2", "drop uid 1"));
  EXPECT_EQ(policy::place_of(book.policy()->rules()[0]), "added:3");
}

TEST(Rulebook, TheSamePolicyComesOutOfTheStore) {
  RuleSources sources = office("include mail.rules\ndrop user alice tcp dport @mail\n");
  sources.files.push_back({"/etc/mail.rules", "set mail = {25, 465}\n"});
  sources.users = {"/etc/passwd", "alice:x:1000:1000\n"};
  const auto book = nothing()
                        .with_sources(sources, {}, seconds(0))
                        .value()
                        .with_rule("drop tcp dport @mail uid 7", "uid 5", "spam", {}, seconds(0))
                        .value()
                        .with_mode(Mode::observe, {}, seconds(0))
                        .value();
  const auto again = stored(book);
  EXPECT_EQ(texts_of(again), texts_of(book));
  EXPECT_EQ(again.mode(), Mode::observe);
  ASSERT_EQ(again.runtime_rules().size(), 1u);
  EXPECT_EQ(again.runtime_rules()[0].why, "spam");
  EXPECT_EQ(again.sources().files.front().path, "/etc/office.rules");
}

TEST(Rulebook, ReloadingTheSameFilesChangesNothing) {
  const auto book = of_file("drop uid 1\n");
  const auto again = book.with_sources(office("drop uid 1\n"), {}, seconds(9)).value();
  EXPECT_TRUE(Rulebook::difference(book, again).put.empty());
}

TEST(Rulebook, AgesGoOnOverAReloadAndNewRulesBeginWithIt) {
  Rulebook::UseTable uses;
  uses["/etc/office.rules\ndrop uid 1 expires 10m"] = {"", 4, seconds(100)};
  const auto book =
      of_file("drop uid 1 expires 10m\n")
          .with_sources(office("# moved\ndrop uid 2 expires 10m\ndrop uid 1 expires 10m\n"
                               "drop uid 1 expires 10m\n"),
                        uses, seconds(500))
          .value();
  const auto& rules = book.policy()->rules();
  EXPECT_EQ(rules[0].loaded_at, seconds(500));
  EXPECT_EQ(rules[1].loaded_at, seconds(100));
  EXPECT_EQ(rules[2].loaded_at, seconds(500));  // the second of the same text is another rule
  EXPECT_TRUE(rules[1].has_expired(seconds(700)));
  EXPECT_FALSE(rules[0].has_expired(seconds(700)));
}

TEST(Rulebook, ARuleThatIsWrittenAgainIsANewOne) {
  Rulebook::UseTable uses;
  uses["/etc/office.rules\ndrop uid 1 expires 10m"] = {"", 4, seconds(100)};
  const auto book = of_file("drop uid 2\n")
                        .with_sources(office("drop uid 1 expires 10m\n"), uses, seconds(5'000))
                        .value();
  EXPECT_FALSE(book.policy()->rules()[0].has_expired(seconds(5'001)));
}

TEST(Rulebook, WhatIsNoRuleIsRefusedWithItsPlace) {
  const auto refusal = [&](std::string text) {
    return of_file("drop uid 1\n")
        .with_rule(std::move(text), "uid 0", "", {}, seconds(0))
        .error()
        .message;
  };
  EXPECT_THAT(refusal("drpo uid 1"), HasSubstr("added:2:1: error: a line starts with"));
  EXPECT_THAT(refusal(""), HasSubstr("expected a rule"));
  EXPECT_THAT(refusal("# only a comment"), HasSubstr("expected a rule"));
  EXPECT_THAT(refusal("drop uid 1\nallow uid 2"), HasSubstr("several lines"));
  EXPECT_THAT(refusal("default drop"), HasSubstr("default stands in a rule file alone"));
  EXPECT_THAT(refusal("drop uid " + std::string(70'000, '1')), HasSubstr("more than 64 KiB"));
}

TEST(Rulebook, AFileThatWasNotSentIsNamed) {
  const auto book = nothing().with_sources(office("include other.rules\n"), {}, seconds(0));
  EXPECT_THAT(book.error().message, HasSubstr("/etc/other.rules: is not among the files"));
}

TEST(Rulebook, AnEntryThatIsNoneIsRefused) {
  for (const char* text : {"", "garbage", "{}", "[]", R"({"kind":"mode","mode":"dance"})",
                           R"({"kind":"rule","text":7})", R"({"kind":"rules","path":"x"})"})
    EXPECT_THAT(Rulebook::of({1, 2, {{1, text}}}, {}, seconds(0)).error().message,
                HasSubstr("no part of a policy"))
        << text;
}

}  // namespace
}  // namespace xfilter::engine
