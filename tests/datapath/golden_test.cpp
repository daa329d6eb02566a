// SPDX-License-Identifier: Apache-2.0
// The golden cases of rules again, as frames: with every packet held and judged by itself, and with
// the verdict of the first enforced in eBPF. The owner is the case's; all else is the real thing.
#include <gtest/gtest.h>
#include <poll.h>

#include "datapath/attachment.h"
#include "engine/packet_path.h"
#include "lab_net.h"
#include "tests/support/packet_builder.h"
#include "tests/unit/policy/golden.h"

namespace xfilter::datapath {
namespace {

using engine::Mode;
using engine::PacketPath;
using policy::Asked;

std::size_t tag_size(std::span<const std::byte> frame) {
  return frame[12] == std::byte{0x81} ? 4 : 0;
}

std::vector<std::byte> frame_of(const packet::Packet& asked, std::uint32_t mark) {
  const packet::Flow& flow = asked.flow;
  const std::string src = packet::to_string(flow.src), dst = packet::to_string(flow.dst);
  const bool is_fragment = asked.kind == packet::Kind::fragment;
  support::Frame frame = support::Ethernet{};
  if (flow.vlan != 0) frame = frame / support::Vlan{flow.vlan};
  if (flow.src.family == packet::IpAddress::Family::v4)
    frame =
        frame / support::Ipv4{
                    .src = src.c_str(), .dst = dst.c_str(), .fragment = is_fragment ? 0x0001u : 0u};
  else
    frame = frame / support::Ipv6{.src = src.c_str(), .dst = dst.c_str()};
  if (is_fragment && flow.src.family == packet::IpAddress::Family::v6)
    frame = frame / support::Ipv6Extension{.type = 44, .fragment = 8};
  if (is_fragment)
    frame.announce(0, flow.protocol), frame.pad(20);
  else if (flow.protocol == packet::protocol::tcp)
    frame =
        frame / support::Tcp{
                    .src_port = flow.src_port, .dst_port = flow.dst_port, .flags = asked.tcp_flags};
  else if (flow.protocol == packet::protocol::udp)
    frame = frame / support::Udp{.src_port = flow.src_port, .dst_port = flow.dst_port};
  else if (flow.protocol == packet::protocol::icmp || flow.protocol == packet::protocol::icmpv6)
    frame = frame / support::Icmp{.is_v6 = flow.protocol == packet::protocol::icmpv6};
  else
    frame.announce(0, flow.protocol), frame.pad(20);
  frame.u32(mark);
  std::vector<std::byte> bytes(frame.bytes().begin(), frame.bytes().end());
  bytes[0] = bytes[6] = std::byte{0x02};  // a bridge drops a source of zeroes
  bytes[5] = std::byte{0x01};
  bytes[11] = std::byte{0x02};
  // The builder does not know what follows a header.
  const std::size_t ip = 14 + tag_size(bytes);
  const bool is_v4 = flow.src.family == packet::IpAddress::Family::v4;
  const std::size_t length = bytes.size() - ip - (is_v4 ? 0 : 40);
  bytes[ip + (is_v4 ? 2 : 4)] = static_cast<std::byte>(length >> 8);
  bytes[ip + (is_v4 ? 3 : 5)] = static_cast<std::byte>(length);
  if (is_v4) {  // a bridge with netfilter looks at it
    unsigned sum = 0;
    for (std::size_t i = ip; i < ip + 20; i += 2)
      sum += std::to_integer<unsigned>(bytes[i]) << 8 | std::to_integer<unsigned>(bytes[i + 1]);
    sum = ~((sum & 0xffff) + (sum >> 16));
    bytes[ip + 10] = static_cast<std::byte>(sum >> 8);
    bytes[ip + 11] = static_cast<std::byte>(sum);
  }
  return bytes;
}

class GoldenFrames : public testing::Test {
 protected:
  // Sends the case's frame; true when it comes out at the other end. What is expected to come is
  // waited for longer.
  bool passes(PacketPath& path, const Asked& asked, bool is_expected) {
    const auto bytes = frame_of(asked.packet, ++mark_);
    EXPECT_EQ(::send(guest_.number(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    PuntQueue& queue = path.queues().front();
    bool has = false;
    for (int turn = 0; turn < (is_expected ? 250 : 4) && !has; ++turn) {
      pollfd held{queue.descriptor(), POLLIN, 0};
      if (::poll(&held, 1, 4) > 0) path.serve(queue);
      has = has_arrived(bytes);
    }
    queue.settle();  // as an agent does that has nothing to do
    return has;
  }

  bool has_arrived(std::span<const std::byte> frame) const {
    std::byte buffer[2048];
    bool has = false;
    for (ssize_t got; (got = ::recv(server_.number(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0;)
      // A packet socket takes a frame's VLAN tag away.
      has |= static_cast<std::size_t>(got) == frame.size() - tag_size(frame) &&
             std::equal(frame.end() - 4, frame.end(), buffer + got - 4);
    return has;
  }
  // Calls `check` with each case, and a path that has just been put in force.
  template <class Check>
  int for_each_case(PacketPath::Caching caching, Mode mode, Check check) {
    int cases = 0;
    for (const policy::Golden& golden : policy::all_goldens()) {
      if (golden.is_wrong) continue;
      for (const auto& [facts, expected] : golden.cases) {
        const Asked asked = policy::asked_of(facts).value();
        auto parts = policy::parse_golden_parts(golden).value();
        for (policy::Rule& rule : parts.rules) rule.loaded_at = engine::rule_clock() - asked.age;
        int judged = 0;
        PacketPath path(
            [&](const packet::Packet& packet) {
              // Others are what the guest's own kernel says.
              if (packet.flow.src == asked.packet.flow.src &&
                  packet.flow.dst == asked.packet.flow.dst)
                ++judged;
              return asked.owner;
            },
            engine::CommandLines::redacted, [](const std::string&) {});
        path.put_in_force(std::make_shared<const policy::Policy>(std::move(parts)), mode);
        path.set_caching(caching);
        path.add_queue(queue_called(asked.netdev));
        path.begin_generation();
        check(path, asked, judged, expected.starts_with("pass"), golden.file + ": " + facts);
        ++cases;
        queue_ = std::move(path.queues().front());
      }
    }
    return cases;
  }

  // The last case's, as long as the name is the same.
  PuntQueue queue_called(const std::string& netdev) {
    if (queue_ && queue_->netdev() == netdev) return std::move(*queue_);
    queue_.reset();
    ::usleep(50'000);  // until the kernel has emptied the crash switch of the one before
    return PuntQueue(attachment_.arm().value(), netdev);
  }

  LabNet net_;
  Fd guest_ = net_.frames_of_guest(), server_ = net_.frames_of_server();
  Attachment attachment_ = Attachment::attach("vm0").value();
  std::optional<PuntQueue> queue_;
  std::uint32_t mark_ = 0x60'1d'00'00;
};

TEST_F(GoldenFrames, every_case_ends_the_same_with_every_packet_held_and_none_cached) {
  const int cases = for_each_case(PacketPath::Caching::off, Mode::enforce,
                                  [&](PacketPath& path, const Asked& asked, int& judged,
                                      bool shall_pass, const std::string& what) {
                                    EXPECT_EQ(passes(path, asked, shall_pass), shall_pass) << what;
                                    EXPECT_EQ(passes(path, asked, shall_pass), shall_pass) << what;
                                    EXPECT_EQ(judged, 2) << what;
                                  });
  EXPECT_GT(cases, 80);
}

TEST_F(GoldenFrames,
       every_case_ends_the_same_when_the_kernel_enforces_the_verdict_of_the_first_packet) {
  int in_kernel = 0;
  for_each_case(PacketPath::Caching::on, Mode::enforce,
                [&](PacketPath& path, const Asked& asked, int& judged, bool shall_pass,
                    const std::string& what) {
                  EXPECT_EQ(passes(path, asked, shall_pass), shall_pass) << what;
                  EXPECT_EQ(judged, 1) << what;
                  EXPECT_EQ(passes(path, asked, shall_pass), shall_pass) << what;
                  // Each SYN, and each fragment, is judged by itself.
                  constexpr auto kSyn = packet::TcpFlags::syn, kAck = packet::TcpFlags::ack;
                  const bool is_judged_again =
                      asked.packet.kind == packet::Kind::fragment ||
                      (asked.packet.flow.protocol == packet::protocol::tcp &&
                       (asked.packet.tcp_flags & (kSyn | kAck)) == kSyn);
                  EXPECT_EQ(judged, is_judged_again ? 2 : 1) << what;
                  in_kernel += is_judged_again ? 0 : 1;
                });
  EXPECT_GT(in_kernel, 80);
}

TEST_F(GoldenFrames, in_observe_every_case_passes_and_what_would_be_dropped_is_counted) {
  for_each_case(
      PacketPath::Caching::on, Mode::observe,
      [&](PacketPath& path, const Asked& asked, int&, bool shall_pass, const std::string& what) {
        EXPECT_TRUE(passes(path, asked, true)) << what;
        EXPECT_EQ(path.counters().would_drop, shall_pass ? 0U : 1U) << what;
        EXPECT_EQ(path.counters().dropped, 0U) << what;
      });
}

TEST_F(GoldenFrames,
       a_flow_whose_verdict_changes_with_the_policy_is_judged_again_and_others_are_not) {
  const auto policy_of = [](const char* rules) {
    return std::make_shared<const policy::Policy>(policy::parse(rules, "office.rules", {}).value());
  };
  const Asked web = policy::asked_of("udp 10.0.0.2:1 10.0.0.1:80 | uid=33").value();
  const Asked mail = policy::asked_of("udp 10.0.0.2:1 10.0.0.1:25 | uid=33").value();
  int judged = 0;
  PacketPath path(
      [&](const packet::Packet& packet) {
        judged += packet.flow == web.packet.flow || packet.flow == mail.packet.flow;
        return web.owner;
      },
      engine::CommandLines::redacted, [](const std::string&) {});
  path.put_in_force(policy_of("default allow\n"), Mode::enforce);
  path.add_queue(PuntQueue(attachment_.arm().value(), "vm0"));
  path.begin_generation();
  const auto both_pass = [&](bool web_passes, bool mail_passes) {
    EXPECT_EQ(passes(path, web, web_passes), web_passes);
    EXPECT_EQ(passes(path, mail, mail_passes), mail_passes);
  };
  both_pass(true, true);
  both_pass(true, true);
  EXPECT_EQ(judged, 2);
  auto again = path.put_in_force(policy_of("drop udp dport 25 uid 33\n"), Mode::enforce);
  EXPECT_EQ(again.changed, 1U);
  both_pass(true, false);
  both_pass(true, false);
  EXPECT_EQ(judged, 3);
  again = path.put_in_force(policy_of("drop udp dport 25 uid 33\n"), Mode::observe);
  EXPECT_EQ(again.changed, 1U);
  both_pass(true, true);
  both_pass(true, true);
  EXPECT_EQ(judged, 4);
}

}  // namespace
}  // namespace xfilter::datapath
