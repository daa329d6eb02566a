// SPDX-License-Identifier: Apache-2.0
// model/owner.h: who sent a packet, as far as we can tell, and how sure we are.
//
// Everything in here was written by the guest: it was bounded when it was copied, and means what
// the guest says, no more. See docs/attribution.md for what each confidence promises.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace xfilter::model {

enum class Confidence : std::uint8_t {
  exact,      // this set of processes holds the socket that sent the packet
  inferred,   // most likely these, but others could have sent it
  ambiguous,  // one of these, we cannot tell which
  unknown,    // nobody was found; `reason` says why
};
const char* to_string(Confidence confidence);

// A process of the guest (a thread group, named by its leader's pid in the guest's initial
// namespace).
struct Process {
  std::int32_t pid = 0;
  std::chrono::nanoseconds start_boottime{
      0};                 // task_struct.start_boottime: with the pid an identity
  std::uint32_t uid = 0;  // effective uid (cred.euid)
  std::uint32_t gid = 0;  // effective gid
  std::string comm;       // at most 15 bytes
  std::string exe;        // path inside the guest; empty for kernel threads

  bool operator==(const Process&) const = default;
};

struct Owner {
  Confidence confidence = Confidence::unknown;
  std::string reason;  // for people; empty when exact
  std::optional<std::uint32_t>
      socket_uid;                  // sock.sk_uid: who created the socket, when one was found
  std::vector<Process> processes;  // every process that holds the socket

  bool is_attributed() const { return !processes.empty(); }
};

}  // namespace xfilter::model
