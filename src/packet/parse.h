// SPDX-License-Identifier: Apache-2.0
// packet/parse.h: from the bytes of an Ethernet frame to what rules and attribution want to know.
//
// Input:   a frame as a tap delivers it: Ethernet header first, 802.1Q tags in-band. Hostile.
// Failure: a frame that cannot be understood is a Kind, not an error: somebody has to judge it.
// Cost:    no allocation; every header is visited once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "packet/flow.h"

namespace xfilter::packet {

enum class Kind : std::uint8_t {
  ip,         // flow is valid
  fragment,   // one of several: flow has no ports, as all of a datagram's fragments are one flow
  other,      // not IP (ARP, LLDP, ...)
  malformed,  // a header is cut short or contradicts itself
};

struct TcpFlags {
  static constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10;
};

struct Packet {
  Kind kind = Kind::malformed;
  Flow flow;
  std::uint8_t tcp_flags = 0;  // 0 unless TCP
  std::uint32_t tcp_sequence = 0;
  std::uint32_t tcp_acknowledgement = 0;
  std::uint32_t tcp_length = 0;  // bytes of data
  std::uint8_t icmp_type = 0;    // 0 unless ICMP or ICMPv6
  std::uint8_t icmp_code = 0;    // likewise
  // IPv4's identification, and that of an IPv6 fragment: what a datagram's fragments have in common
  // besides addresses and protocol.
  std::uint32_t ip_id = 0;
  // Of a datagram's first fragment: the flow with its ports, which the later ones lack.
  std::optional<Flow> first_fragment_of;

  bool is_ip() const { return kind == Kind::ip || kind == Kind::fragment; }
  // Fragments and ICMP have none.
  bool has_ports() const {
    return kind == Kind::ip && (flow.protocol == protocol::tcp || flow.protocol == protocol::udp);
  }
};

Packet parse_frame(std::span<const std::byte> frame);

}  // namespace xfilter::packet
