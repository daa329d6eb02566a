// SPDX-License-Identifier: Apache-2.0
#include "policy/asked.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>

#include "base/number.h"

namespace xfilter::policy {
namespace {

template <class Number>
Result<Number> number_of(std::string_view text, std::string_view word, int base = 10) {
  if (const auto value = xfilter::number_of<Number>(text, base)) return *value;
  return fail(Errc::input_invalid, "\"{}\": expected a number, found \"{}\"", word, text);
}

std::pair<std::string, std::string> split(const std::string& word, char at) {
  const auto place = word.find(at);
  return {word.substr(0, place), place == std::string::npos ? "" : word.substr(place + 1)};
}

struct Endpoint {
  packet::IpAddress address;
  std::uint16_t port = 0;
};

// 10.0.0.1, 10.0.0.1:25, [fd00::1], [fd00::1]:25
Result<Endpoint> endpoint_of(const std::string& word) {
  Endpoint endpoint;
  std::string text = word;
  const auto colon = text.rfind(':');
  const bool is_bracketed = !text.empty() && text.front() == '[';
  if (colon != std::string::npos && colon > 0 && (!is_bracketed || text[colon - 1] == ']')) {
    XF_TRY(port, number_of<std::uint16_t>(std::string_view(text).substr(colon + 1), word));
    endpoint.port = port;
    text.resize(colon);
  }
  if (is_bracketed && text.back() == ']') text = text.substr(1, text.size() - 2);
  const auto address = packet::IpAddress::parse(text);
  if (!address)
    return fail(Errc::input_invalid,
                "\"{}\": expected an address, such as 10.0.0.1:25 or [fd00::1]:25", word);
  endpoint.address = *address;
  return endpoint;
}

Result<std::uint8_t> protocol_of(const std::string& word) {
  if (word == "tcp") return packet::protocol::tcp;
  if (word == "udp") return packet::protocol::udp;
  if (word == "icmp") return packet::protocol::icmp;
  if (word == "icmpv6") return packet::protocol::icmpv6;
  auto number = number_of<std::uint8_t>(word, word);
  if (number) return *number;
  return fail(Errc::input_invalid,
              "\"{}\": expected tcp, udp, icmp, icmpv6 or the number of a protocol", word);
}

Result<void> read_packet(const std::string& text, Asked& asked) {
  std::istringstream words(text);
  std::string protocol, src, dst;
  if (!(words >> protocol >> src >> dst))
    return fail(
        Errc::input_invalid,
        "\"{}\": expected PROTOCOL SOURCE DESTINATION, such as tcp 10.0.0.2:4711 10.0.0.1:25",
        text);
  packet::Packet& packet = asked.packet;
  packet.kind = packet::Kind::ip;
  XF_TRY(number, protocol_of(protocol));
  packet.flow.protocol = number;
  XF_TRY(from, endpoint_of(src));
  XF_TRY(to, endpoint_of(dst));
  packet.flow.src = from.address;
  packet.flow.src_port = from.port;
  packet.flow.dst = to.address;
  packet.flow.dst_port = to.port;
  for (std::string word; words >> word;) {
    const auto [key, value] = split(word, '=');
    if (key == "fragment") {
      packet.kind = packet::Kind::fragment;
    } else if (key == "iface") {
      asked.netdev = value;
    } else if (key == "vlan") {
      XF_TRY(vlan, number_of<std::uint16_t>(value, word));
      packet.flow.vlan = vlan;
    } else if (key == "flags") {
      XF_TRY(flags, number_of<std::uint8_t>(value, word, 16));
      packet.tcp_flags = flags;
    } else if (key == "age") {
      XF_TRY(age, number_of<std::uint32_t>(value, word));
      asked.age = std::chrono::seconds(age);
    } else {
      return fail(Errc::input_invalid,
                  "\"{}\": expected flags=HEX, vlan=N, iface=NAME, age=SECONDS or fragment", word);
    }
  }
  return {};
}

// PID, PID@SECONDS
Result<model::ProcessId> process_id_of(const std::string& text, const std::string& word) {
  const auto [pid_text, start_text] = split(text, '@');
  XF_TRY(pid, number_of<std::int32_t>(pid_text, word));
  double start = 0;
  if (!start_text.empty()) {
    const auto [end, error] =
        std::from_chars(start_text.data(), start_text.data() + start_text.size(), start);
    if (error != std::errc() || end != start_text.data() + start_text.size() || !(start >= 0) ||
        start > 1e9)
      return fail(Errc::input_invalid, "\"{}\": expected PID@SECONDS, such as 4121@812.44", word);
  }
  return model::ProcessId{pid, std::chrono::nanoseconds(std::llround(start * 1e9))};
}

Result<void> read_fact(model::Process& process, const std::string& word) {
  const auto [key, value] = split(word, '=');
  const std::pair<const char*, std::uint32_t*> numbers[] = {
      {"uid", &process.uid}, {"gid", &process.gid}, {"netns", &process.netns}};
  for (const auto& [name, into] : numbers)
    if (key == name) {
      XF_TRY(number, number_of<std::uint32_t>(value, word));
      *into = number;
      return {};
    }
  const std::pair<const char*, std::string*> texts[] = {{"exe", &process.exe},
                                                        {"comm", &process.comm},
                                                        {"container", &process.container},
                                                        {"cgroup", &process.cgroup}};
  for (const auto& [name, into] : texts)
    if (key == name) {
      *into = value;
      return {};
    }
  if (key == "pid") {
    XF_TRY(id, process_id_of(value, word));
    process.id = id;
  } else if (key == "parent") {  // nearest first
    const auto [id_text, exe] = split(value, ':');
    XF_TRY(id, process_id_of(id_text, word));
    process.parents.push_back({id, "", exe});
  } else if (key == "session") {
    XF_TRY(session, number_of<std::int32_t>(value, word));
    process.session = session;
  } else if (key == "cmdline") {
    std::istringstream arguments(value);
    for (std::string argument; std::getline(arguments, argument, ',');)
      process.cmdline.push_back(argument);
  } else if (key == "hidden") {
    process.is_hidden = true;
  } else {
    return fail(Errc::input_invalid,
                "\"{}\": expected pid= uid= gid= exe= comm= cmdline= parent= session= container= "
                "cgroup= netns= hidden, ambiguous, inferred, nobody or &",
                word);
  }
  return {};
}

Result<void> read_owner(const std::string& text, model::Owner& owner) {
  owner.confidence = model::Confidence::exact;
  model::Process process;
  bool is_nobody = false;
  const auto finish = [&] {
    owner.processes.push_back(std::make_shared<const model::Process>(std::move(process)));
    process = {};
  };
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (word == "nobody") {
      is_nobody = true;
      owner.confidence = model::Confidence::unknown;
    } else if (word == "&") {
      finish();
    } else if (word == "ambiguous") {
      owner.confidence = model::Confidence::ambiguous;
    } else if (word == "inferred") {
      owner.confidence = model::Confidence::inferred;
    } else if (word.starts_with("socket_uid=")) {
      XF_TRY(uid, number_of<std::uint32_t>(std::string_view(word).substr(11), word));
      owner.socket_uid = uid;
    } else {
      XF_CHECK(read_fact(process, word));
    }
  }
  if (!is_nobody) finish();
  return {};
}

}  // namespace

Result<Asked> Asked::parse(const std::string& packet, const std::string& owner) {
  Asked asked;
  XF_CHECK(read_packet(packet, asked));
  XF_CHECK(read_owner(owner, asked.owner));
  return asked;
}

}  // namespace xfilter::policy
