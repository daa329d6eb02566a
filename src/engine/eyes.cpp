// SPDX-License-Identifier: Apache-2.0
#include "engine/eyes.h"

namespace xfilter::engine {
namespace {

using namespace std::chrono_literals;

// How old the proof may be that the guest's kernel is the one we know. A reboot takes longer.
constexpr std::chrono::nanoseconds kCheckInterval = 20ms;
// How often to look for a kernel that is not there (yet): each look costs tens of milliseconds.
constexpr std::chrono::nanoseconds kSearchInterval = 250ms;

}  // namespace

Eyes::Eyes(std::unique_ptr<Guest> guest, std::function<void()> on_lost,
           std::function<void(std::string)> on_note)
    : guest_(std::move(guest)), on_lost_(std::move(on_lost)), on_note_(std::move(on_note)) {}

Result<void> Eyes::find() {
  XF_CHECK(guest_->find());
  watch();
  return {};
}

model::Owner Eyes::owner_of(const packet::Packet& packet) {
  const auto interval = guest_->is_found() ? kCheckInterval : kSearchInterval;
  if (std::chrono::steady_clock::now() - checked_ > interval) watch();
  if (!attributor_) return model::unknown_owner("the guest's kernel is being looked for");
  return attributor_->attribute(packet);
}

void Eyes::observe_processes() {
  if (attributor_) attributor_->observe_processes();
}

std::string Eyes::banner() const {
  return guest_->is_found() ? guest_->view().profile().banner : std::string();
}

void Eyes::watch() {
  checked_ = std::chrono::steady_clock::now();
  if (guest_->is_found()) {
    auto holds = guest_->check();
    if (!holds) lose(holds.error());
  }
  // Also right after it was lost: a machine that was put back to a snapshot runs already.
  if (!guest_->is_found() && guest_->find()) on_note_("the guest's kernel: " + banner());
  if (guest_->is_found() && !attributor_)
    attributor_ = std::make_unique<attribution::Attributor>(guest_->view(),
                                                            [this] { guest_->begin_lookup(); });
}

// A reboot, most likely.
void Eyes::lose(const Error& error) {
  attributor_.reset();
  on_lost_();
  on_note_("the guest's kernel is gone, looking for it again: " + error.message);
}

}  // namespace xfilter::engine
