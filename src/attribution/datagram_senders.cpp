// SPDX-License-Identifier: Apache-2.0
#include "attribution/datagram_senders.h"

#include <array>

namespace xfilter::attribution {

using packet::IpAddress;
using packet::Packet;
using namespace guest::linux;

namespace {

// Datagrams that are on their way while their socket or others count on. A default socket buffer
// holds some three hundred.
constexpr std::uint16_t kMostUnderWay = 1'024;
// A datagram that the guest cuts into segments (UDP_SEGMENT) takes one number; its segments carry
// the next ones. include/linux/udp.h, UDP_MAX_SEGMENTS.
constexpr std::uint16_t kMostSegments = 128;

bool is_recent(std::uint16_t id, std::uint16_t next) {
  const auto behind = static_cast<std::uint16_t>(next - 1 - id);
  const auto ahead = static_cast<std::uint16_t>(id - next);
  return behind < kMostUnderWay || ahead < kMostSegments - 1;
}

// ::ffff:0.0.0.0 is the address of an IPv6 socket that is bound to any of IPv4's.
bool is_any(const IpAddress& address) {
  return address.unmapped().is_unspecified();
}

// How a socket would come to send the packet, the most usual first.
enum class Aim { at_its_peer, at_anybody, elsewhere };
constexpr std::array<const char*, 3> kDoubts = {
    nullptr, "the socket is not connected: others could have sent this",
    "the socket has another peer or local address, but can send this as well"};

Aim aim_of(const SocketTuple& socket, const packet::Flow& flow) {
  if (!is_any(socket.local) && socket.local.unmapped() != flow.src) return Aim::elsewhere;
  if (is_any(socket.remote)) return Aim::at_anybody;
  const bool is_its_port = socket.kind == SocketKind::ping || socket.remote_port == flow.dst_port;
  return is_its_port && socket.remote.unmapped() == flow.dst ? Aim::at_its_peer : Aim::elsewhere;
}

}  // namespace

// Does the packet's IPv4 identification fit what this socket sends?
DatagramSenders::Fit DatagramSenders::fit_of(const SocketTuple& socket,
                                             const Packet& packet) const {
  if (packet.flow.src.family != IpAddress::Family::v4) return Fit::cannot_tell;
  const auto id = static_cast<std::uint16_t>(packet.ip_id);
  const bool is_connected = !is_any(socket.remote);
  if (is_connected) {
    const auto next = read_next_ip_id(*view_, socket.at);
    if (next && is_recent(id, *next)) return Fit::yes;
  } else if (id == 0) {
    return Fit::yes;  // where the network must not fragment, there is nothing to count
  }
  const auto shared = shared_ids_.next(socket.net, packet.flow);
  if (!shared || !*shared) return is_connected ? Fit::no : Fit::cannot_tell;
  return is_recent(id, **shared) ? Fit::yes : Fit::no;
}

bool DatagramSenders::is_sending(const SocketTuple& socket) const {
  const auto sending = read_is_sending(*view_, socket.at);
  return sending && *sending;
}

Result<DatagramSenders::Choice> DatagramSenders::choose(const std::vector<SocketTuple>& on_port,
                                                        const Packet& packet, Budget& budget) {
  const IpAddress& source = packet.flow.src;
  std::array<std::vector<SocketTuple>, kDoubts.size()> by_aim;
  Choice late{{}, "its IP identification is none of the socket's last: late, or forged"};
  for (const SocketTuple& socket : on_port) {
    if (socket.local.unmapped() != source && !source.is_unspecified()) {
      XF_TRY(is_own, addresses_.has(socket.net, source, budget));
      if (!is_own) continue;  // forwarded: the sender's namespace is another one
    }
    const Aim aim = aim_of(socket, packet.flow);
    const Fit fit = fit_of(socket, packet);
    if (fit == Fit::yes ||
        (fit == Fit::cannot_tell && (aim != Aim::elsewhere || is_sending(socket))))
      by_aim[static_cast<std::size_t>(aim)].push_back(socket);
    else if (fit == Fit::no && is_sending(socket))
      late.sockets.push_back(socket);
  }
  for (std::size_t aim = 0; aim < by_aim.size(); ++aim)
    if (!by_aim[aim].empty()) return Choice{std::move(by_aim[aim]), kDoubts[aim]};
  return late;
}

}  // namespace xfilter::attribution
