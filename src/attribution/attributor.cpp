// SPDX-License-Identifier: Apache-2.0
#include "attribution/attributor.h"

#include <algorithm>
#include <set>

#include "attribution/tcp_window.h"

namespace xfilter::attribution {

using guest::VirtAddr;
using model::Confidence;
using model::Owner;
using model::ProcessRef;
using model::unknown_owner;
using packet::Packet;
using namespace guest::linux;

namespace {

// Steps one packet may cost. An honest guest with 2,000 processes and 100,000 sockets needs about
// half of it for a full walk, and some ten for the usual look-up.
constexpr std::uint64_t kStepsPerPacket = 250'000;
// Of that, what a hash chain may take: the kernel keeps them below a dozen.
constexpr std::uint64_t kLongestChain = 10'000;
constexpr std::uint64_t kMostNets = 1'000;
// An owner that more processes share than this is not worth naming: a fork bomb that inherited a
// socket.
constexpr std::size_t kMostProcesses = 256;
// Last owners: what is kept must not grow with what the guest does.
constexpr std::size_t kMostFlows = 32'768;
constexpr std::size_t kMostRemembered = 8;      // processes
constexpr std::size_t kMostFragmented = 1'024;  // datagrams; fragments follow each other closely

// Two moments of one struct sock: the same socket, if nothing that makes it this socket has
// changed.
bool is_same_socket(const SocketTuple& before, const SocketTuple& after) {
  return before.is_full() == after.is_full() && before.net == after.net &&
         before.local == after.local && before.remote == after.remote &&
         before.local_port == after.local_port && before.remote_port == after.remote_port;
}

void add_missing(std::vector<ProcessRef>& processes, const std::vector<ProcessRef>& more) {
  for (const ProcessRef& process : more) {
    const auto place = std::lower_bound(processes.begin(), processes.end(), process,
                                        [](const auto& a, const auto& b) { return a->id < b->id; });
    if (place == processes.end() || (*place)->id != process->id) processes.insert(place, process);
  }
}

// What the guest's kernel sends by itself, for no socket: resets, ICMP errors and answers,
// neighbour discovery, multicast reports. None when it is not such a packet.
const char* kernel_reply(const Packet& packet) {
  constexpr std::uint8_t kIgmp = 2;
  const std::uint8_t type = packet.icmp_type;
  switch (packet.flow.protocol) {
    case packet::protocol::tcp:
      return (packet.tcp_flags & packet::TcpFlags::rst) != 0 ? "a TCP reset" : nullptr;
    case packet::protocol::icmp:  // all but echo and timestamp requests
      return type != 8 && type != 13 ? "an ICMP error or answer" : nullptr;
    case packet::protocol::icmpv6:  // errors are below 128; 130 and more are the network's upkeep
      return type != 128 ? "an ICMPv6 error, answer or neighbour discovery" : nullptr;
    case kIgmp:
      return "a multicast report";
    default:
      return nullptr;
  }
}

bool starts_connection(const Packet& packet) {
  constexpr auto kSynAck = packet::TcpFlags::syn | packet::TcpFlags::ack;
  return packet.flow.protocol == packet::protocol::tcp &&
         (packet.tcp_flags & kSynAck) == packet::TcpFlags::syn;
}

// A packet socket sends anything, a raw socket anything of its family: it can write the header
// itself (IP_HDRINCL) and switch that on and off at any time.
bool could_have_sent(const SocketTuple& socket, const packet::Flow& flow) {
  return socket.kind == SocketKind::packet ||
         socket.is_ipv6_socket == (flow.src.family == packet::IpAddress::Family::v6);
}

// Opened for this protocol, one that few other sockets send.
bool is_made_for(const SocketTuple& socket, const packet::Flow& flow) {
  return socket.kind == SocketKind::raw && socket.local_port == flow.protocol &&
         flow.protocol != packet::protocol::tcp && flow.protocol != packet::protocol::udp;
}

}  // namespace

// A chain takes of the packet's budget, but not all of it.
template <class Find>
auto Attributor::find_in_chain(Budget& budget, Find find) {
  Budget chain(std::min(kLongestChain, budget.left()));
  auto found = find(chain);
  chain_steps_ += chain.spent();
  (void)budget.spend("hash chains", chain.spent());
  return found;
}

Attributor::Attributor(const View& view, std::function<void()> begin_lookup)
    : view_(&view),
      begin_lookup_(std::move(begin_lookup)),
      tables_(view),
      datagram_senders_(view),
      conntrack_(view),
      holders_(view, begin_lookup_),
      processes_(view),
      raw_senders_(view, holders_, processes_),
      last_owners_(kMostFlows),
      fragmented_(kMostFragmented) {}

Owner Attributor::attribute(const Packet& packet) {
  if (!packet.is_ip()) return unknown_owner("not an IP packet: no socket can be looked up");
  begin_lookup_();
  Budget budget(kStepsPerPacket);
  raw_senders_.begin_lookup(budget);
  return packet.kind == packet::Kind::fragment ? attribute_fragment(packet, budget)
                                               : attribute_whole(packet, budget);
}

// The ports are in a datagram's first fragment; the others are known by what they have in common.
Owner Attributor::attribute_fragment(const Packet& packet, Budget& budget) {
  packet::Flow datagram = packet.flow;
  datagram.src_port = static_cast<std::uint16_t>(packet.ip_id >> 16);
  datagram.dst_port = static_cast<std::uint16_t>(packet.ip_id);
  if (packet.first_fragment_of) {
    Packet first = packet;
    first.kind = packet::Kind::ip;
    first.flow = *packet.first_fragment_of;
    Owner owner = attribute_whole(first, budget);
    fragmented_.forget(datagram);
    if (owner.is_attributed() && owner.processes.size() <= kMostRemembered)
      fragmented_.put(datagram, owner);
    return owner;
  }
  const Owner* known = fragmented_.find(datagram);
  if (known == nullptr) return unknown_owner("a fragment whose datagram's first was not seen");
  Owner owner = *known;
  if (owner.confidence == Confidence::exact) {
    owner.confidence = Confidence::inferred;
    owner.reason = "a fragment: whoever sent its datagram's first";
  }
  lower_by_raw_senders(owner, view_->init_net(), budget);
  return owner;
}

Owner Attributor::attribute_whole(const Packet& packet, Budget& budget) {
  // A new connection never inherits.
  if (starts_connection(packet)) last_owners_.forget(packet.flow);
  auto by_socket = owner_by_socket(packet, budget);
  if (!by_socket && by_socket.error().code == Errc::guest_data_invalid) {
    begin_lookup_();  // something changed while it was read: look again, once
    by_socket = owner_by_socket(packet, budget);
  }
  if (!by_socket) by_socket = unknown_owner(by_socket.error().message);
  if (*by_socket && (*by_socket)->is_attributed()) {
    if (packet.flow.protocol == packet::protocol::tcp &&
        (*by_socket)->processes.size() <= kMostRemembered)
      last_owners_.put(packet.flow, **by_socket);
    return std::move(**by_socket);
  }
  if (auto last = last_owner(packet, *by_socket, budget)) return std::move(*last);
  if (*by_socket) return std::move(**by_socket);
  auto owner = unexplained(packet, budget);
  if (!owner) return unknown_owner(owner.error().message);
  // Nobody has this tuple; whoever was seen sending with it may send more.
  if (owner->confidence == Confidence::exact) last_owners_.put(packet.flow, *owner);
  return std::move(*owner);
}

// After close() the kernel goes on sending for a TCP socket that nobody holds. A datagram from a
// closed socket may as well be from the port's next owner, gone already.
std::optional<Owner> Attributor::last_owner(const Packet& packet,
                                            const std::optional<Owner>& by_socket, Budget& budget) {
  const Owner* known = last_owners_.find(packet.flow);
  if (known == nullptr) return std::nullopt;
  Owner last = *known;
  last.confidence = Confidence::inferred;
  last.reason = fmt::format("the flow's last known owner; now: {}",
                            by_socket ? by_socket->reason : "no socket has this tuple");
  lower_by_raw_senders(last, view_->init_net(), budget);
  return last;
}

void Attributor::observe_processes() {
  begin_lookup_();
  processes_.observe();
}

// None when no socket explains the packet.
Result<std::optional<Owner>> Attributor::owner_by_socket(const Packet& packet, Budget& budget) {
  const VirtAddr init = view_->init_net();
  XF_TRY(explanation, explain(init, packet, budget));
  // NAT gives containers' packets the guest's address, and ports that its own sockets have too:
  // then it gives those another port on their way out. So a tuple alone proves nothing.
  if (explanation && explanation->is_certain) return owner_of(*explanation, budget);

  XF_TRY(behind_nat, sender_behind_nat(packet, budget));
  if (behind_nat) return behind_nat;
  if (explanation) return owner_of(*explanation, budget);
  return find_in_namespaces(packet, budget);
}

// The owner by the tuple that the packet had before the guest's NAT; none when it had no other.
Result<std::optional<Owner>> Attributor::sender_behind_nat(const Packet& packet, Budget& budget) {
  const std::uint8_t protocol = packet.flow.protocol;
  const bool is_tracked =
      protocol == packet::protocol::tcp || protocol == packet::protocol::udp ||
      ((protocol == packet::protocol::icmp || protocol == packet::protocol::icmpv6) &&
       kernel_reply(packet) == nullptr);
  if (!is_tracked) return std::nullopt;
  XF_TRY(original, find_in_chain(budget, [&](Budget& chain) {
           return conntrack_.before_nat(packet.flow, chain);
         }));
  if (!original || *original == packet.flow) return std::nullopt;

  Packet as_sent = packet;
  as_sent.flow = *original;
  const VirtAddr init = view_->init_net();
  XF_TRY(local, explain(init, as_sent, budget));
  if (local) return owner_of(*local, budget);
  XF_TRY(found, find_in_namespaces(as_sent, budget));
  if (found) return found;
  return unknown_owner(fmt::format("{} before the guest's NAT: no socket has this tuple",
                                   packet::to_string(*original)));
}

// The owner in another network namespace than the guest's first, whose packets it forwards.
Result<std::optional<Owner>> Attributor::find_in_namespaces(const Packet& packet, Budget& budget) {
  const VirtAddr init = view_->init_net();
  XF_TRY(nets, walk_nets(*view_, Budget(kMostNets)));
  for (const Net& net : nets) {
    if (net.at == init) continue;
    XF_CHECK(budget.spend("net namespaces"));
    XF_TRY(explanation, explain(net.at, packet, budget));
    if (!explanation) continue;
    XF_TRY(owner, owner_of(*explanation, budget));
    lower_by_raw_senders(owner, init, budget);  // it passes there
    return owner;
  }
  return std::nullopt;
}

Result<std::optional<Attributor::Explanation>> Attributor::explain(VirtAddr net,
                                                                   const Packet& packet,
                                                                   Budget& budget) {
  switch (packet.flow.protocol) {
    case packet::protocol::tcp:
      return explain_tcp(net, packet, budget);
    case packet::protocol::udp:
      return explain_datagram(net, packet, budget);
    case packet::protocol::icmp:
    case packet::protocol::icmpv6:
      if (kernel_reply(packet) != nullptr) return std::nullopt;
      return explain_datagram(net, packet, budget);
    default:
      return std::nullopt;
  }
}

Result<std::optional<Attributor::Explanation>> Attributor::explain_tcp(VirtAddr net,
                                                                       const Packet& packet,
                                                                       Budget& budget) {
  XF_TRY(found, find_in_chain(budget, [&](Budget& chain) {
           return tables_.find_tcp(net, packet.flow, chain);
         }));
  if (!found) return std::nullopt;
  if (found->state == TcpState::time_wait)
    return Explanation{{}, Confidence::unknown, "TIME_WAIT: the kernel's own reply", false};
  if (found->state == TcpState::new_syn_recv) {
    XF_TRY(listener, view_->read_pointer(found->at, view_->layout().sk_listener));
    XF_TRY(listening, read_tuple(*view_, SocketKind::tcp, listener));
    if (listening.state != TcpState::listen)
      return Explanation{
          {}, Confidence::unknown, "a connection request whose listener is gone", false};
    return Explanation{{listening},
                       Confidence::inferred,
                       "the listener; who will accept the connection is not known yet",
                       false};
  }
  XF_TRY(window, read_tcp_window(*view_, found->at));
  if (!fits_window(packet, window))
    return Explanation{{*found},
                       Confidence::inferred,
                       "its numbers do not fit the connection's window: it may be forged",
                       false};
  return Explanation{{*found}, Confidence::exact, ""};
}

Result<std::optional<Attributor::Explanation>> Attributor::explain_datagram(VirtAddr net,
                                                                            const Packet& packet,
                                                                            Budget& budget) {
  XF_TRY(on_port, find_in_chain(budget, [&](Budget& chain) {
           return packet.flow.protocol == packet::protocol::udp
                      ? tables_.find_udp(net, packet.flow, chain)
                      : tables_.find_ping(net, packet.flow, chain);
         }));
  XF_TRY(chosen, datagram_senders_.choose(on_port, packet, budget));
  if (chosen.sockets.empty()) return std::nullopt;
  if (chosen.doubt == nullptr)
    return Explanation{std::move(chosen.sockets), Confidence::exact, "", false};
  return Explanation{std::move(chosen.sockets), Confidence::inferred, chosen.doubt, false};
}

Result<Owner> Attributor::owner_of(const Explanation& explanation, Budget& budget) {
  const auto& sockets = explanation.sockets;
  if (sockets.empty()) return unknown_owner(explanation.reason);
  if (sockets.size() > kMostProcesses)
    return unknown_owner(fmt::format("{} sockets share this port", sockets.size()));

  XF_TRY(owner, owner_of(sockets.front(), budget));
  for (std::size_t i = 1; i < sockets.size(); ++i) {
    XF_TRY(other, owner_of(sockets[i], budget));
    add_missing(owner.processes, other.processes);
    owner.socket_uid.reset();
  }
  if (owner.processes.empty()) return owner;
  if (owner.confidence == Confidence::exact) {
    owner.confidence = explanation.best;
    owner.reason = explanation.reason;
  }
  if (sockets.size() > 1) {
    const bool is_one = owner.processes.size() == 1;
    owner.confidence = is_one ? Confidence::inferred : Confidence::ambiguous;
    owner.reason = fmt::format("{} sockets share this port", sockets.size());
  }
  lower_by_raw_senders(owner, sockets.front().net, budget);
  return owner;
}

// Exact as long as nothing speaks against it; then inferred or unknown.
Result<Owner> Attributor::owner_of(const SocketTuple& tuple, Budget& budget) {
  XF_TRY(before, read_socket_file(*view_, tuple.at));
  if (!before.file) {
    Owner orphan =
        unknown_owner("no process holds the socket: closed already, or not yet accepted");
    orphan.socket_uid = before.uid;
    return orphan;
  }
  const HolderIndex::Found found = holders_.find(before.file, budget);
  XF_TRY(processes, processes_of(found.holders, budget));

  begin_lookup_();
  XF_TRY(tuple_after, read_tuple(*view_, tuple.kind, tuple.at));
  XF_TRY(socket_after, view_->read_pointer(tuple.at, view_->layout().sk_socket));
  if (socket_after != before.socket || !is_same_socket(tuple, tuple_after))
    return unknown_owner("the socket changed hands while it was read");

  Owner owner;
  owner.socket_uid = before.uid;
  owner.processes = std::move(processes);
  if (owner.processes.empty()) {
    owner.reason = "the socket is open, but in no descriptor table: in flight between processes";
  } else if (found.is_complete) {
    owner.confidence = Confidence::exact;
  } else {
    owner.confidence = Confidence::inferred;
    owner.reason = "not every task could be read: there may be further holders";
  }
  return owner;
}

Result<std::vector<ProcessRef>> Attributor::processes_of(std::span<const Holder> holders,
                                                         Budget& budget) {
  std::vector<ProcessRef> processes;
  std::set<std::uint64_t> seen;
  for (const Holder& holder : holders) {
    if (holders.size() > 1 && !seen.insert(holder.process.at.value).second) continue;
    if (seen.size() > kMostProcesses)
      return fail(Errc::budget_exhausted, "more than {} processes hold the socket", kMostProcesses);
    XF_TRY(process, processes_.find(holder.process.at, budget));
    add_missing(processes, {process});
  }
  return processes;
}

// Whoever holds a raw or packet socket there could have forged the packet, its numbers included.
void Attributor::lower_by_raw_senders(Owner& owner, VirtAddr net, Budget& budget) {
  const auto senders = raw_senders_.in(net, budget);
  const auto lower = [&](std::string reason) {
    if (owner.confidence != Confidence::exact) return;
    owner.confidence = Confidence::inferred;
    owner.reason = std::move(reason);
  };
  if (!senders) return lower("who holds raw sockets could not be read: " + senders.error().message);
  if (senders->empty()) return;
  for (const auto& sender : *senders) add_missing(owner.alternatives, sender.processes);
  lower("somebody in its network namespace can forge packets: a raw or packet socket is open");
}

// Whether a datagram socket of the guest's first namespace is connected just like this packet says,
// though it did not send it.
Result<bool> Attributor::is_of_live_socket(const Packet& packet, Budget& budget) {
  if (packet.flow.protocol != packet::protocol::udp) return false;
  XF_TRY(on_port, find_in_chain(budget, [&](Budget& chain) {
           return tables_.find_udp(view_->init_net(), packet.flow, chain);
         }));
  return std::any_of(on_port.begin(), on_port.end(), [&](const SocketTuple& socket) {
    return socket.remote_port == packet.flow.dst_port &&
           socket.remote.unmapped() == packet.flow.dst;
  });
}

// No socket of the usual kinds has this tuple. It may be closed already, the kernel itself may have
// sent it, or somebody through a raw or packet socket: who is seen sending through one.
Result<Owner> Attributor::unexplained(const Packet& packet, Budget& budget) {
  std::vector<ProcessRef> sending, meant, able;
  bool is_unheld = false;
  XF_TRY(nets, walk_nets(*view_, Budget(kMostNets)));
  for (const Net& net : nets) {
    XF_CHECK(budget.spend("net namespaces"));
    XF_TRY(senders, raw_senders_.in(net.at, budget));
    for (const auto& sender : senders) {
      if (!could_have_sent(sender.socket, packet.flow)) continue;
      add_missing(able, sender.processes);
      if (sender.is_sending) add_missing(sending, sender.processes);
      if (sender.is_sending && sender.processes.empty()) is_unheld = true;
      if (is_made_for(sender.socket, packet.flow)) add_missing(meant, sender.processes);
    }
  }
  const char* const reply = kernel_reply(packet);
  if (able.empty())
    return unknown_owner(reply != nullptr
                             ? fmt::format("{}: the kernel's own", reply)
                             : fmt::format("no {} socket could have sent this, and nobody holds a "
                                           "raw socket",
                                           packet::protocol_name(packet.flow.protocol)));
  Owner owner;
  owner.alternatives = able;
  if (!sending.empty() && reply == nullptr) {
    XF_TRY(is_contested, is_of_live_socket(packet, budget));
    if (sending.size() > 1 || is_unheld) {
      owner.confidence = Confidence::ambiguous;
      owner.reason = "several raw or packet sockets are sending";
    } else if (is_contested) {
      owner.confidence = Confidence::inferred;
      owner.reason =
          "a socket has this tuple, but its numbers are others; a raw or packet socket is sending";
    } else {
      owner.confidence = Confidence::exact;
    }
    owner.processes = std::move(sending);
  } else if (!meant.empty() && reply == nullptr) {
    owner.confidence = meant.size() == 1 ? Confidence::inferred : Confidence::ambiguous;
    owner.reason = "raw sockets of this protocol are open, and no other socket sent this";
    owner.processes = std::move(meant);
  } else {
    owner.reason = fmt::format(
        "{}, or somebody's who holds a raw or packet socket",
        reply != nullptr ? fmt::format("{}: the kernel's own", reply)
                         : "no socket has this tuple: it may be one that was closed at once");
  }
  std::erase_if(owner.alternatives, [&](const ProcessRef& process) {
    return std::find(owner.processes.begin(), owner.processes.end(), process) !=
           owner.processes.end();
  });
  return owner;
}

}  // namespace xfilter::attribution
