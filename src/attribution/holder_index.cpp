// SPDX-License-Identifier: Apache-2.0
#include "attribution/holder_index.h"

#include <algorithm>
#include <set>

#include "guest/linux/socket.h"

namespace xfilter::attribution {

using guest::VirtAddr;
using namespace guest::linux;

namespace {

constexpr std::size_t kRecentTables =
    16;                           // a choice: reading one costs what a task of the walk does
constexpr int kNewestTasks = 16;  // likewise
constexpr std::uint64_t kMostThreadsCounted = 1000;  // a process with more costs a walk
constexpr std::size_t kMostRemembered = 100'000;     // files; beyond it the next walk starts afresh

}  // namespace

HolderIndex::Found HolderIndex::find(VirtAddr file, Budget& budget) {
  const auto known = by_file_.find(file.value);
  if (known != by_file_.end() && budget.spend("known holders", known->second.size())) {
    std::erase_if(known->second, [&](const Holder& holder) { return !is_still_held(holder); });
    if (accounts_for_all(known->second, file, budget)) {
      note_use(known->second);
      return {known->second, true};
    }
  }
  std::vector<Holder> nearby = find_in_recent_tables(file, budget);
  if (!accounts_for_all(nearby, file, budget)) find_in_newest_tasks(file, budget, nearby);
  if (accounts_for_all(nearby, file, budget)) {
    note_use(nearby);
    return {by_file_[file.value] = std::move(nearby), true};
  }
  // Few processes hide from the list of tasks; to look for them costs as much again.
  bool is_complete = walk(Search::task_list, budget);
  if (!accounts_for_all(by_file_[file.value], file, budget))
    is_complete = walk(Search::everywhere, budget);
  // The walk took its time: a table that it read for one process may be another's by now.
  std::vector<Holder>& walked = by_file_[file.value];
  std::erase_if(walked, [&](const Holder& holder) { return !is_still_held(holder); });
  note_use(walked);
  return {walked, is_complete};
}

bool HolderIndex::is_still_held(const Holder& holder) const {
  const auto& layout = view_->layout();
  view_->prefetch_task(holder.process.at);
  const auto files = view_->read_pointer(holder.thread, layout.task_files);
  if (!files || *files != holder.files_struct) return false;
  const auto pid = view_->read<std::int32_t>(holder.process.at, layout.task_pid);
  const auto start = view_->read<std::int64_t>(holder.process.at, layout.task_start_boottime);
  if (!pid || *pid != holder.process.pid || !start ||
      *start != holder.process.start_boottime.count())
    return false;
  const auto slot = read_descriptor(*view_, holder.files_struct, holder.fd);
  return slot && *slot == holder.file;
}

// A file's count of references is at least the number of slots that lead to it. When the two are
// equal there is no other slot; and when all users of a table are threads of the process that we
// know, nobody else shares the table. Both counts only err upwards (a reference in flight), which
// costs a walk.
bool HolderIndex::accounts_for_all(const std::vector<Holder>& holders, VirtAddr file,
                                   Budget& budget) const {
  if (holders.empty()) return false;
  auto references = read_file_references(*view_, file);
  if (!references || *references != holders.size()) return false;
  if (holders.size() == 1) return is_used_by_process_alone(holders.front(), budget);
  std::set<std::uint64_t> tables;
  return std::all_of(holders.begin(), holders.end(), [&](const Holder& holder) {
    return !tables.insert(holder.files_struct.value).second ||
           is_used_by_process_alone(holder, budget);
  });
}

bool HolderIndex::is_used_by_process_alone(const Holder& holder, Budget& budget) const {
  auto users = view_->read<std::int32_t>(holder.files_struct, view_->layout().files_count);
  auto threads =
      view_->read<std::int32_t>(holder.process.signal, view_->layout().signal_nr_threads);
  if (!users || !threads || *users > *threads) return false;
  if (*users == 1) return true;  // the thread we know
  // Threads can have tables of their own; those that use this one must be all of its users.
  std::int32_t own = 0;
  Budget counting(kMostThreadsCounted);
  auto counted =
      walk_threads(*view_, holder.process, counting, [&](VirtAddr thread) -> Result<void> {
        XF_TRY(files, view_->read_pointer(thread, view_->layout().task_files));
        own += files == holder.files_struct ? 1 : 0;
        return {};
      });
  return budget.spend("threads of holders", counting.spent()) && counted && own == *users;
}

void HolderIndex::look_in_table_of(const Holder& user, VirtAddr file, Budget& budget,
                                   std::vector<Holder>& found) const {
  auto descriptors = read_descriptors(*view_, user.files_struct, budget);
  if (!descriptors) return;
  for (std::uint32_t fd = 0; fd < descriptors->size(); ++fd) {
    if ((*descriptors)[fd] != file) continue;
    if (!budget.spend("slots of one file")) return;
    Holder holder = user;
    holder.file = file;
    holder.fd = fd;
    if (is_still_held(holder)) found.push_back(std::move(holder));
  }
}

// Whoever opened a socket lately opens the next.
std::vector<Holder> HolderIndex::find_in_recent_tables(VirtAddr file, Budget& budget) const {
  std::vector<Holder> found;
  for (const Holder& recent : recent_) look_in_table_of(recent, file, budget, found);
  return found;
}

// Or it is a process that has just begun: the kernel adds them to the list's end.
void HolderIndex::find_in_newest_tasks(VirtAddr file, Budget& budget,
                                       std::vector<Holder>& found) const {
  const guest::kernel::Member link = view_->layout().task_tasks;
  const VirtAddr head = view_->init_task() + link.offset;
  auto at = view_->space().read_pointer(head + 8);
  for (int i = 0; i < kNewestTasks && at && *at != head; ++i) {
    const auto task = read_task(*view_, *at - link.offset);
    at = view_->space().read_pointer(*at + 8);
    if (!task || task->is_kernel_thread || !task->files) continue;
    const bool is_recent = std::any_of(recent_.begin(), recent_.end(), [&](const Holder& recent) {
      return recent.files_struct == task->files && recent.process.at == task->at;
    });
    if (is_recent) continue;
    Holder leader;
    leader.files_struct = task->files;
    leader.thread = task->at;
    leader.process = *task;
    look_in_table_of(leader, file, budget, found);
  }
}

void HolderIndex::note_use(const std::vector<Holder>& holders) {
  for (const Holder& holder : holders) {
    const auto place = std::find_if(recent_.begin(), recent_.end(), [&](const Holder& other) {
      return other.files_struct == holder.files_struct;
    });
    if (place == recent_.end()) {
      recent_.push_front(holder);
      continue;
    }
    if (place->process != holder.process || place->thread != holder.thread) *place = holder;
    recent_.splice(recent_.begin(), recent_, place);
  }
  while (recent_.size() > kRecentTables) recent_.pop_back();
}

bool HolderIndex::walk(Search search, Budget& budget) {
  ++walks_;
  Holders holders = walk_holders(*view_, search, budget);
  begin_lookup_();
  by_file_.clear();
  for (Holder& holder : holders.all) {
    if (by_file_.size() >= kMostRemembered) return false;
    by_file_[holder.file.value].push_back(std::move(holder));
  }
  return holders.is_complete;
}

}  // namespace xfilter::attribution
