// SPDX-License-Identifier: Apache-2.0
// model/owner.h: who sent a packet, as far as we can tell, and how sure we are.
//
// Everything in here was written by the guest: it was bounded when it was copied, and means what
// the guest says, no more. See docs/attribution.md for what each confidence promises.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
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

// What makes a process of the guest (a thread group) this one and no other, within one boot.
struct ProcessId {
  std::int32_t pid = 0;                        // its leader's, in the guest's initial namespace
  std::chrono::nanoseconds start_boottime{0};  // task_struct.start_boottime of the leader

  auto operator<=>(const ProcessId&) const = default;
};

// A process that a process descends from.
struct Ancestor {
  ProcessId id;
  std::string comm;
  std::string exe;

  bool operator==(const Ancestor&) const = default;
};

struct Process {
  ProcessId id;
  std::vector<Ancestor> parents;  // nearest first, as they were when the process was first seen

  std::uint32_t uid = 0;  // effective uid (cred.euid)
  std::uint32_t gid = 0;  // effective gid
  std::uint32_t real_uid = 0;
  std::uint32_t real_gid = 0;
  std::int32_t session = 0;                    // session leader's pid; 0: none in our namespace
  std::optional<std::uint32_t> audit_session;  // none: the audit system never saw a login

  std::string comm;  // at most 15 bytes
  std::string exe;   // path in its own mount namespace; empty for kernel threads
  bool exe_is_deleted = false;
  std::vector<std::string> cmdline;  // as the process's memory had it when it was first seen

  std::string cgroup;       // path in the unified hierarchy, "/" at the top
  std::string container;    // id, by the cgroup's name; empty outside containers
  std::string hostname;     // of its UTS namespace
  std::uint32_t netns = 0;  // inode number, as in /proc/PID/ns/net
  std::int32_t ns_pid = 0;  // its pid in its own pid namespace
  bool is_hidden = false;   // the guest's own list of tasks or table of pids does not have it

  bool operator==(const Process&) const = default;
};
// Facts of a process are shared by all flows it owns; nobody changes them.
using ProcessRef = std::shared_ptr<const Process>;

struct Owner {
  Confidence confidence = Confidence::unknown;
  std::string reason;  // for people; empty when exact
  // sock.sk_uid: who created the socket, when one was found
  std::optional<std::uint32_t> socket_uid;
  std::vector<ProcessRef> processes;     // every process that holds the socket, by pid
  std::vector<ProcessRef> alternatives;  // others that could have forged the packet, by pid

  bool is_attributed() const { return !processes.empty(); }
};

inline Owner unknown_owner(std::string reason) {
  Owner owner;
  owner.reason = std::move(reason);
  return owner;
}

}  // namespace xfilter::model
