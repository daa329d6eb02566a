// SPDX-License-Identifier: Apache-2.0
#include "engine/guest.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace xfilter::engine {

using guest::memory::Ram;

std::unique_ptr<Guest> Guest::of_vmm(guest::memory::VmmMemory vmm) {
  std::unique_ptr<Guest> guest(new Guest());
  guest->vmm_ = std::move(vmm);
  return guest;
}

std::unique_ptr<Guest> Guest::of_ram(std::unique_ptr<Ram> ram) {
  std::unique_ptr<Guest> guest(new Guest());
  guest->ram_ = std::move(ram);
  return guest;
}

void Guest::lose() {
  view_.reset();
  profile_.reset();
  memory_.reset();
  cache_.reset();
  recorder_.reset();
  jiffies_ = 0;
}

Result<void> Guest::find_in(const Ram& ram) {
  lose();
  if (is_recording_) recorder_.emplace(ram);
  const Ram& source = is_recording_ ? static_cast<const Ram&>(*recorder_) : ram;
  if (source.mapping() != nullptr) {
    memory_.emplace(source);
  } else {
    cache_.emplace(source);
    memory_.emplace(*cache_);
  }
  auto profile = guest::kernel::find_profile(*memory_);
  if (!profile) {
    lose();
    return fail(profile.error());
  }
  profile_.emplace(std::move(*profile));
  view_.emplace(*profile_, *memory_);
  return check();
}

Result<void> Guest::find() {
  if (vmm_.candidates.empty()) return find_in(*ram_);
  Result<void> first_failure;
  for (std::size_t i = 0; i < vmm_.candidates.size(); ++i) {
    lose();  // it reads the block that is replaced here
    XF_TRY(ram, guest::memory::open_ram(vmm_, i));
    ram_ = std::move(ram);
    auto found = find_in(*ram_);
    if (found) return {};
    // The largest mapping is RAM nearly always, so its reason is the one worth telling.
    if (i == 0) first_failure = std::move(found);
  }
  return first_failure;
}

Result<void> Guest::save_image(const Fd& file) const {
  std::vector<std::byte> bytes(guest::kPageSize);
  const auto refused = [] {
    return fail(Errc::host_refused, "cannot write the image: {}", std::strerror(errno));
  };
  for (const std::uint64_t page : recorder_->pages()) {
    if (!ram_->read(page * guest::kPageSize, bytes)) continue;  // gone meanwhile
    if (::pwrite(file.number(), bytes.data(), bytes.size(),
                 static_cast<off_t>(page * guest::kPageSize)) < 0)
      return refused();
  }
  if (::ftruncate(file.number(), static_cast<off_t>(ram_->size())) != 0) return refused();
  return {};
}

Result<void> Guest::check() {
  if (!is_found())
    return fail(Errc::guest_kernel_not_found, "the guest's kernel has not been found");
  begin_lookup();
  auto holds = profile_->still_holds(*memory_, jiffies_);
  if (!holds) lose();
  return holds;
}

}  // namespace xfilter::engine
