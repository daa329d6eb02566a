// SPDX-License-Identifier: Apache-2.0
// eBPF nanoseconds a packet, and what a hold adds to a round trip.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <csignal>
#include <stdexcept>
#include <thread>

#include "datapath/attachment.h"
#include "datapath/punt_queue.h"
#include "measure.h"
#include "packet/parse.h"
#include "tests/datapath/lab_net.h"
#include "tests/support/packet_builder.h"

namespace xfilter::bench {
namespace {

using namespace std::chrono_literals;
using datapath::Attachment;
using datapath::LabNet;
using datapath::PuntQueue;
using support::Ethernet;
using support::Frame;
using support::Ipv4;
using support::Ipv6;
using support::Udp;

constexpr unsigned kRepeats = 1'000'000;
constexpr int kRuns = 11;
constexpr int kPings = 5000;

void must(const Result<void>& result) {
  if (!result) throw std::runtime_error(result.error().message);
}

double nanoseconds_per_packet(int program, const Frame& frame) {
  std::vector<std::byte> bytes(frame.bytes().begin(), frame.bytes().end());
  bytes.resize(std::max<std::size_t>(bytes.size(), 64));
  std::vector<double> runs;
  for (int i = 0; i < kRuns; ++i) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = bytes.data(),
                .data_size_in = static_cast<__u32>(bytes.size()),
                .repeat = static_cast<int>(kRepeats));
    if (bpf_prog_test_run_opts(program, &options) != 0) return -1;
    runs.push_back(options.duration);
  }
  std::sort(runs.begin(), runs.end());
  return runs[runs.size() / 2];
}

// r0 = -1 (TC_ACT_UNSPEC); exit: what the loop of the measurement itself costs.
Fd load_empty_program() {
  const bpf_insn code[] = {{.code = 0xb7, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
                           {.code = 0x95, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  return Fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code, 2, nullptr));
}

sockaddr_in server_address() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = __builtin_bswap16(7000);
  inet_pton(AF_INET, "10.77.0.1", &address.sin_addr);
  return address;
}

int echo() {
  const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
  const auto own = server_address();
  ::bind(socket, reinterpret_cast<const sockaddr*>(&own), sizeof own);
  char buffer[64];
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  for (ssize_t got; (got = ::recvfrom(socket, buffer, sizeof buffer, 0,
                                      reinterpret_cast<sockaddr*>(&peer), &size)) > 0;)
    ::sendto(socket, buffer, static_cast<std::size_t>(got), 0, reinterpret_cast<sockaddr*>(&peer),
             size);
  return 0;
}

// Writes the round trips' percentiles to `out`.
int ping(int out) {
  const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
  const auto server = server_address();
  const timeval patience{1, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) return 1;
  Times times;
  char byte = 'x';
  for (int i = 0; i < kPings + 100; ++i) {
    const auto began = std::chrono::steady_clock::now();
    if (::send(socket, &byte, 1, 0) != 1 || ::recv(socket, &byte, 1, 0) != 1) continue;
    if (i >= 100) times.add(std::chrono::steady_clock::now() - began);
  }
  const double result[2] = {times.percentile_us(0.5), times.percentile_us(0.99)};
  return ::write(out, result, sizeof result) == sizeof result ? 0 : 1;
}

nlohmann::json ping_through(const LabNet& net) {
  int ends[2];
  if (::pipe(ends) != 0) return nullptr;
  const pid_t server = net.in_server(echo);
  ::usleep(100'000);
  const int code = datapath::exit_code_of(net.in_guest([&] { return ping(ends[1]); }));
  ::kill(server, SIGKILL);
  datapath::exit_code_of(server);
  double result[2] = {-1, -1};
  if (code == 0) (void)!::read(ends[0], result, sizeof result);
  return {{"p50", result[0]}, {"p99", result[1]}};
}

}  // namespace

nlohmann::json measure_ebpf() {
  const LabNet net;
  auto attachment = Attachment::attach("vm0").value();
  PuntQueue queue(attachment.arm().value());
  const auto id =
      datapath::find_program(static_cast<int>(::if_nametoindex("vm0")), "xf_entry").value().value();
  const Fd program(bpf_prog_get_fd_by_id(id));
  const Fd empty = load_empty_program();
  const Frame v4 = Ethernet{} / Ipv4{} / Udp{}, v6 = Ethernet{} / Ipv6{} / Udp{};
  const Frame blocked = Ethernet{} / Ipv4{} / Udp{.src_port = 1, .dst_port = 2};
  const Frame unjudged = Ethernet{} / Ipv4{} / Udp{.src_port = 3, .dst_port = 4};
  for (const Frame& frame : {v4, v6}) queue.pass_from_now_on(packet::parse_frame(frame).flow, 1h);
  queue.drop_from_now_on(packet::parse_frame(blocked).flow, 1h);
  nlohmann::json result = {{"empty", nanoseconds_per_packet(empty.number(), v4)},
                           {"pass_ipv4", nanoseconds_per_packet(program.number(), v4)},
                           {"pass_ipv6", nanoseconds_per_packet(program.number(), v6)},
                           {"drop_ipv4", nanoseconds_per_packet(program.number(), blocked)}};
  must(attachment.detach());
  return result;
}

nlohmann::json measure_punt() {
  const LabNet net;
  nlohmann::json result;
  result["without"] = ping_through(net);
  auto attachment = Attachment::attach("vm0").value();
  PuntQueue queue(attachment.arm().value());
  std::atomic<bool> passes = true, is_stopping = false;
  std::thread agent([&] {
    while (!is_stopping) {
      pollfd waiting{queue.descriptor(), POLLIN, 0};
      if (::poll(&waiting, 1, 5) == 0) {
        queue.settle();
        continue;
      }
      while (const auto held = queue.receive()) {
        if (passes) queue.pass_from_now_on(packet::parse_frame(held->frame).flow, 1h);
        queue.release(*held);
      }
    }
  });
  result["judged"] = ping_through(net);
  passes = false;
  result["held"] = ping_through(net);
  is_stopping = true;
  agent.join();
  must(attachment.detach());
  return result;
}

}  // namespace xfilter::bench
