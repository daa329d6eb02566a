// SPDX-License-Identifier: Apache-2.0
// packet_truth PID TAP UPLINK: carries packets between the VM's tap and the uplink, and attributes
// every one that the guest sends before it goes on, as the product does with packets that it holds.
// Prints one JSON line each, with what the packet itself says of its sender (lab/guest/senders.c).
// Ends with its standard input; the last line says how many packets it missed.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "attribution/attributor.h"
#include "engine/guest.h"
#include "engine/owner_json.h"

namespace {

using namespace xfilter;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kVirtioHeader = 10;  // sizeof(struct virtio_net_hdr), which is no C++

int open_device(const char* name) {
  const int fd = ::socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(name));
  const int room = 256 << 20, one = 1;
  ::setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one);  // offloads pass as they are
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (address.sll_ifindex == 0 ||
      ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    fmt::print(stderr, "packet_truth: cannot listen on {}\n", name);
    std::exit(1);
  }
  return fd;
}

// "xft1 KIND PID[,PID...] ", wherever the payload starts.
std::string claim_in(std::span<const std::byte> frame) {
  const std::string_view text(reinterpret_cast<const char*>(frame.data()), frame.size());
  const auto at = text.find("xft1 ");
  if (at == std::string_view::npos) return {};
  const auto claim = text.substr(at + 5, 80);
  return std::string(claim.substr(0, claim.find(' ', claim.find(' ') + 1)));
}

std::vector<std::int32_t> pids_of(const std::vector<model::ProcessRef>& processes) {
  std::vector<std::int32_t> pids;
  for (const auto& process : processes) pids.push_back(process->id.pid);
  return pids;
}

void tell(const packet::Packet& packet, const std::string& claim, const model::Owner& owner) {
  const nlohmann::json line = {{"protocol", packet::protocol_name(packet.flow.protocol)},
                               {"flow", packet::to_string(packet.flow)},
                               {"tcp_flags", packet.tcp_flags},
                               {"claim", claim},
                               {"confidence", model::to_string(owner.confidence)},
                               {"reason", owner.reason},
                               {"pids", pids_of(owner.processes)},
                               {"alternatives", pids_of(owner.alternatives)}};
  fmt::print("{}\n", line.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
}

bool has_input_ended() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, 0) != 0;
}

// Reads a frame with its virtio header; nothing when there is none, or it is one that we sent.
std::span<const std::byte> receive(int device, std::vector<std::byte>& buffer) {
  sockaddr_ll from{};
  socklen_t from_size = sizeof from;
  const auto size = ::recvfrom(device, buffer.data(), buffer.size(), MSG_DONTWAIT,
                               reinterpret_cast<sockaddr*>(&from), &from_size);
  if (size <= static_cast<ssize_t>(kVirtioHeader) || from.sll_pkttype == PACKET_OUTGOING) return {};
  return std::span<const std::byte>(buffer).first(static_cast<std::size_t>(size));
}

void send(int device, std::span<const std::byte> frame) {
  while (::send(device, frame.data(), frame.size(), 0) < 0 && errno == ENOBUFS) ::usleep(100);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  auto vmm = guest::memory::open_vmm_memory(std::atoi(argv[1]));
  if (!vmm) return fmt::print(stderr, "packet_truth: {}\n", vmm.error().message), 1;
  const auto guest = engine::Guest::of_vmm(std::move(*vmm));
  if (const auto found = guest->find(); !found)
    return fmt::print(stderr, "packet_truth: {}\n", found.error().message), 1;
  attribution::Attributor attributor(guest->view(), [&] { guest->begin_lookup(); });
  const int tap = open_device(argv[2]), uplink = open_device(argv[3]);
  fmt::print("{{\"ready\": true}}\n");
  std::fflush(stdout);

  std::vector<std::byte> buffer(1 << 17);
  auto checked = Clock::now();
  while (true) {
    pollfd polled[] = {{tap, POLLIN, 0}, {uplink, POLLIN, 0}};
    if (::poll(polled, 2, 20) == 0) {
      attributor.observe_processes();
      if (has_input_ended()) break;
      continue;
    }
    if (const auto to_guest = receive(uplink, buffer); !to_guest.empty()) send(tap, to_guest);
    const auto from_guest = receive(tap, buffer);
    if (from_guest.empty()) continue;
    if (Clock::now() - checked > std::chrono::milliseconds(20)) {
      if (!guest->check()) return fmt::print(stderr, "packet_truth: the guest is gone\n"), 1;
      checked = Clock::now();
    }
    const auto frame = from_guest.subspan(kVirtioHeader);
    const packet::Packet packet = packet::parse_frame(frame);
    if (packet.kind == packet::Kind::ip || packet.kind == packet::Kind::fragment)
      tell(packet, claim_in(frame), attributor.attribute(packet));
    send(uplink, from_guest);
  }
  tpacket_stats missed{};
  socklen_t missed_size = sizeof missed;
  ::getsockopt(tap, SOL_PACKET, PACKET_STATISTICS, &missed, &missed_size);
  fmt::print("{}\n",
             nlohmann::json{{"missed", missed.tp_drops}, {"walks", attributor.walks()}}.dump());
  return 0;
}
