// SPDX-License-Identifier: Apache-2.0
// A verdict among ten and among ten thousand learned rules, each of which names one process.
#include <random>

#include "policy/parse.h"
#include "tests/bench/measure.h"

namespace xfilter::bench {
namespace {

constexpr int kVerdicts = 2'000, kRounds = 301;

policy::Policy policy_of(int rules) {
  std::string text;
  for (int i = 0; i < rules; ++i)
    text += fmt::format("drop tcp dport 25 pid {}@{}.25\n", 100'000 + i, i);
  return policy::parse(text, "learned", {}).value();
}

// Processes that are asked about at random, of whom none has a rule.
class Verdicts {
 public:
  Verdicts() {
    packet_.kind = packet::Kind::ip;
    packet_.flow = {packet::IpAddress::v4(0x0a000002),
                    packet::IpAddress::v4(0x0a000001),
                    packet::protocol::tcp,
                    4711,
                    25,
                    0};
    for (int i = 0; i < 64; ++i) {
      model::Process process;
      process.id.pid = 1'000 + i;
      process.exe = "/usr/sbin/exim4";
      owners_[static_cast<std::size_t>(i)].processes.push_back(
          std::make_shared<const model::Process>(process));
    }
  }

  // Its name is what instructions are counted by.
  [[gnu::noinline]] void decide_many(const policy::Policy& policy) {
    std::uint64_t passed = 0;
    for (int i = 0; i < kVerdicts; ++i) {
      const auto verdict = policy.decide({packet_, owners_[random_() % owners_.size()], "tap0"});
      passed += verdict.action == model::Action::pass ? 1U : 0U;
    }
    if (passed != kVerdicts) throw std::runtime_error("a wrong verdict");
  }

 private:
  packet::Packet packet_;
  std::vector<model::Owner> owners_ = std::vector<model::Owner>(64);
  std::mt19937 random_{1};
};

}  // namespace

// Nanoseconds a verdict, by the number of rules: medians of rounds that alternate.
nlohmann::json measure_policy() {
  const auto ten = policy_of(10), ten_thousand = policy_of(10'000);
  Verdicts verdicts;
  Times of_ten, of_ten_thousand;
  for (int round = 0; round < kRounds; ++round) {
    of_ten.measure([&] { verdicts.decide_many(ten); });
    of_ten_thousand.measure([&] { verdicts.decide_many(ten_thousand); });
  }
  const auto nanoseconds = [](Times& times) {
    return times.percentile_us(0.5) * 1000.0 / kVerdicts;
  };
  return {{"10", nanoseconds(of_ten)}, {"10000", nanoseconds(of_ten_thousand)}};
}

int decide_once_for_counting(int rules) {
  const auto policy = policy_of(rules);
  Verdicts().decide_many(policy);
  return kVerdicts;
}

}  // namespace xfilter::bench
