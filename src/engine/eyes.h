// SPDX-License-Identifier: Apache-2.0
// engine/eyes.h: who sent this packet? Looks into one guest, whose kernel may go and come again.
//
// Threads: one. Cost: owner_of() some microseconds; tens of milliseconds when a kernel has to be
// found.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "attribution/attributor.h"
#include "engine/guest.h"

namespace xfilter::engine {

class Eyes {
 public:
  // `on_lost`: nothing that was said about the kernel's processes counts any longer. `on_note` gets
  // sentences for people.
  Eyes(std::unique_ptr<Guest> guest, std::function<void()> on_lost,
       std::function<void(std::string)> on_note);

  Result<void> find();  // the kernel, for the first time
  model::Owner owner_of(const packet::Packet& packet);
  // What is done beside packets, a little at each call.
  void observe_processes();
  // Checks that the guest's kernel is still the one we know, and looks for it when not.
  void watch();
  // What the guest's processes run, or ran, as far as it is known; nothing without a kernel.
  std::unordered_set<std::string> programs_seen() const {
    return attributor_ ? attributor_->programs_seen() : std::unordered_set<std::string>();
  }
  std::string banner() const;  // of the kernel; empty while there is none

 private:
  void lose(const Error& error);

  std::unique_ptr<Guest> guest_;
  std::function<void()> on_lost_;
  std::function<void(std::string)> on_note_;
  std::unique_ptr<attribution::Attributor> attributor_;
  std::chrono::steady_clock::time_point checked_{};  // when the kernel was last seen in place
};

}  // namespace xfilter::engine
