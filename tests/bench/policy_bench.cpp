// SPDX-License-Identifier: Apache-2.0
// A verdict among ten and among ten thousand learned rules, each of which names one process.
#include <random>

#include "policy/parse.h"
#include "tests/bench/measure.h"

namespace xfilter::bench {
namespace {

constexpr int kVerdicts = 2'000, kRounds = 301;

// Nanoseconds a verdict: the median over rounds of many. `processes` are asked about at random, of
// whom none has a rule.
double measure_verdicts(int rules) {
  std::string text;
  for (int i = 0; i < rules; ++i)
    text += fmt::format("drop tcp dport 25 pid {}@{}.25\n", 100'000 + i, i);
  const auto policy = policy::parse(text, "learned", {}).value();

  packet::Packet packet;
  packet.kind = packet::Kind::ip;
  packet.flow = {packet::IpAddress::v4(0x0a000002),
                 packet::IpAddress::v4(0x0a000001),
                 packet::protocol::tcp,
                 4711,
                 25,
                 0};
  std::vector<model::Owner> owners(64);
  for (int i = 0; i < 64; ++i) {
    model::Process process;
    process.id.pid = 1'000 + i;
    process.exe = "/usr/sbin/exim4";
    owners[static_cast<std::size_t>(i)].processes.push_back(
        std::make_shared<const model::Process>(process));
  }
  Times times;
  std::mt19937 random(1);
  std::uint64_t passed = 0;
  for (int round = 0; round < kRounds; ++round)
    times.measure([&] {
      for (int i = 0; i < kVerdicts; ++i) {
        const auto verdict = policy.decide({packet, owners[random() % owners.size()], "tap0"});
        passed += verdict.action == model::Action::pass ? 1U : 0U;
      }
    });
  if (passed != std::uint64_t{kVerdicts} * kRounds) throw std::runtime_error("a wrong verdict");
  return times.percentile_us(0.5) * 1000.0 / kVerdicts;
}

}  // namespace

nlohmann::json measure_policy() {
  nlohmann::json figures;
  for (const int rules : {10, 10'000}) figures[std::to_string(rules)] = measure_verdicts(rules);
  return figures;
}

}  // namespace xfilter::bench
