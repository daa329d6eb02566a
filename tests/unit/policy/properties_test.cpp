// SPDX-License-Identifier: Apache-2.0
// Random policies and subjects: what is fast says what is plain.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "policy/lint.h"
#include "policy/lowering.h"
#include "policy/parse.h"

namespace xfilter::policy {
namespace {

// Few values, so that rules and subjects meet often.
const std::vector<std::string> kMatches = {"tcp",
                                           "udp",
                                           "not icmp",
                                           "dport 25",
                                           "dport {25, 80}",
                                           "dport 20-30",
                                           "not dport 80",
                                           "sport 5",
                                           "dst 10.0.0.1",
                                           "dst 10.0.0.0/24",
                                           "src 10.0.0.2",
                                           "uid 1",
                                           "uid {1, 2}",
                                           "uid 0-9",
                                           "not uid 1",
                                           "gid 3",
                                           "pid 7",
                                           "pid 7@3.25",
                                           "tree 7",
                                           "tree {7, 9}",
                                           "exe /bin/a",
                                           "exe {/bin/a, /bin/b}",
                                           "exe /bin/*",
                                           "not exe /bin/b",
                                           "parent exe /bin/b",
                                           "comm a*",
                                           "comm a",
                                           "container c1",
                                           "container c*",
                                           "cgroup /x/y",
                                           "session 5",
                                           "netns 8",
                                           "hidden",
                                           "not hidden",
                                           "confidence exact",
                                           "unattributed",
                                           "vlan 5",
                                           "iface tap0",
                                           "cmdline *b*",
                                           "flags syn"};

rc::Gen<std::string> any_rule() {
  return rc::gen::map(
      rc::gen::tuple(
          rc::gen::element<std::string>("drop", "allow", "observe drop", "protect"),
          rc::gen::resize(3, rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(
                                 rc::gen::elementOf(kMatches)))),
          rc::gen::element<std::string>("", " expires 5s")),
      [](const auto& parts) {
        std::string line = std::get<0>(parts);
        for (const std::string& match : std::get<1>(parts)) line += " " + match;
        return line + std::get<2>(parts) + "\n";
      });
}

model::ProcessRef any_process() {
  const auto small = [](int most) { return *rc::gen::inRange(0, most); };
  model::Process process;
  process.id = {small(10), std::chrono::milliseconds(*rc::gen::element(3250, 4000))};
  process.uid = static_cast<std::uint32_t>(small(4));
  process.gid = static_cast<std::uint32_t>(small(4));
  process.session = small(6);
  process.netns = static_cast<std::uint32_t>(small(9));
  process.is_hidden = *rc::gen::arbitrary<bool>();
  process.exe = *rc::gen::element<std::string>("/bin/a", "/bin/b", "/usr/c", "");
  process.comm = *rc::gen::element<std::string>("a", "ab", "c");
  process.container = *rc::gen::element<std::string>("", "c1", "c2");
  process.cgroup = *rc::gen::element<std::string>("/", "/x/y");
  process.cmdline = {process.comm, "b"};
  for (int i = small(3); i > 0; --i)
    process.parents.push_back({{small(10), std::chrono::milliseconds(3250)}, "p", "/bin/b"});
  return std::make_shared<const model::Process>(std::move(process));
}

packet::Packet any_packet() {
  packet::Packet packet;
  packet.kind = *rc::gen::element(packet::Kind::ip, packet::Kind::ip, packet::Kind::fragment);
  packet.flow.protocol = *rc::gen::element<std::uint8_t>(1, 6, 17);
  packet.flow.src = packet::IpAddress::v4(*rc::gen::element(0x0a000002u, 0x0a000003u));
  packet.flow.dst = packet::IpAddress::v4(*rc::gen::element(0x0a000001u, 0x0a000101u));
  packet.flow.src_port = *rc::gen::element<std::uint16_t>(5, 6);
  packet.flow.dst_port = *rc::gen::element<std::uint16_t>(25, 80, 443);
  packet.flow.vlan = *rc::gen::element<std::uint16_t>(0, 5);
  packet.tcp_flags = *rc::gen::element<std::uint8_t>(2, 16);
  return packet;
}

model::Owner any_owner() {
  model::Owner owner;
  owner.confidence = *rc::gen::element(model::Confidence::exact, model::Confidence::inferred,
                                       model::Confidence::ambiguous);
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) owner.processes.push_back(any_process());
  if (owner.processes.empty()) owner.confidence = model::Confidence::unknown;
  if (*rc::gen::arbitrary<bool>()) owner.socket_uid = *rc::gen::element(1u, 5u);
  return owner;
}

std::string any_rules() {
  std::string text;
  for (const std::string& rule : *rc::gen::container<std::vector<std::string>>(any_rule()))
    text += rule;
  return text + *rc::gen::element<std::string>("", "default drop\n", "ambiguous as nobody\n");
}

RC_GTEST_PROP(Index, decides_as_trying_every_rule_does, ()) {
  std::string text;
  for (const std::string& rule : *rc::gen::container<std::vector<std::string>>(any_rule()))
    text += rule;
  text += *rc::gen::element<std::string>("", "default drop\n", "ambiguous as nobody\n");
  const auto policy = parse(text, "f", {});
  RC_PRE(policy.has_value());  // icmp with a port is refused
  for (int i = 0; i < 20; ++i) {
    const auto packet = any_packet();
    const auto owner = any_owner();
    const Subject subject{packet, owner, "tap0"};
    const std::chrono::seconds age(*rc::gen::element(0, 10));
    const Verdict fast = policy->decide(subject, age);
    const Verdict plain = policy->decide_by_trying_all(subject, age);
    RC_ASSERT(fast.rule == plain.rule);
    RC_ASSERT(fast.action == plain.action);
    RC_ASSERT(fast.observed == plain.observed);
  }
}

RC_GTEST_PROP(Lowering, treats_no_packet_otherwise_than_the_rules_whoever_sent_it, ()) {
  const auto policy = parse(any_rules(), "f", {});
  RC_PRE(policy.has_value());
  const Plan plan = lower(*policy);
  for (int i = 0; i < 20; ++i) {
    const auto packet = any_packet();
    const auto owner = any_owner();
    const Subject subject{packet, owner, "tap0"};
    const auto verdict =
        policy->decide_by_trying_all(subject, std::chrono::seconds(*rc::gen::element(0, 10)));
    switch (plan.treatment_of(subject)) {
      case Treatment::hold:
        break;
      case Treatment::note:
        RC_ASSERT(verdict.action == model::Action::pass);
        break;
      case Treatment::drop:
        RC_ASSERT(verdict.action == model::Action::drop);
        break;
    }
  }
}

RC_GTEST_PROP(Lint, calls_no_rule_dead_that_decides_and_no_vm_cut_off_of_which_something_passes,
              ()) {
  const auto policy = parse(any_rules(), "f", {});
  RC_PRE(policy.has_value());
  const auto warnings = lint(*policy);
  for (int i = 0; i < 20; ++i) {
    const auto packet = any_packet();
    const auto owner = any_owner();
    const auto verdict = policy->decide_by_trying_all({packet, owner, "tap0"});
    const Rule* cutting_off = cuts_off(*policy);
    if (cutting_off != nullptr) RC_ASSERT(verdict.action == model::Action::drop);
    for (const Diagnostic& warning : warnings) {
      if (cutting_off != nullptr && warning.line == cutting_off->place.line) continue;
      if (owner.processes.size() > 1 &&
          warning.message.find("several processes") != std::string::npos)
        continue;
      RC_ASSERT(warning.line != verdict.rule->place.line);
      for (const Rule* observed : verdict.observed) RC_ASSERT(warning.line != observed->place.line);
    }
  }
}

}  // namespace
}  // namespace xfilter::policy
