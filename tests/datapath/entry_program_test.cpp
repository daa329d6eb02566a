// SPDX-License-Identifier: Apache-2.0
// The entry program's decisions, packet by packet, through BPF_PROG_TEST_RUN.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/pkt_cls.h>
#include <net/if.h>

#include "datapath/attachment.h"
#include "datapath/punt_queue.h"
#include "lab_net.h"
#include "packet/parse.h"
#include "tests/support/packet_builder.h"

namespace xfilter::datapath {
namespace {

using namespace std::chrono_literals;
using packet::TcpFlags;
using support::Ethernet;
using support::Frame;
using support::Icmp;
using support::Ipv4;
using support::Ipv6;
using support::Ipv6Extension;
using support::Tcp;
using support::Udp;
using support::Vlan;

constexpr int kHeld = TC_ACT_REDIRECT, kDropped = TC_ACT_SHOT, kPassed = TC_ACT_UNSPEC;

class EntryProgram : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "loading eBPF needs root";
    net_.emplace();
    attachment_.emplace(Attachment::attach("vm0").value());
    handles_ = attachment_->arm().value();
    held_map_ = Fd(::dup(handles_.held.number()));
    queue_.emplace(std::move(handles_));
    program_ = Fd(bpf_prog_get_fd_by_id(
        find_program(static_cast<int>(::if_nametoindex("vm0")), "xf_entry").value().value()));
  }
  void TearDown() override {
    if (attachment_) {
      EXPECT_TRUE(attachment_->detach());
    }
  }

  int run(const Frame& frame) {
    std::vector<std::byte> bytes(frame.bytes().begin(), frame.bytes().end());
    if (bytes.size() < 64) bytes.resize(64);  // test_run wants a whole Ethernet frame
    return run_exactly(bytes).value();
  }
  // Nothing when the kernel refuses to make such a packet.
  std::optional<int> run_exactly(const std::vector<std::byte>& bytes) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = bytes.data(),
                .data_size_in = static_cast<__u32>(bytes.size()));
    if (bpf_prog_test_run_opts(program_.number(), &options) != 0) return std::nullopt;
    return static_cast<int>(options.retval);
  }
  // The kernel empties a program array a moment after its last descriptor closed.
  void lose_agent() {
    const Frame probe = Ethernet{} / Ipv4{} / Udp{.src_port = 9, .dst_port = 9};
    queue_.reset();
    for (int i = 0; i < 1000 && run(probe) == kHeld; ++i) ::usleep(1000);
  }
  static packet::Flow flow_of(const Frame& frame) { return packet::parse_frame(frame).flow; }

  std::optional<LabNet> net_;
  std::optional<Attachment> attachment_;
  AgentHandles handles_;
  std::optional<PuntQueue> queue_;
  Fd held_map_, program_;
};

const Frame kMail = Ethernet{} / Ipv4{} / Tcp{.src_port = 4711, .dst_port = 25};
const Frame kMailSyn =
    Ethernet{} / Ipv4{} / Tcp{.src_port = 4711, .dst_port = 25, .flags = TcpFlags::syn};

TEST_F(EntryProgram, a_flow_is_held_until_judged_then_passes_or_drops_in_the_kernel) {
  EXPECT_EQ(run(kMail), kHeld);
  queue_->drop_from_now_on(flow_of(kMail), 1h);
  EXPECT_EQ(run(kMail), kDropped);
  queue_->pass_from_now_on(flow_of(kMail), 1h);
  queue_->settle();
  EXPECT_EQ(run(kMail), kPassed);
  queue_->forget(flow_of(kMail));
  EXPECT_EQ(run(kMail), kHeld);
}

TEST_F(EntryProgram, a_verdict_waits_while_packets_of_the_flow_are_under_way) {
  EXPECT_EQ(run(kMail), kHeld);  // test_run does not deliver it: it never comes back
  queue_->pass_from_now_on(flow_of(kMail), 1h);
  EXPECT_EQ(run(kMail), kHeld) << "the gate must be closed";
  queue_->settle();
  EXPECT_EQ(run(kMail), kPassed) << "the gate must be open: what was under way is lost";
  EXPECT_EQ(queue_->lost(), 2u);
}

TEST_F(EntryProgram, a_new_connection_on_a_known_tuple_is_judged_again) {
  queue_->drop_from_now_on(flow_of(kMail), 1h);
  EXPECT_EQ(run(kMailSyn), kHeld);
  queue_->pass_from_now_on(flow_of(kMail), 1h);
  EXPECT_EQ(run(kMailSyn), kHeld);
}

TEST_F(EntryProgram, a_verdict_that_is_due_is_asked_for_again) {
  queue_->pass_from_now_on(flow_of(kMail), 0ns);
  EXPECT_EQ(run(kMail), kHeld);
  queue_->drop_from_now_on(flow_of(kMail), 0ns);
  EXPECT_EQ(run(kMail), kHeld);
}

TEST_F(EntryProgram, verdicts_of_another_generation_do_not_count) {
  queue_->drop_from_now_on(flow_of(kMail), 1h);
  queue_->begin_generation();
  EXPECT_EQ(run(kMail), kHeld);
}

TEST_F(EntryProgram, without_an_agent_blocked_flows_stay_blocked_and_all_else_passes) {
  const Frame other = Ethernet{} / Ipv4{} / Tcp{.src_port = 4712, .dst_port = 25};
  queue_->drop_from_now_on(flow_of(kMail), 0ns);  // due to be judged again, and nobody there
  lose_agent();
  EXPECT_EQ(run(kMail), kDropped);
  EXPECT_EQ(run(kMailSyn), kDropped);
  EXPECT_EQ(run(other), kPassed);
}

TEST_F(EntryProgram, a_second_agent_can_be_armed_after_the_first_died) {
  lose_agent();
  EXPECT_EQ(run(kMail), kPassed);
  queue_.emplace(attachment_->arm().value());
  EXPECT_EQ(run(kMail), kHeld);
}

TEST_F(EntryProgram, what_is_not_ip_passes_and_what_is_malformed_is_dropped) {
  EXPECT_EQ(run(Ethernet{.type = 0x0806} / Udp{}), kPassed);
  EXPECT_EQ(run(Ethernet{} / Ipv4{.version = 5} / Udp{}), kDropped);
  EXPECT_EQ(run(Ethernet{} / Ipv4{.header_words = 4} / Udp{}), kDropped);
  EXPECT_EQ(queue_->counters().not_ip, 1u);
  EXPECT_EQ(queue_->counters().malformed, 2u);
}

TEST_F(EntryProgram, it_reads_headers_exactly_as_the_agents_parser_does) {
  const std::vector<Frame> frames = {
      kMail,
      kMailSyn,
      Ethernet{} / Ipv4{.option_words = 7} / Udp{.src_port = 5, .dst_port = 6},
      Ethernet{} / Vlan{.id = 12} / Ipv4{} / Udp{.src_port = 5, .dst_port = 6},
      Ethernet{} / Vlan{.id = 12} / Vlan{.id = 13} / Ipv6{} / Udp{.src_port = 5, .dst_port = 6},
      Ethernet{} / Ipv4{.fragment = 0x2000} / Udp{},
      Ethernet{} / Ipv4{.fragment = 100} / Udp{},
      Ethernet{} / Ipv4{} / Icmp{.type = 8, .identifier = 77},
      Ethernet{} / Ipv4{} / Icmp{.type = 3, .identifier = 78},
      Ethernet{} / Ipv6{} / Icmp{.is_v6 = true, .type = 129, .identifier = 79},
      Ethernet{} / Ipv6{} / Tcp{.src_port = 9, .dst_port = 10},
      Ethernet{} / Ipv6{} / Ipv6Extension{.type = 0, .length = 3} / Ipv6Extension{.type = 43} /
          Ipv6Extension{.type = 60} / Udp{},
      Ethernet{} / Ipv6{} / Ipv6Extension{.type = 44} / Udp{.src_port = 11, .dst_port = 12},
      Ethernet{} / Ipv6{} / Ipv6Extension{.type = 44, .fragment = 8} / Udp{},
      Ethernet{} / Ipv4{.src = "1.2.3.4", .dst = "5.6.7.8"},
  };
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const packet::Packet parsed = packet::parse_frame(frames[i]);
    const xf_flow key = key_of(parsed.flow);
    bpf_map_delete_elem(held_map_.number(), &key);
    EXPECT_EQ(run(frames[i]), kHeld) << i;
    xf_held held{};
    EXPECT_EQ(bpf_map_lookup_elem(held_map_.number(), &key, &held), 0)
        << i << ": " << packet::to_string(parsed.flow);
    EXPECT_EQ(held.punted, 1u) << i;
  }
}

TEST_F(EntryProgram, a_packet_cut_anywhere_gets_the_same_answer_from_both_parsers) {
  int compared = 0;
  for (const Frame& whole :
       {Ethernet{} / Vlan{.id = 3} / Ipv4{} / Tcp{},
        Ethernet{} / Ipv6{} / Ipv6Extension{.type = 0} / Icmp{.is_v6 = true, .type = 128}})
    for (std::size_t size = 15; size <= whole.bytes().size(); ++size) {
      const std::vector<std::byte> cut(whole.bytes().begin(),
                                       whole.bytes().begin() + static_cast<std::ptrdiff_t>(size));
      const auto answer = run_exactly(cut);
      if (!answer) continue;
      const auto kind = packet::parse_frame(cut).kind;
      EXPECT_EQ(*answer, kind == packet::Kind::malformed ? kDropped : kHeld) << size;
      ++compared;
    }
  EXPECT_GT(compared, 50);
}

}  // namespace
}  // namespace xfilter::datapath
