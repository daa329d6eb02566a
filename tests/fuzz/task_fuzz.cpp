// SPDX-License-Identifier: Apache-2.0
// One process: who it is, what it runs, its arguments (which lie in its own memory), its ancestors,
// its control group and namespaces.
#include "guest/linux/task.h"

#include "guest/linux/process.h"
#include "tests/fuzz/hostile_guest.h"
#include "tests/fuzz/landmarks.h"

namespace xfilter::fuzz {

namespace {

constexpr std::uint64_t kBudget = 1'000;

class TaskReader final : public Reader {
 public:
  explicit TaskReader(const guest::linux::View& view) : view_(view), tasks_(tasks_of(view)) {}

  std::size_t choices() const override { return tasks_.size(); }
  void read(std::size_t choice) override {
    const auto task = guest::linux::read_task(view_, tasks_[choice].at);
    if (!task) return;
    Budget budget(kBudget);
    const auto process = guest::linux::read_process(view_, *task, budget);
    expect(!process || process->cgroup.size() <= 4096, "a control group longer than PATH_MAX");
    expect(!process || process->hostname.size() <= 65, "a hostname longer than __NEW_UTS_LEN");
    expect(task->comm.size() <= 16, "a name longer than TASK_COMM_LEN");
    expect(task->pid >= 0 && task->tgid >= 0, "a negative pid");
    (void)guest::linux::read_cred(view_, *task);
    (void)guest::linux::read_parent_pid(view_, *task);
    const auto exe = guest::linux::read_exe(view_, *task, budget);
    expect(!exe || exe->text.size() <= 4096, "a path longer than PATH_MAX");
    const auto arguments = guest::linux::read_cmdline(view_, *task);
    if (!arguments) return;
    std::size_t bytes = 0;
    for (const auto& argument : *arguments) bytes += argument.size() + 1;
    expect(bytes <= 4097, "a command line longer than its bound");
  }

 private:
  const guest::linux::View& view_;
  std::vector<guest::linux::Task> tasks_;
};

}  // namespace

// A step is a component of a path with six reads, or an ancestor with thirty; the rest is besides.
const std::uint64_t kMostSteps = 36 * kBudget + 1'000;

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory&, const guest::linux::View& view) {
  return std::make_unique<TaskReader>(view);
}

}  // namespace xfilter::fuzz
