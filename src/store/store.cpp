// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "store/statement.h"

namespace xfilter::store {
namespace {

constexpr int kSchema = 1;

// entries: one row for each time that an entry was in force: after the changes first .. last - 1.
constexpr const char* kTables = R"(
CREATE TABLE changes(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, who TEXT NOT NULL,
                     what TEXT NOT NULL, same_as INTEGER NOT NULL);
CREATE TABLE entries(id INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER,
                     text TEXT NOT NULL, PRIMARY KEY(id, first));
CREATE INDEX entries_in_force ON entries(id) WHERE last IS NULL;
CREATE TABLE uses(rule TEXT PRIMARY KEY, hits INTEGER NOT NULL, loaded_at INTEGER NOT NULL);
CREATE TABLE events(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, line TEXT NOT NULL);
CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL);
PRAGMA user_version = 1;
)";

std::int64_t unix_now() {
  return static_cast<std::int64_t>(::time(nullptr));
}

std::int64_t boottime_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec;
}

std::string host_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

Result<std::int64_t> integer_of(sqlite3* database, std::string_view sql) {
  XF_TRY(statement, Statement::prepare(database, sql));
  XF_CHECK(statement.step());
  return statement.integer(0);
}

Result<std::string> fact(sqlite3* database, const std::string& name) {
  XF_TRY(statement, Statement::prepare(database, "SELECT value FROM facts WHERE name = ?1"));
  XF_TRY(is_known, statement.with(name).step());
  return is_known ? statement.text(0) : std::string();
}

Result<void> set_fact(sqlite3* database, const std::string& name, const std::string& value) {
  XF_TRY(statement, Statement::prepare(database,
                                       "INSERT INTO facts VALUES(?1, ?2) ON CONFLICT(name) "
                                       "DO UPDATE SET value = excluded.value"));
  return statement.with(name, value).run();
}

Result<void> execute(sqlite3* database, const char* sql) {
  if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return fail(database_error(database, sql));
  return {};
}

Result<void> note_clock(sqlite3* database) {
  XF_CHECK(set_fact(database, "boot_id", host_boot_id()));
  return set_fact(database, "saved_at", std::to_string(boottime_now()));
}

// After a reboot of the host its clock began anew: ages go on from where they were saved last.
Result<void> follow_clock(sqlite3* database) {
  XF_TRY(boot_id, fact(database, "boot_id"));
  XF_TRY(saved_at, fact(database, "saved_at"));
  if (!boot_id.empty() && boot_id != host_boot_id()) {
    const std::int64_t saved = std::strtoll(saved_at.c_str(), nullptr, 10);
    XF_TRY(shift, Statement::prepare(database, "UPDATE uses SET loaded_at = loaded_at + ?1"));
    XF_CHECK(shift.with(boottime_now() - saved).run());
  }
  return note_clock(database);
}

// Rows that were saved last have the greatest rowid.
Result<void> put_uses(sqlite3* database, std::span<const Use> uses) {
  XF_TRY(statement, Statement::prepare(database, "INSERT OR REPLACE INTO uses VALUES(?1, ?2, ?3)"));
  for (const Use& use : uses)
    XF_CHECK(statement
                 .with(use.rule, static_cast<std::int64_t>(use.hits),
                       static_cast<std::int64_t>(use.loaded_at.count()))
                 .run());
  return note_clock(database);
}

Result<sqlite3*> open_database(const std::string& path, int flags) {
  sqlite3* database = nullptr;
  if (sqlite3_open_v2(path.c_str(), &database, flags, nullptr) == SQLITE_OK) {
    sqlite3_busy_timeout(database, 2000);  // somebody may be reading it with a tool of his own
    return database;
  }
  const std::string why = database == nullptr ? "out of memory" : sqlite3_errmsg(database);
  sqlite3_close_v2(database);
  return fail(Errc::host_refused, "the store {}: {}", path, why);
}

}  // namespace

void Store::Close::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}

Result<Store> Store::open(const std::string& path, const std::string& subject, Limits limits) {
  const auto folder = std::filesystem::absolute(path).parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return fail(Errc::host_refused, "the store {}: cannot make {}: {}", path, folder.string(),
                error.message());
  Fd lock(::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.is_open())
    return fail(Errc::host_refused, "the store {}: {}", path, std::strerror(errno));
  if (::flock(lock.number(), LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::host_refused,
                "the store {} is in use by another xfilter: give this VM a name of its own with "
                "--name, or stop the other",
                path);
  // Made here, so that it never is readable for others.
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.is_open())
    return fail(Errc::host_refused, "the store {}: {}", path, std::strerror(errno));
  file.close();
  XF_TRY(database, open_database(path, SQLITE_OPEN_READWRITE));
  Store store(std::unique_ptr<sqlite3, Close>(database), std::move(lock), limits);
  XF_CHECK(store.prepare(subject));
  return store;
}

Result<void> Store::prepare(const std::string& subject) {
  sqlite3* const database = database_.get();
  XF_CHECK(execute(database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"));
  XF_TRY(schema, integer_of(database, "PRAGMA user_version"));
  if (schema != 0 && schema != kSchema)
    return fail(Errc::host_refused,
                "the store {} has version {}, expected {}: it is of another version of xfilter",
                sqlite3_db_filename(database, nullptr), schema, kSchema);
  XF_TRY(transaction, Transaction::begin(database));
  if (schema == 0) XF_CHECK(execute(database, kTables));
  XF_TRY(known_subject, fact(database, "subject"));
  if (known_subject != subject) {
    XF_CHECK(execute(database,
                     "DELETE FROM changes; DELETE FROM entries; DELETE FROM uses; "
                     "DELETE FROM events"));
    XF_CHECK(set_fact(database, "subject", subject));
  }
  XF_CHECK(follow_clock(database));
  XF_TRY(most, Statement::prepare(
                   database, "DELETE FROM uses WHERE rowid <= (SELECT max(rowid) FROM uses) - ?1"));
  XF_CHECK(most.with(std::int64_t{kMostUses}).run());
  XF_CHECK(transaction.commit());
  XF_TRY(bytes, integer_of(database, "SELECT coalesce(sum(length(line)), 0) FROM events"));
  event_bytes_ = bytes;
  return {};
}

Result<Version> Store::entries_of(std::int64_t change) const {
  XF_TRY(statement,
         Statement::prepare(database_.get(),
                            "SELECT id, text FROM entries WHERE first <= ?1 AND (last IS NULL OR "
                            "last > ?1) ORDER BY id"));
  statement.with(change);
  XF_TRY(next, integer_of(database_.get(), "SELECT coalesce(max(id), 0) + 1 FROM entries"));
  Version version{change, next, {}};
  while (true) {
    XF_TRY(has_row, statement.step());
    if (!has_row) return version;
    version.entries.push_back({statement.integer(0), statement.text(1)});
  }
}

Result<Version> Store::current() const {
  XF_TRY(newest, integer_of(database_.get(), "SELECT coalesce(max(id), 0) FROM changes"));
  return entries_of(newest);
}

Result<Version> Store::version(std::optional<std::int64_t> wanted) const {
  XF_TRY(
      statement,
      Statement::prepare(
          database_.get(),
          wanted
              ? "SELECT id, same_as FROM changes WHERE id = ?1"
              : "SELECT id, same_as FROM changes WHERE id = (SELECT max(id) FROM changes WHERE id "
                "< (SELECT same_as FROM changes ORDER BY id DESC LIMIT 1))"));
  if (wanted) statement.with(*wanted);
  XF_TRY(is_known, statement.step());
  if (!is_known && wanted)
    return fail(Errc::input_invalid, "there is no change {}: `xfilter rules history` lists them",
                *wanted);
  if (!is_known)
    return fail(Errc::input_invalid, "there is no change before this one to go back to");
  XF_TRY(version, entries_of(statement.integer(0)));
  version.change = statement.integer(1);
  return version;
}

Result<std::int64_t> Store::commit(const Change& change) {
  sqlite3* const database = database_.get();
  XF_TRY(transaction, Transaction::begin(database));
  XF_TRY(newest, integer_of(database, "SELECT coalesce(max(id), 0) FROM changes"));
  const std::int64_t id = newest + 1;
  XF_TRY(add, Statement::prepare(database, "INSERT INTO changes VALUES(?1, ?2, ?3, ?4, ?5)"));
  XF_CHECK(add.with(id, unix_now(), change.who, change.what, change.same_as.value_or(id)).run());
  XF_TRY(take, Statement::prepare(database,
                                  "UPDATE entries SET last = ?1 WHERE id = ?2 AND last IS NULL"));
  for (const std::int64_t entry : change.taken) XF_CHECK(take.with(id, entry).run());
  XF_TRY(put, Statement::prepare(database, "INSERT INTO entries VALUES(?1, ?2, NULL, ?3)"));
  for (const Entry& entry : change.put) XF_CHECK(put.with(entry.id, id, entry.text).run());
  XF_CHECK(put_uses(database, change.uses));
  XF_CHECK(forget_old_changes());
  XF_CHECK(transaction.commit());
  return id;
}

Result<void> Store::forget_old_changes() {
  XF_TRY(changes,
         Statement::prepare(database_.get(),
                            "DELETE FROM changes WHERE id <= (SELECT max(id) FROM changes) - ?1"));
  XF_CHECK(changes.with(kMostChanges).run());
  return execute(database_.get(),
                 "DELETE FROM entries WHERE last <= (SELECT min(id) FROM changes)");
}

Result<std::vector<PastChange>> Store::history(std::int64_t most) const {
  XF_TRY(statement,
         Statement::prepare(database_.get(),
                            "SELECT id, time, who, what, same_as FROM changes ORDER BY id "
                            "DESC LIMIT ?1"));
  statement.with(most);
  std::vector<PastChange> changes;
  while (true) {
    XF_TRY(has_row, statement.step());
    if (!has_row) return changes;
    changes.push_back({statement.integer(0),
                       std::chrono::sys_seconds(std::chrono::seconds(statement.integer(1))),
                       statement.text(2), statement.text(3), statement.integer(4)});
  }
}

Result<std::vector<Use>> Store::uses() const {
  sqlite3* const database = database_.get();
  XF_TRY(statement, Statement::prepare(database, "SELECT rule, hits, loaded_at FROM uses"));
  std::vector<Use> uses;
  while (true) {
    XF_TRY(has_row, statement.step());
    if (!has_row) return uses;
    uses.push_back({statement.text(0), static_cast<std::uint64_t>(statement.integer(1)),
                    std::chrono::seconds(statement.integer(2))});
  }
}

Result<void> Store::save_uses(std::span<const Use> uses) {
  XF_TRY(transaction, Transaction::begin(database_.get()));
  XF_CHECK(put_uses(database_.get(), uses));
  return transaction.commit();
}

Result<void> Store::add_events(std::span<const std::string> lines) {
  XF_TRY(transaction, Transaction::begin(database_.get()));
  XF_TRY(add, Statement::prepare(database_.get(), "INSERT INTO events(time, line) VALUES(?1, ?2)"));
  const std::int64_t before = event_bytes_;
  const auto all = [&]() -> Result<void> {
    for (const std::string& line : lines) {
      XF_CHECK(add.with(unix_now(), line).run());
      event_bytes_ += static_cast<std::int64_t>(line.size());
    }
    XF_CHECK(forget_old_events());
    return transaction.commit();
  }();
  if (!all) event_bytes_ = before;
  return all;
}

Result<void> Store::forget_old_events() {
  sqlite3* const database = database_.get();
  XF_TRY(old,
         Statement::prepare(database, "DELETE FROM events WHERE time < ?1 RETURNING length(line)"));
  XF_TRY(oldest,
         Statement::prepare(database,
                            "DELETE FROM events WHERE id <= (SELECT min(id) FROM events) + ?1 "
                            "RETURNING length(line)"));
  const auto forget = [&](Statement& statement) -> Result<bool> {
    bool has_any = false;
    while (true) {
      XF_TRY(has_row, statement.step());
      if (!has_row) return has_any;
      has_any = true;
      event_bytes_ -= statement.integer(0);
    }
  };
  XF_CHECK(forget(old.with(unix_now() - std::chrono::seconds(limits_.oldest_event).count())));
  constexpr std::int64_t kAtOnce = 256;
  while (event_bytes_ > limits_.event_bytes) {
    XF_TRY(has_any, forget(oldest.with(kAtOnce)));
    if (!has_any) break;
  }
  return {};
}

Result<std::vector<std::string>> read_last_events(const std::string& path, std::int64_t most) {
  XF_TRY(opened, open_database(path, SQLITE_OPEN_READONLY));
  const std::unique_ptr<sqlite3, decltype(&sqlite3_close_v2)> database(opened, &sqlite3_close_v2);
  XF_TRY(statement, Statement::prepare(opened,
                                       "SELECT line FROM (SELECT id, line FROM events ORDER BY id "
                                       "DESC LIMIT ?1) ORDER BY id"));
  statement.with(most);
  std::vector<std::string> lines;
  while (true) {
    XF_TRY(has_row, statement.step());
    if (!has_row) return lines;
    lines.push_back(statement.text(0));
  }
}

}  // namespace xfilter::store
