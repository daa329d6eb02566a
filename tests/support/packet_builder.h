// SPDX-License-Identifier: Apache-2.0
// tests/support/packet_builder.h: packets as prose:
//
//   Ethernet{} / Vlan{.id = 12} / Ipv4{.dst = "10.0.0.1"} / Tcp{.dst_port = 25, .flags =
//   TcpFlags::syn}
//
// Each layer tells the one before it what it is. Checksums are left zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "packet/flow.h"

namespace xfilter::support {

class Frame {
 public:
  std::span<const std::byte> bytes() const { return bytes_; }
  operator std::span<const std::byte>() const { return bytes_; }

  void u8(unsigned value) { bytes_.push_back(static_cast<std::byte>(value)); }
  void u16(unsigned value) {
    u8(value >> 8);
    u8(value & 0xff);
  }
  void u32(std::uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void address(const char* text, std::size_t size) {
    const auto parsed = packet::IpAddress::parse(text).value();
    for (std::size_t i = 0; i < size; ++i) u8(parsed.bytes[i]);
  }
  void pad(std::size_t count) { bytes_.resize(bytes_.size() + count); }

  // Where the type of the next layer is to be written, and how wide it is.
  std::size_t next_at = 0, next_size = 0;
  void announce(unsigned ether_type, unsigned ip_protocol) {
    if (next_size == 2) {
      bytes_[next_at] = static_cast<std::byte>(ether_type >> 8);
      bytes_[next_at + 1] = static_cast<std::byte>(ether_type & 0xff);
    } else if (next_size == 1) {
      bytes_[next_at] = static_cast<std::byte>(ip_protocol);
    }
    next_size = 0;
  }
  void next_type_here(std::size_t offset_from_end, std::size_t size) {
    next_at = bytes_.size() - offset_from_end;
    next_size = size;
  }

 private:
  std::vector<std::byte> bytes_;
};

struct Ethernet {
  unsigned type = 0;  // 0: what follows
  operator Frame() const {
    Frame frame;
    frame.pad(12);
    frame.u16(type);
    if (type == 0) frame.next_type_here(2, 2);
    return frame;
  }
};

struct Vlan {
  unsigned id = 0;
  void add_to(Frame& frame) const {
    frame.announce(0x8100, 0);
    frame.u16(id);
    frame.u16(0);
    frame.next_type_here(2, 2);
  }
};

struct Ipv4 {
  const char* src = "10.0.0.2";
  const char* dst = "10.0.0.1";
  unsigned fragment = 0;  // flags and offset as on the wire
  unsigned option_words = 0;
  unsigned version = 4;
  unsigned header_words = 5;
  unsigned total_length = 40;  // without options
  void add_to(Frame& frame) const {
    frame.announce(0x0800, 4);
    frame.u8(version << 4 | (header_words + option_words));
    frame.u8(0);
    frame.u16(total_length + option_words * 4);
    frame.u16(0);
    frame.u16(fragment);
    frame.u8(64);
    frame.u8(0);
    const std::size_t protocol_to_end = 3;
    frame.u16(0);
    frame.next_type_here(protocol_to_end, 1);
    frame.address(src, 4);
    frame.address(dst, 4);
    frame.pad(option_words * 4);
  }
};

struct Ipv6 {
  const char* src = "fd00::2";
  const char* dst = "fd00::1";
  void add_to(Frame& frame) const {
    frame.announce(0x86dd, 41);
    frame.u32(6u << 28);
    frame.u16(64);
    frame.u8(0);
    frame.u8(64);
    frame.next_type_here(2, 1);
    frame.address(src, 16);
    frame.address(dst, 16);
  }
};

struct Ipv6Extension {
  unsigned type = 0;      // 0 hop-by-hop, 43 routing, 44 fragment, 60 destination options
  unsigned length = 0;    // in 8 bytes, beyond the first 8
  unsigned fragment = 0;  // of a fragment header: offset and more-fragments as on the wire
  void add_to(Frame& frame) const {
    frame.announce(0, type);
    frame.u8(59);
    frame.next_type_here(1, 1);
    frame.u8(length);
    frame.u16(fragment);
    frame.pad(4 + length * 8);
  }
};

struct Tcp {
  unsigned src_port = 40000, dst_port = 80;
  unsigned flags = 0x10;
  std::uint32_t sequence = 0, acknowledgement = 0;
  void add_to(Frame& frame) const {
    frame.announce(0, 6);
    frame.u16(src_port);
    frame.u16(dst_port);
    frame.u32(sequence);
    frame.u32(acknowledgement);
    frame.u8(5 << 4);
    frame.u8(flags);
    frame.pad(6);
  }
};

struct Udp {
  unsigned src_port = 40000, dst_port = 53;
  void add_to(Frame& frame) const {
    frame.announce(0, 17);
    frame.u16(src_port);
    frame.u16(dst_port);
    frame.u16(8);
    frame.u16(0);
  }
};

struct Icmp {
  bool is_v6 = false;
  unsigned type = 8;
  unsigned code = 0;
  unsigned identifier = 0;
  void add_to(Frame& frame) const {
    frame.announce(0, is_v6 ? 58 : 1);
    frame.u8(type);
    frame.u8(code);
    frame.pad(2);
    frame.u16(identifier);
    frame.u16(1);
  }
};

template <class Layer>
requires requires(const Layer& layer, Frame& frame) {
  layer.add_to(frame);
}
Frame operator/(Frame frame, const Layer& layer) {
  layer.add_to(frame);
  return frame;
}

}  // namespace xfilter::support
