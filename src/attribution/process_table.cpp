// SPDX-License-Identifier: Apache-2.0
#include "attribution/process_table.h"

#include <algorithm>

#include "guest/linux/pid_table.h"
#include "guest/linux/process.h"
#include "guest/linux/processes.h"

namespace xfilter::attribution {

using guest::VirtAddr;
using model::Ancestor;
using model::Process;
using model::ProcessId;
using model::ProcessRef;
using namespace guest::linux;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kMostKnown = 4'000;
constexpr std::uint64_t kStepsPerProcess = 10;  // besides ancestors and paths, which are counted
// A guess: ten ancestors with paths of five components are 60.
constexpr std::uint64_t kStepsPerObserved = 1'000;
constexpr std::size_t kMostDescents = 50'000;
constexpr std::chrono::seconds kRound{1};    // a choice: what daemonises or hides escapes so long
constexpr std::size_t kObservedAtOnce = 16;  // packets wait meanwhile: some 100 us
constexpr std::size_t kMostAncestors = 64;   // as many as read_process() follows

}  // namespace

Result<ProcessRef> ProcessTable::find(VirtAddr leader, Budget& budget) {
  XF_CHECK(budget.spend("owners"));
  XF_TRY(task, read_task(*view_, leader));
  const auto known = known_.find(leader.value);
  if (known != known_.end() && known->second.task == task && !was_hidden_or_shown(known->second))
    return known->second.facts;
  XF_CHECK(budget.spend("owners", kStepsPerProcess));
  XF_TRY(process, read_process(*view_, task, budget));
  remember(process);
  process.parents = ancestors_of(process.id);
  auto facts = std::make_shared<const Process>(std::move(process));
  if (known_.size() >= kMostKnown) known_.clear();
  known_[leader.value] = {std::move(task), facts, Clock::now()};
  return facts;
}

// It may have been hidden since we read it, of which its task_struct says nothing.
bool ProcessTable::was_hidden_or_shown(Known& known) const {
  const auto now = Clock::now();
  if (now - known.looked < kRound) return false;
  known.looked = now;
  const auto hidden = is_hidden(*view_, known.task);
  return hidden && *hidden != known.facts->is_hidden;
}

// A process is entered with its parent of that moment, and keeps it.
void ProcessTable::remember(const Process& process) {
  ++now_;
  const auto enter = [&](ProcessId id, const std::string& comm, const std::string& exe,
                         ProcessId parent) {
    Descent& descent = descents_.try_emplace(id, Descent{comm, exe, parent, now_}).first->second;
    descent.comm = comm;
    descent.exe = exe;
    descent.seen = now_;
  };
  ProcessId child = process.id;
  const std::string *comm = &process.comm, *exe = &process.exe;
  for (const Ancestor& parent : process.parents) {
    enter(child, *comm, *exe, parent.id);
    child = parent.id;
    comm = &parent.comm;
    exe = &parent.exe;
  }
  enter(child, *comm, *exe, ProcessId{});
  if (descents_.size() > kMostDescents) forget_the_older_half();
}

void ProcessTable::forget_the_older_half() {
  std::vector<std::uint64_t> seen;
  for (const auto& [id, descent] : descents_) seen.push_back(descent.seen);
  const auto median = seen.begin() + static_cast<std::ptrdiff_t>(seen.size() / 2);
  std::nth_element(seen.begin(), median, seen.end());
  std::erase_if(descents_, [&](const auto& entry) { return entry.second.seen <= *median; });
}

std::vector<Ancestor> ProcessTable::ancestors_of(ProcessId id) const {
  std::vector<Ancestor> ancestors;
  auto at = descents_.find(id);
  while (at != descents_.end() && ancestors.size() < kMostAncestors) {
    const ProcessId parent = at->second.parent;
    at = descents_.find(parent);
    if (at == descents_.end()) break;
    ancestors.push_back({parent, at->second.comm, at->second.exe});
  }
  return ancestors;
}

void ProcessTable::observe() {
  const auto now = Clock::now();
  if (unobserved_.empty() && now - observed_ > kRound) {
    Budget budget(kMostTasks);
    unobserved_ = find_leaders(*view_, Search::task_list, budget).all;
    observed_ = now;
  }
  for (std::size_t i = 0; i < kObservedAtOnce && !unobserved_.empty(); ++i) {
    const VirtAddr leader = unobserved_.back();
    unobserved_.pop_back();
    const auto task = read_task(*view_, leader);
    if (!task || task->is_kernel_thread) continue;
    const auto known = descents_.find({task->pid, task->start_boottime});
    if (known != descents_.end() && known->second.comm == task->comm) continue;
    Budget budget(kStepsPerObserved);
    (void)find(leader, budget);  // it may have ended meanwhile
  }
}

std::unordered_set<std::string> ProcessTable::programs_seen() const {
  std::unordered_set<std::string> programs;
  for (const auto& [id, descent] : descents_) programs.insert(descent.exe);
  return programs;
}

}  // namespace xfilter::attribution
