// SPDX-License-Identifier: Apache-2.0
// store/store.h: what outlives the processes of one VM's filter: the policy with its history, what
// rules did, and the events.
//
// A policy is a set of entries: texts that the store does not look into. A change takes entries out
// and puts others in, all or none of it; once commit() has returned it survives a crash and a power
// cut. Old changes are forgotten beyond kMostChanges, old events beyond Limits.
// SQLite in WAL mode; one process at a time has a store open. Errors: host_refused, also for a full
// disk: nothing of that change or batch is in the store then. Threads: one. Cost: commit() and
// add_events() write to disk and wait for it; nobody with packets in his hands may call them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

struct sqlite3;

namespace xfilter::store {

inline constexpr std::int64_t kMostChanges = 10'000;
inline constexpr std::size_t kMostUses = 300'000;

struct Entry {
  std::int64_t id = 0;  // the caller's; the same text that comes back keeps its id
  std::string text;
};

// What one rule did. `rule` is the caller's name for it.
struct Use {
  std::string rule;
  std::uint64_t hits = 0;
  std::chrono::seconds loaded_at{0};  // CLOCK_BOOTTIME
};

struct Change {
  std::string who, what;                // for people
  std::optional<std::int64_t> same_as;  // an undo: the change whose policy this is again
  std::vector<std::int64_t> taken;
  std::vector<Entry> put;
  std::vector<Use> uses;
};

struct PastChange {
  std::int64_t id = 0;
  std::chrono::sys_seconds time;
  std::string who, what;
  std::int64_t same_as = 0;  // its own id, but for an undo
};

// The policy as it was after a change.
struct Version {
  std::int64_t change = 0;      // 0: before the first
  std::int64_t next_entry = 1;  // greater than any entry's id ever was
  std::vector<Entry> entries;
};

struct Limits {
  std::chrono::hours oldest_event{7 * 24};
  std::int64_t event_bytes = 256 << 20;
};

class Store {
 public:
  // Makes it when it is not there, with its folder. `subject` says whose it is: that of another is
  // emptied first. host_refused when another process has it open, or it is no store.
  static Result<Store> open(const std::string& path, const std::string& subject, Limits limits);

  Result<Version> current() const;
  // After that change; without one, what an undo goes back to. input_invalid when there is none.
  Result<Version> version(std::optional<std::int64_t> change) const;
  Result<std::int64_t> commit(const Change& change);                 // its number
  Result<std::vector<PastChange>> history(std::int64_t most) const;  // the newest first

  // By this boot's clock. When the host booted in between, ages go on from where they were saved
  // last. Beyond kMostUses those that were not saved for the longest time are forgotten.
  Result<std::vector<Use>> uses() const;
  Result<void> save_uses(std::span<const Use> uses);

  Result<void> add_events(std::span<const std::string> lines);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  Store(std::unique_ptr<sqlite3, Close> database, Fd lock, Limits limits)
      : lock_(std::move(lock)), database_(std::move(database)), limits_(limits) {}
  Result<void> prepare(const std::string& subject);
  Result<void> forget_old_changes();
  Result<void> forget_old_events();
  Result<Version> entries_of(std::int64_t change) const;

  Fd lock_;  // outlives the database
  std::unique_ptr<sqlite3, Close> database_;
  Limits limits_;
  std::int64_t event_bytes_ = 0;
};

// Reads a store's events, the oldest first, without disturbing its owner.
Result<std::vector<std::string>> read_last_events(const std::string& path, std::int64_t most);

}  // namespace xfilter::store
