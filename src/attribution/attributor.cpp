// SPDX-License-Identifier: Apache-2.0
#include "attribution/attributor.h"

#include <algorithm>
#include <set>

namespace xfilter::attribution {

using guest::VirtAddr;
using model::Confidence;
using model::Owner;
using model::Process;
using packet::Packet;
using namespace guest::linux;

namespace {

// Steps one packet may cost. An honest guest with 2,000 processes and 100,000 sockets needs about
// half of it for a full walk, and some ten for the usual look-up.
constexpr std::uint64_t kStepsPerPacket = 250'000;
// Of that, what a hash chain may take: the kernel keeps them below a dozen.
constexpr std::uint64_t kLongestChain = 10'000;
constexpr std::size_t kMostKnownExes = 2'000;
// An owner that more processes share than this is not worth naming: a fork bomb that inherited a
// socket.
constexpr std::size_t kMostProcesses = 256;

Owner unknown(std::string reason) {
  return {Confidence::unknown, std::move(reason), std::nullopt, {}};
}

// Two moments of one struct sock: the same socket, if nothing that makes it this socket has
// changed.
bool is_same_socket(const SocketTuple& before, const SocketTuple& after) {
  return before.is_full() == after.is_full() && before.net == after.net &&
         before.local == after.local && before.remote == after.remote &&
         before.local_port == after.local_port && before.remote_port == after.remote_port;
}

}  // namespace

Owner Attributor::attribute(const Packet& packet) {
  begin_lookup_();
  Budget budget(kStepsPerPacket);
  const bool is_tcp = packet.flow.protocol == packet::protocol::tcp;
  const bool is_udp = packet.flow.protocol == packet::protocol::udp;
  if (packet.kind != packet::Kind::ip)
    return unknown("not a whole IP packet: no socket can be looked up");
  if (!is_tcp && !is_udp)
    return unknown(fmt::format("{}: sockets of this protocol are not looked up",
                               packet::protocol_name(packet.flow.protocol)));
  auto owner = is_tcp ? attribute_tcp(packet, budget) : attribute_udp(packet, budget);
  if (owner) return std::move(*owner);
  return unknown(owner.error().message);
}

Result<Owner> Attributor::attribute_tcp(const Packet& packet, Budget& budget) {
  XF_TRY(net, init_net(*view_));
  Budget chain(kLongestChain);
  XF_TRY(found, tables_.find_tcp(net, packet.flow, chain));
  if (!found) return unknown("no TCP socket has this tuple");
  if (found->state == TcpState::time_wait) return unknown("TIME_WAIT: the kernel's own reply");
  if (found->state != TcpState::new_syn_recv)
    return owner_of(*found, Confidence::exact, "", budget);
  XF_TRY(listener, view_->read_pointer(found->at, view_->layout().sk_listener));
  XF_TRY(listening, read_tuple(*view_, listener));
  if (listening.state != TcpState::listen)
    return unknown("a connection request whose listener is gone");
  return owner_of(listening, Confidence::inferred, "the listener; who will accept is not known yet",
                  budget);
}

Result<Owner> Attributor::attribute_udp(const Packet& packet, Budget& budget) {
  XF_TRY(net, init_net(*view_));
  Budget chain(kLongestChain);
  XF_TRY(bound, tables_.find_udp(net, packet.flow, chain));
  if (bound.empty()) return unknown("no UDP socket is bound to this port");
  // Like the kernel: a socket connected to this very peer comes before those that talk to anybody.
  const bool has_connected =
      std::any_of(bound.begin(), bound.end(), [](const auto& s) { return s.remote_port != 0; });
  if (has_connected)
    std::erase_if(bound, [](const SocketTuple& socket) { return socket.remote_port == 0; });
  const auto best = has_connected ? Confidence::exact : Confidence::inferred;
  const char* reason =
      has_connected
          ? ""
          : "the socket is not connected: any holder of a raw socket could have sent this";
  if (bound.size() == 1) return owner_of(bound.front(), best, reason, budget);

  if (bound.size() > kMostProcesses)
    return unknown(fmt::format("{} sockets share this port", bound.size()));
  Owner all{Confidence::ambiguous,
            fmt::format("{} sockets share this port", bound.size()),
            std::nullopt,
            {}};
  for (const SocketTuple& socket : bound) {
    XF_TRY(one, owner_of(socket, best, reason, budget));
    for (Process& process : one.processes)
      if (std::find(all.processes.begin(), all.processes.end(), process) == all.processes.end())
        all.processes.push_back(std::move(process));
  }
  if (all.processes.empty())
    return unknown("several sockets share this port, and no process holds one");
  if (all.processes.size() == 1) all.confidence = Confidence::inferred;
  return all;
}

Result<Owner> Attributor::owner_of(const SocketTuple& tuple, Confidence best, std::string reason,
                                   Budget& budget) {
  XF_TRY(before, read_socket_file(*view_, tuple.at));
  if (!before.file) {
    Owner orphan = unknown("no process holds the socket: closed already, or not yet accepted");
    orphan.socket_uid = before.uid;
    return orphan;
  }
  XF_TRY(found, index_.find(before.file, budget));
  XF_TRY(processes, processes_of(found.holders));

  begin_lookup_();
  XF_TRY(tuple_after, read_tuple(*view_, tuple.at));
  XF_TRY(after, read_socket_file(*view_, tuple.at));
  if (after.file != before.file || !is_same_socket(tuple, tuple_after))
    return unknown("the socket changed hands while it was read");

  if (processes.empty()) {
    Owner nobody =
        unknown("the socket is open, but in no descriptor table: in flight between processes");
    nobody.socket_uid = before.uid;
    return nobody;
  }
  Owner owner{best, std::move(reason), before.uid, std::move(processes)};
  if (!found.is_complete) {
    owner.confidence = Confidence::inferred;
    owner.reason = "not every task could be read: there may be further holders";
  }
  return owner;
}

Result<std::vector<Process>> Attributor::processes_of(const std::vector<Holder>& holders) {
  std::vector<Process> processes;
  std::set<std::uint64_t> seen;
  for (const Holder& holder : holders) {
    if (!seen.insert(holder.process.at.value).second) continue;
    if (seen.size() > kMostProcesses)
      return fail(Errc::budget_exhausted, "more than {} processes hold the socket", kMostProcesses);
    XF_TRY(task, read_task(*view_, holder.process.at));
    XF_TRY(cred, read_cred(*view_, task));
    XF_TRY(exe, exe_of(task));
    processes.push_back(
        {task.pid, task.start_boottime, cred.euid, cred.egid, task.comm, std::move(exe)});
  }
  std::sort(processes.begin(), processes.end(),
            [](const Process& a, const Process& b) { return a.pid < b.pid; });
  return processes;
}

// A program's path is dozens of reads, and changes only with exec: which makes another mm and
// exe_file.
Result<std::string> Attributor::exe_of(const Task& process) {
  if (!process.mm || process.is_kernel_thread) return std::string();
  XF_TRY(exe_file, view_->read_pointer(process.mm, view_->layout().mm_exe_file));
  const ExeKey key{process.mm.value, exe_file.value,
                   static_cast<std::uint64_t>(process.start_boottime.count())};
  const auto known = exes_.find(process.at.value);
  if (known != exes_.end() && known->second.key == key) return known->second.path;
  XF_TRY(path, read_exe(*view_, process));
  if (exes_.size() >= kMostKnownExes) exes_.clear();
  exes_[process.at.value] = {key, path};
  return path;
}

}  // namespace xfilter::attribution
