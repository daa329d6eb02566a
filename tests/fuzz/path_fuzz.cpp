// SPDX-License-Identifier: Apache-2.0
// Paths: dentries and mounts, up to the top.
#include "guest/linux/path.h"

#include "guest/linux/files.h"
#include "tests/fuzz/hostile_guest.h"
#include "tests/fuzz/landmarks.h"

namespace xfilter::fuzz {

// 512 components, each six reads: the mount's root, the parent, then the name or the next mount.
const std::uint64_t kMostSteps = 512 * 6 + 4;

namespace {

class PathReader final : public Reader {
 public:
  explicit PathReader(const guest::linux::View& view) : view_(view) {
    const auto& layout = view.layout();
    for (const auto& task : tasks_of(view)) {
      if (!task.mm || task.is_kernel_thread) continue;
      add(view.read_pointer(task.mm, layout.mm_exe_file).value());
      Budget budget(1000);
      const auto files = guest::linux::read_descriptors(view, task.files, budget);
      if (!files) continue;
      for (const auto file : *files) add(file);
    }
  }

  std::size_t choices() const override { return paths_.size(); }
  void read(std::size_t choice) override {
    Budget budget(1'000);
    const auto path = guest::linux::read_path(view_, paths_[choice], budget);
    expect(!path || path->text.size() <= 4096, "a path longer than PATH_MAX");
  }

 private:
  void add(guest::VirtAddr file) {
    const guest::VirtAddr path = file + view_.layout().file_f_path.offset;
    Budget budget(1'000);
    if (file && guest::linux::read_path(view_, path, budget)) paths_.push_back(path);
  }

  const guest::linux::View& view_;
  std::vector<guest::VirtAddr> paths_;
};

}  // namespace

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory&, const guest::linux::View& view) {
  return std::make_unique<PathReader>(view);
}

}  // namespace xfilter::fuzz
