// SPDX-License-Identifier: Apache-2.0
// engine/guest.h: one guest, from the memory we were given to a View of its kernel.
//
// find() looks for the kernel in each candidate for the guest's RAM; check() says whether the one
// we found still runs. Between a failed check() and the next successful find() there is no view.
// Threads: one. Cost: find() 20-60 ms, check() some microseconds.
#pragma once

#include <memory>
#include <optional>

#include "guest/linux/view.h"
#include "guest/memory/page_cache.h"
#include "guest/memory/page_recorder.h"
#include "guest/memory/vmm_process.h"

namespace xfilter::engine {

class Guest {
 public:
  static std::unique_ptr<Guest> of_vmm(guest::memory::VmmMemory vmm);
  // `ram` is what an image or a test has in place of a VMM.
  static std::unique_ptr<Guest> of_ram(std::unique_ptr<guest::memory::Ram> ram);

  Result<void> find();
  Result<void> check();

  // Before find(): notes from then on which pages are read, so that save_image() can keep those
  // alone.
  void record_pages() { is_recording_ = true; }
  // Writes a raw image, sparse, as long as the guest's RAM: the pages noted so far, and holes.
  Result<void> save_image(const Fd& file) const;

  bool is_found() const { return view_.has_value(); }
  const guest::linux::View& view() const { return *view_; }  // only when found
  // No fact read from here on is older than this call.
  void begin_lookup() {
    if (cache_) cache_->begin_lookup();
  }
  std::uint64_t reads() const { return cache_ ? cache_->misses() : 0; }

 private:
  Guest() = default;
  Result<void> find_in(const guest::memory::Ram& ram);
  void lose();

  guest::memory::VmmMemory vmm_;
  std::unique_ptr<guest::memory::Ram> ram_;
  bool is_recording_ = false;
  std::optional<guest::memory::PageRecorder> recorder_;
  std::optional<guest::memory::PageCache> cache_;
  std::optional<guest::memory::GuestMemory> memory_;
  std::optional<guest::kernel::Profile> profile_;
  std::optional<guest::linux::View> view_;
  std::uint64_t jiffies_ = 0;
};

}  // namespace xfilter::engine
