// SPDX-License-Identifier: Apache-2.0
// Runs tests/golden/policy/*.golden: rules, packets with owners, verdicts; and wrong files with
// their messages. The format is described in tests/golden/policy/README.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "policy/fields.h"
#include "policy/parse.h"
#include "policy/tokens.h"

namespace xfilter::policy {
namespace {

struct Golden {
  std::string file, rules, users, errors;
  std::vector<std::pair<std::string, std::string>> cases;  // facts, verdict
  bool is_wrong = false;                                   // has a section of errors
};

Golden read_golden(const std::filesystem::path& path) {
  Golden golden;
  golden.file = path.filename().string();
  std::ifstream in(path);
  std::string section;
  for (std::string line; std::getline(in, line);) {
    if (line == "--- rules" || line == "--- users" || line == "--- cases" || line == "--- errors") {
      section = line.substr(4);
      golden.is_wrong |= section == "errors";
    } else if (section == "rules")
      golden.rules += line + "\n";
    else if (section == "users")
      golden.users += line + "\n";
    else if (section == "errors")
      golden.errors += line + "\n";
    else if (section == "cases" && !line.empty()) {
      const auto arrow = line.find(" => ");
      if (arrow == std::string::npos)
        throw std::runtime_error(golden.file + ": a case without => : " + line);
      golden.cases.emplace_back(line.substr(0, arrow), line.substr(arrow + 4));
    }
  }
  return golden;
}

std::vector<Golden> all_goldens() {
  std::vector<Golden> all;
  for (const auto& entry : std::filesystem::directory_iterator(XFILTER_TESTS_DIR "/golden/policy"))
    if (entry.path().extension() == ".golden") all.push_back(read_golden(entry.path()));
  return all;
}

tl::expected<Policy, std::vector<Diagnostic>> parse_golden(const Golden& golden) {
  if (golden.users.empty()) return parse(golden.rules, "office.rules", nullptr);
  const auto users = Users::parse(golden.users, "users");
  return parse(golden.rules, "office.rules", &users.value());
}

// "tcp 10.0.0.2:4711 10.0.0.1:25", addresses of IPv6 in brackets, ports optional.
packet::Packet packet_of(const std::string& text) {
  std::istringstream words(text);
  std::string protocol, src, dst;
  words >> protocol >> src >> dst;
  packet::Packet packet;
  packet.kind = packet::Kind::ip;
  const auto split = [](std::string endpoint) {
    std::uint16_t port = 0;
    const auto colon = endpoint.rfind(':');
    const bool has_port =
        colon != std::string::npos && (endpoint.front() != '[' || endpoint[colon - 1] == ']');
    if (has_port) {
      port = static_cast<std::uint16_t>(std::stoi(endpoint.substr(colon + 1)));
      endpoint.resize(colon);
    }
    if (endpoint.front() == '[') endpoint = endpoint.substr(1, endpoint.size() - 2);
    return std::make_pair(packet::IpAddress::parse(endpoint).value(), port);
  };
  std::tie(packet.flow.src, packet.flow.src_port) = split(src);
  std::tie(packet.flow.dst, packet.flow.dst_port) = split(dst);
  packet.flow.protocol = protocol == "tcp"      ? 6
                         : protocol == "udp"    ? 17
                         : protocol == "icmp"   ? 1
                         : protocol == "icmpv6" ? 58
                                                : static_cast<std::uint8_t>(std::stoi(protocol));
  return packet;
}

// "pid=7@3.25 uid=33 exe=/bin/x comm=x", several holders separated by " & ", or "nobody
// [socket_uid=N]".
model::Owner owner_of(const std::string& text) {
  model::Owner owner;
  model::Process process;
  const auto finish = [&] {
    owner.processes.push_back(std::make_shared<model::Process>(process));
    process = {};
  };
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    const std::string key = word.substr(0, equals),
                      value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (key == "nobody")
      owner.confidence = model::Confidence::unknown;
    else if (key == "socket_uid")
      owner.socket_uid = static_cast<std::uint32_t>(std::stoul(value));
    else if (key == "&")
      finish();
    else if (key == "uid")
      process.uid = static_cast<std::uint32_t>(std::stoul(value));
    else if (key == "exe")
      process.exe = value;
    else if (key == "comm")
      process.comm = value;
    else if (key == "pid") {
      process.id.pid = std::stoi(value);
      const auto at = value.find('@');
      if (at != std::string::npos)
        process.id.start_boottime = std::chrono::nanoseconds(
            static_cast<std::int64_t>(std::stold(value.substr(at + 1)) * 1e9L));
    } else
      throw std::runtime_error("unknown fact " + word);
  }
  if (text.find("nobody") == std::string::npos) {
    finish();
    owner.confidence = model::Confidence::exact;
  }
  return owner;
}

TEST(Golden, every_case_gets_its_verdict_from_its_line) {
  int cases = 0;
  for (const Golden& golden : all_goldens()) {
    if (golden.is_wrong) continue;
    const auto policy = parse_golden(golden);
    ASSERT_TRUE(policy) << golden.file << "\n" << render(policy.error());
    for (const auto& [facts, expected] : golden.cases) {
      const auto bar = facts.find(" | ");
      ASSERT_NE(bar, std::string::npos) << golden.file << ": " << facts;
      const auto verdict =
          policy->decide(packet_of(facts.substr(0, bar)), owner_of(facts.substr(bar + 3)));
      EXPECT_EQ(fmt::format("{} line {}", model::to_string(verdict.action), verdict.rule->line),
                expected)
          << golden.file << ": " << facts;
      ++cases;
    }
  }
  EXPECT_GT(cases, 40);
}

TEST(Golden, every_wrong_file_gets_its_messages_to_the_letter) {
  int files = 0;
  for (const Golden& golden : all_goldens()) {
    if (!golden.is_wrong) continue;
    const auto policy = parse_golden(golden);
    ASSERT_FALSE(policy) << golden.file;
    EXPECT_EQ(render(policy.error()), golden.errors) << golden.file;
    ++files;
  }
  EXPECT_GT(files, 5);
}

TEST(Golden, every_field_has_a_golden_case_plain_and_negated) {
  std::set<std::string> seen;
  for (const Golden& golden : all_goldens()) {
    if (golden.is_wrong) continue;
    std::istringstream lines(golden.rules);
    for (std::string line; std::getline(lines, line);) {
      const auto tokens = tokens_of(line);
      for (std::size_t i = 1; i < tokens.size(); ++i)
        seen.insert((tokens[i - 1].text == "not" ? "not " : "") + std::string(tokens[i].text));
    }
  }
  for (const FieldWord& field : kFieldWords) {
    EXPECT_TRUE(seen.contains(std::string(field.word))) << field.word;
    EXPECT_TRUE(seen.contains("not " + std::string(field.word))) << "not " << field.word;
  }
}

TEST(Parse, too_large_files_sets_and_numbers_of_rules_are_refused) {
  EXPECT_FALSE(parse(std::string(kLargestFile + 1, '#'), "f", nullptr));
  std::string set = "drop dport {0";
  for (std::size_t i = 0; i < kMostValues; ++i) set += ", 1";
  EXPECT_FALSE(parse(set + "}", "f", nullptr));
  std::string rules;
  for (std::size_t i = 0; i <= kMostRules; ++i) rules += "drop tcp\n";
  const auto many = parse(rules, "f", nullptr);
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().size(), 1u);
}

TEST(Parse, random_bytes_never_crash_and_errors_stay_within_the_line) {
  std::srand(1);
  const char letters[] = "drop alow{},-/@.0129 tcpdrudi#\n\tnotexe";
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (int j = std::rand() % 80; j > 0; --j)
      text += letters[static_cast<std::size_t>(std::rand()) % (sizeof letters - 1)];
    const auto policy = parse(text, "f", nullptr);
    if (policy) continue;
    for (const Diagnostic& at : policy.error()) {
      ASSERT_GE(at.column, 1);
      ASSERT_LE(static_cast<std::size_t>(at.column + at.width), at.source.size() + 3);
    }
  }
}

}  // namespace
}  // namespace xfilter::policy
