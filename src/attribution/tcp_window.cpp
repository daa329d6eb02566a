// SPDX-License-Identifier: Apache-2.0
#include "attribution/tcp_window.h"

#include <algorithm>

namespace xfilter::attribution {
namespace {

using packet::TcpFlags;

constexpr std::uint32_t kLeastWindow = 65'535;  // the largest that needs no scaling

// RFC 9293, 3.4: sequence numbers are compared modulo 2^32.
bool is_at_most(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(b - a) >= 0;
}

}  // namespace

bool fits_window(const packet::Packet& packet, const guest::linux::TcpWindow& window) {
  if ((packet.tcp_flags & TcpFlags::rst) != 0) return false;
  const bool has_syn = (packet.tcp_flags & TcpFlags::syn) != 0;
  const bool has_fin = (packet.tcp_flags & TcpFlags::fin) != 0;
  const std::uint32_t begin = packet.tcp_sequence;
  const std::uint32_t end = begin + packet.tcp_length + (has_syn ? 1 : 0) + (has_fin ? 1 : 0);

  // It starts no later than what was sent, which the kernel counts after sending: so up to
  // snd_nxt. It ends within what the process wrote. Older data is a retransmission, and may have
  // been acknowledged meanwhile; keep-alives are one byte before it.
  const std::uint32_t sent_window = std::max(window.max_window, kLeastWindow);
  if (!is_at_most(begin, window.snd_nxt) || !is_at_most(end, window.write_seq) ||
      !is_at_most(window.snd_una - sent_window, begin))
    return false;

  if ((packet.tcp_flags & TcpFlags::ack) == 0) return has_syn;
  // Nobody acknowledges what did not come; what came since is at most a window.
  const std::uint32_t received_window = std::max(window.window_clamp, kLeastWindow);
  return is_at_most(packet.tcp_acknowledgement, window.rcv_nxt) &&
         is_at_most(window.rcv_nxt - received_window, packet.tcp_acknowledgement);
}

}  // namespace xfilter::attribution
