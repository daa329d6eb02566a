// SPDX-License-Identifier: Apache-2.0
// tests/unit/policy/subjects.h: packets and owners written as text, for golden cases; the words are
// in tests/golden/policy/README.md.
#pragma once

#include <chrono>
#include <sstream>
#include <stdexcept>

#include "policy/rule.h"

namespace xfilter::policy::support {

struct Asked {
  packet::Packet packet;
  model::Owner owner;
  std::string netdev = "tap0";
  std::chrono::seconds age{0};

  Asked(const std::string& packet_text, const std::string& owner_text) {
    read_packet(packet_text);
    read_owner(owner_text);
  }
  Subject subject() const { return {packet, owner, netdev}; }

 private:
  static std::pair<std::string, std::string> split(const std::string& word, char at) {
    const auto place = word.find(at);
    return {word.substr(0, place), place == std::string::npos ? "" : word.substr(place + 1)};
  }
  static std::uint32_t number(const std::string& text) {
    return static_cast<std::uint32_t>(std::stoul(text));
  }

  // 10.0.0.1, 10.0.0.1:25, [fd00::1], [fd00::1]:25
  static std::pair<packet::IpAddress, std::uint16_t> endpoint(std::string text) {
    std::uint16_t port = 0;
    const auto colon = text.rfind(':');
    if (colon != std::string::npos && (text.front() != '[' || text[colon - 1] == ']')) {
      port = static_cast<std::uint16_t>(number(text.substr(colon + 1)));
      text.resize(colon);
    }
    if (text.front() == '[') text = text.substr(1, text.size() - 2);
    return {packet::IpAddress::parse(text).value(), port};
  }

  void read_packet(const std::string& text) {
    std::istringstream words(text);
    std::string protocol, src, dst;
    words >> protocol >> src >> dst;
    packet.kind = packet::Kind::ip;
    std::tie(packet.flow.src, packet.flow.src_port) = endpoint(src);
    std::tie(packet.flow.dst, packet.flow.dst_port) = endpoint(dst);
    packet.flow.protocol = protocol == "tcp"      ? 6
                           : protocol == "udp"    ? 17
                           : protocol == "icmp"   ? 1
                           : protocol == "icmpv6" ? 58
                                                  : static_cast<std::uint8_t>(number(protocol));
    for (std::string word; words >> word;) {
      const auto [key, value] = split(word, '=');
      if (key == "fragment")
        packet.kind = packet::Kind::fragment;
      else if (key == "vlan")
        packet.flow.vlan = static_cast<std::uint16_t>(number(value));
      else if (key == "iface")
        netdev = value;
      else if (key == "flags")
        packet.tcp_flags = static_cast<std::uint8_t>(std::stoul(value, nullptr, 16));
      else if (key == "age")
        age = std::chrono::seconds(number(value));
      else
        throw std::runtime_error("unknown fact of a packet: " + word);
    }
  }

  static model::ProcessId process_id(const std::string& text) {
    const auto [pid, start] = split(text, '@');
    return {std::stoi(pid), std::chrono::nanoseconds(static_cast<std::int64_t>(
                                start.empty() ? 0 : std::stold(start) * 1e9L))};
  }

  void read_owner(const std::string& text) {
    owner.confidence = model::Confidence::exact;
    model::Process process;
    bool is_nobody = false;
    const auto finish = [&] {
      owner.processes.push_back(std::make_shared<model::Process>(process));
      process = {};
    };
    std::istringstream words(text);
    for (std::string word; words >> word;) {
      const auto [key, value] = split(word, '=');
      if (key == "nobody") {
        is_nobody = true;
        owner.confidence = model::Confidence::unknown;
      } else if (key == "&") {
        finish();
      } else if (key == "socket_uid") {
        owner.socket_uid = number(value);
      } else if (key == "ambiguous") {
        owner.confidence = model::Confidence::ambiguous;
      } else if (key == "inferred") {
        owner.confidence = model::Confidence::inferred;
      } else {
        read_fact(process, key, value);
      }
    }
    if (!is_nobody) finish();
  }

  static void read_fact(model::Process& process, const std::string& key, const std::string& value) {
    if (key == "pid") {
      process.id = process_id(value);
    } else if (key == "parent") {  // nearest first: PID[@START]:EXE
      const auto [id, exe] = split(value, ':');
      process.parents.push_back({process_id(id), "", exe});
    } else if (key == "uid") {
      process.uid = number(value);
    } else if (key == "gid") {
      process.gid = number(value);
    } else if (key == "session") {
      process.session = std::stoi(value);
    } else if (key == "netns") {
      process.netns = number(value);
    } else if (key == "exe") {
      process.exe = value;
    } else if (key == "comm") {
      process.comm = value;
    } else if (key == "cmdline") {
      std::istringstream arguments(value);
      for (std::string argument; std::getline(arguments, argument, ',');)
        process.cmdline.push_back(argument);
    } else if (key == "container") {
      process.container = value;
    } else if (key == "cgroup") {
      process.cgroup = value;
    } else if (key == "hidden") {
      process.is_hidden = true;
    } else {
      throw std::runtime_error("unknown fact of a process: " + key);
    }
  }
};

}  // namespace xfilter::policy::support
