// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>

namespace xfilter::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    char name[] = "/tmp/xfilter-store-XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ / "web.db";
  }
  ~StoreTest() override { std::filesystem::remove_all(folder_); }

  Result<Store> open(Limits limits = {}, const std::string& subject = "web") const {
    return Store::open(path_, subject, limits);
  }
  // What it answers, a column after the other.
  std::string run_sql(const char* sql) const {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    std::string answer;
    const auto add = [](void* text, int columns, char** values, char**) {
      for (int i = 0; i < columns; ++i) static_cast<std::string*>(text)->append(values[i]);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, sql, add, &answer, nullptr), SQLITE_OK);
    sqlite3_close(database);
    return answer;
  }

  std::filesystem::path folder_, path_;
};

std::vector<std::string> texts_of(const Version& version) {
  std::vector<std::string> texts;
  for (const Entry& entry : version.entries) texts.push_back(entry.text);
  return texts;
}

Change putting(std::int64_t id, const std::string& text) {
  return {"root", "add " + text, std::nullopt, {}, {{id, text}}, {}};
}
Change taking(std::int64_t id) {
  return {"root", "del", std::nullopt, {id}, {}, {}};
}

TEST_F(StoreTest, WhatWasCommittedIsThereAfterwards) {
  {
    auto store = open().value();
    EXPECT_THAT(store.current().value().entries, IsEmpty());
    EXPECT_EQ(store.commit(putting(1, "a")).value(), 1);
    EXPECT_EQ(store.commit(putting(2, "b")).value(), 2);
    EXPECT_EQ(store.commit(taking(1)).value(), 3);
  }
  auto store = open().value();
  EXPECT_EQ(store.current().value().change, 3);
  EXPECT_THAT(texts_of(store.current().value()), ElementsAre("b"));
  EXPECT_THAT(texts_of(store.version(2).value()), ElementsAre("a", "b"));
  EXPECT_THAT(texts_of(store.version(1).value()), ElementsAre("a"));
}

TEST_F(StoreTest, AnUndoGoesBackAndTheNextOneFurther) {
  auto store = open().value();
  for (const auto& change : {putting(1, "a"), putting(2, "b"), putting(3, "c")})
    ASSERT_TRUE(store.commit(change));
  const auto second = store.version(std::nullopt).value();
  EXPECT_EQ(second.change, 2);
  ASSERT_TRUE(store.commit({"root", "undo", second.change, {3}, {}, {}}));
  const auto first = store.version(std::nullopt).value();
  EXPECT_EQ(first.change, 1);
  EXPECT_THAT(texts_of(first), ElementsAre("a"));
  ASSERT_TRUE(store.commit({"root", "undo", first.change, {2}, {}, {}}));
  const auto none = store.version(std::nullopt);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no change before"));
  // And forward again, to a change by its number: an entry can come back.
  ASSERT_TRUE(store.commit({"root", "undo", 3, {}, {{2, "b"}, {3, "c"}}, {}}));
  EXPECT_THAT(texts_of(store.current().value()), ElementsAre("a", "b", "c"));
  EXPECT_EQ(store.history(1).value().front().same_as, 3);
  EXPECT_EQ(store.version(std::nullopt).value().change, 2);
}

TEST_F(StoreTest, HistoryTellsWhoDidWhat) {
  auto store = open().value();
  ASSERT_TRUE(store.commit(putting(1, "a")));
  ASSERT_TRUE(store.commit({"alice", "undo", std::nullopt, {1}, {}, {}}));
  const auto history = store.history(10).value();
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history[0].who, "alice");
  EXPECT_EQ(history[1].what, "add a");
  EXPECT_EQ(store.history(1).value().size(), 1u);
}

TEST_F(StoreTest, AnUnknownChangeIsNamed) {
  auto store = open().value();
  EXPECT_THAT(store.version(7).error().message, HasSubstr("there is no change 7"));
}

TEST_F(StoreTest, AChangeThatCannotBeMadeLeavesNothing) {
  auto store = open().value();
  ASSERT_TRUE(store.commit(putting(1, "a")));
  Change twice = putting(2, "b");
  twice.put.push_back({2, "again"});
  EXPECT_FALSE(store.commit(twice));
  EXPECT_THAT(texts_of(store.current().value()), ElementsAre("a"));
  EXPECT_EQ(store.commit(putting(2, "b")).value(), 2);
}

TEST_F(StoreTest, TwoCannotHaveItOpen) {
  auto store = open().value();
  EXPECT_THAT(open().error().message, HasSubstr("in use by another xfilter"));
}

TEST_F(StoreTest, TheStoreOfAnotherVmIsEmptied) {
  ASSERT_TRUE(open().value().commit(putting(1, "a")));
  auto store = open({}, "another").value();
  EXPECT_THAT(store.current().value().entries, IsEmpty());
  EXPECT_EQ(store.current().value().change, 0);
}

TEST_F(StoreTest, WhatIsNoStoreIsSaidToBeNone) {
  std::FILE* const file = std::fopen(path_.c_str(), "w");
  std::fputs(std::string(5000, 'x').c_str(), file);
  std::fclose(file);
  EXPECT_THAT(open().error().message, HasSubstr("file is not a database; move the file away"));
}

TEST_F(StoreTest, AStoreOfAnotherVersionIsRefused) {
  { auto store = open().value(); }
  run_sql("PRAGMA user_version = 99");
  EXPECT_THAT(open().error().message, HasSubstr("has version 99, expected 1"));
}

TEST_F(StoreTest, IsReadableForItsOwnerAlone) {
  auto store = open().value();
  EXPECT_EQ(std::filesystem::status(path_).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(StoreTest, UsesAreKeptAndAgesGoOnAfterTheHostBooted) {
  {
    auto store = open().value();
    Change change = putting(1, "a");
    change.uses = {{"a", 5, std::chrono::seconds(100)}, {"b", 0, std::chrono::seconds(120)}};
    ASSERT_TRUE(store.commit(change));
    ASSERT_TRUE(store.save_uses(std::vector<Use>{{"a", 7, std::chrono::seconds(100)}}));
  }
  auto kept = open().value().uses().value();
  const auto called = [&](const char* name) {
    return *std::find_if(kept.begin(), kept.end(),
                         [&](const Use& use) { return use.rule == name; });
  };
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(called("a").hits, 7u);
  EXPECT_EQ(called("a").loaded_at.count(), 100);
  // As if saved 50 s after it was loaded, and the host had booted since: 50 s old now.
  run_sql(
      "UPDATE facts SET value = 'another' WHERE name = 'boot_id';"
      "UPDATE facts SET value = '150' WHERE name = 'saved_at'");
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  // Also when only one of them was saved since.
  ASSERT_TRUE(
      open().value().save_uses(std::vector<Use>{{"c", 1, std::chrono::seconds(now.tv_sec)}}));
  kept = open().value().uses().value();
  EXPECT_NEAR(static_cast<double>(now.tv_sec - called("a").loaded_at.count()), 50, 5);
  EXPECT_NEAR(static_cast<double>(now.tv_sec - called("b").loaded_at.count()), 30, 5);
}

TEST_F(StoreTest, EventsAreBoundedBySizeAndByAge) {
  auto store = open({std::chrono::hours(1), 100'000}).value();
  const std::vector<std::string> lines(100, std::string(100, 'e'));
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(store.add_events(lines));
  const auto kept = read_last_events(path_, 100'000).value().size();
  EXPECT_LE(kept, 1'000u);
  EXPECT_GE(kept, 500u);
  ASSERT_TRUE(store.add_events(std::vector<std::string>{"the last"}));
  EXPECT_EQ(read_last_events(path_, 1).value().front(), "the last");
  run_sql("UPDATE events SET time = time - 4000 WHERE line != 'the last'");
  ASSERT_TRUE(store.add_events(std::vector<std::string>{"new"}));
  EXPECT_THAT(read_last_events(path_, 10).value(), ElementsAre("the last", "new"));
}

TEST_F(StoreTest, AFullDiskRefusesChangesAndLosesNone) {
  auto store = open().value();
  std::int64_t acknowledged = 0;
  // No file of this process grows beyond this: what a full disk does to writes.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{300'000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::string refusal;
  for (int i = 1; i <= 1'000 && refusal.empty(); ++i) {
    const auto done = store.commit(putting(i, std::string(2'000, 'r')));
    if (done)
      acknowledged = *done;
    else
      refusal = done.error().message;
  }
  EXPECT_FALSE(refusal.empty());
  EXPECT_EQ(store.current().value().change, acknowledged);
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(store.commit(putting(5'000, "room again")).value(), acknowledged + 1);
  EXPECT_EQ(store.current().value().entries.size(), static_cast<std::size_t>(acknowledged) + 1);
}

TEST_F(StoreTest, KilledInTheMiddleOfAThousandChangesItLosesNoneThatWasAcknowledged) {
  std::int64_t last_acknowledged = 0;
  for (int round = 0; last_acknowledged < 1'000 && round < 100; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = open();
      while (store) {
        const std::int64_t next = store->current().value().change + 1;
        const auto done = store->commit(putting(next, std::to_string(next)));
        if (!done || ::write(ends[1], &*done, sizeof *done) < 0) break;
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    std::int64_t number = 0;
    for (int i = 0; i < 20 + round; ++i)
      if (::read(ends[0], &number, sizeof number) == sizeof number) last_acknowledged = number;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(ends[0], &number, sizeof number) == sizeof number) last_acknowledged = number;
    ::close(ends[0]);

    auto store = open().value();
    const auto current = store.current().value();
    // The one that was under way may have been written, and not been acknowledged yet.
    ASSERT_GE(current.change, last_acknowledged);
    ASSERT_LE(current.change, last_acknowledged + 1);
    ASSERT_EQ(current.entries.size(), static_cast<std::size_t>(current.change));
    last_acknowledged = current.change;
  }
  EXPECT_GE(last_acknowledged, 1'000);
  EXPECT_EQ(run_sql("PRAGMA integrity_check"), "ok");
}

}  // namespace
}  // namespace xfilter::store
