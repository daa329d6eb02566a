// SPDX-License-Identifier: Apache-2.0
#include "attribution/tcp_window.h"

#include <gtest/gtest.h>

namespace xfilter::attribution {
namespace {

using packet::Packet;
using packet::TcpFlags;

// A connection that has sent up to 1000, of which 900 is acknowledged, and has written up to 1500;
// it has received up to 5000.
guest::linux::TcpWindow connection() {
  return {.snd_una = 900,
          .snd_nxt = 1000,
          .write_seq = 1500,
          .rcv_nxt = 5000,
          .max_window = 65'535,
          .window_clamp = 65'535};
}

Packet segment(std::uint32_t sequence, std::uint32_t length, std::uint32_t acknowledgement = 5000,
               std::uint8_t flags = TcpFlags::ack) {
  Packet packet;
  packet.tcp_sequence = sequence;
  packet.tcp_length = length;
  packet.tcp_acknowledgement = acknowledgement;
  packet.tcp_flags = flags;
  return packet;
}

TEST(FitsWindow, data_just_sent_and_a_bare_acknowledgement_fit) {
  EXPECT_TRUE(fits_window(segment(900, 100), connection()));
  EXPECT_TRUE(fits_window(segment(1000, 0), connection()));
}

TEST(FitsWindow, what_the_kernel_has_not_counted_as_sent_yet_fits) {
  EXPECT_TRUE(fits_window(segment(1000, 500), connection()));
}

TEST(FitsWindow, more_than_the_process_wrote_does_not_fit) {
  EXPECT_FALSE(fits_window(segment(1000, 501), connection()));
  EXPECT_FALSE(fits_window(segment(1001, 1), connection()));
}

TEST(FitsWindow, a_retransmission_and_a_keep_alive_fit_but_nothing_older_than_a_window) {
  EXPECT_TRUE(fits_window(segment(899, 0), connection()));
  EXPECT_TRUE(fits_window(segment(900u - 65'535, 10), connection()));
  EXPECT_FALSE(fits_window(segment(900u - 65'536, 10), connection()));
}

TEST(FitsWindow, a_fin_counts_as_a_byte) {
  EXPECT_TRUE(fits_window(segment(1000, 499, 5000, TcpFlags::ack | TcpFlags::fin), connection()));
  EXPECT_FALSE(fits_window(segment(1000, 500, 5000, TcpFlags::ack | TcpFlags::fin), connection()));
}

TEST(FitsWindow, what_did_not_come_cannot_be_acknowledged) {
  EXPECT_FALSE(fits_window(segment(1000, 0, 5001), connection()));
  EXPECT_TRUE(fits_window(segment(1000, 0, 4000), connection()));
  EXPECT_FALSE(fits_window(segment(1000, 0, 5000u - 65'536), connection()));
}

TEST(FitsWindow, a_reset_from_a_live_connection_does_not_fit) {
  EXPECT_FALSE(fits_window(segment(1000, 0, 5000, TcpFlags::rst | TcpFlags::ack), connection()));
}

TEST(FitsWindow, only_a_first_syn_has_no_acknowledgement) {
  const guest::linux::TcpWindow begun{.snd_una = 7, .snd_nxt = 8, .write_seq = 8};
  EXPECT_TRUE(fits_window(segment(7, 0, 0, TcpFlags::syn), begun));
  EXPECT_FALSE(fits_window(segment(7, 1, 0, 0), begun));
}

TEST(FitsWindow, numbers_wrap) {
  auto wrapped = connection();
  wrapped.snd_una = 0xffff'ff00;
  wrapped.snd_nxt = 0x100;
  wrapped.write_seq = 0x200;
  EXPECT_TRUE(fits_window(segment(0xffff'ff00, 0x200), wrapped));
  EXPECT_TRUE(fits_window(segment(0x100, 0x100), wrapped));
  EXPECT_FALSE(fits_window(segment(0x101, 0), wrapped));
}

}  // namespace
}  // namespace xfilter::attribution
