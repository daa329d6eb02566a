// SPDX-License-Identifier: Apache-2.0
// Real traffic through the datapath: nothing lost, doubled, reordered or corrupted.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "datapath/attachment.h"
#include "datapath/punt_queue.h"
#include "lab_net.h"
#include "packet/parse.h"

namespace xfilter::datapath {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBulk = 64 << 20;
constexpr int kDatagrams = 20'000, kFlows = 8;
constexpr std::uint16_t kPort = 7000;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family = AF_INET;
};
Address address_of(const char* text, std::uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = __builtin_bswap16(port);
    address.size = sizeof *v4;
  } else {
    inet_pton(AF_INET6, text, &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = __builtin_bswap16(port);
    address.size = sizeof *v6;
    address.family = AF_INET6;
  }
  return address;
}

char pattern(std::size_t at) {
  return static_cast<char>(at * 2654435761u >> 13);
}

// Exit code 0: everything came, in order, unchanged.
int receive_bulk(const Address& own, int ready) {
  const int listener = ::socket(own.family, SOCK_STREAM, 0);
  ::bind(listener, reinterpret_cast<const sockaddr*>(&own.storage), own.size);
  ::listen(listener, 1);
  (void)!::write(ready, "x", 1);
  const int connection = ::accept(listener, nullptr, nullptr);
  std::vector<char> chunk(1 << 16);
  std::size_t total = 0;
  for (ssize_t got; (got = ::read(connection, chunk.data(), chunk.size())) > 0;)
    for (ssize_t i = 0; i < got; ++i, ++total)
      if (chunk[static_cast<std::size_t>(i)] != pattern(total)) return 2;
  return total == kBulk ? 0 : 3;
}

int send_bulk(const Address& server) {
  const int connection = ::socket(server.family, SOCK_STREAM, 0);
  if (::connect(connection, reinterpret_cast<const sockaddr*>(&server.storage), server.size) != 0)
    return 2;
  std::vector<char> chunk(1 << 16);
  for (std::size_t total = 0; total < kBulk; total += chunk.size()) {
    for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = pattern(total + i);
    if (::write(connection, chunk.data(), chunk.size()) != static_cast<ssize_t>(chunk.size()))
      return 3;
  }
  return 0;
}

// Numbered datagrams on several flows; 0 when each came once and in its flow's order.
int receive_datagrams(const Address& own, int ready) {
  const int socket = ::socket(own.family, SOCK_DGRAM, 0);
  const int room = 64 << 20;
  ::setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  ::bind(socket, reinterpret_cast<const sockaddr*>(&own.storage), own.size);
  (void)!::write(ready, "x", 1);
  std::vector<int> next(kFlows, 0);
  int received = 0;
  while (received < kDatagrams) {
    pollfd waiting{socket, POLLIN, 0};
    if (::poll(&waiting, 1, 3000) <= 0) return 2;  // lost
    std::uint32_t numbers[2];
    if (::recv(socket, numbers, sizeof numbers, 0) != sizeof numbers || numbers[0] >= kFlows)
      return 3;
    if (static_cast<int>(numbers[1]) != next[numbers[0]]++) return 4;  // doubled or reordered
    ++received;
  }
  pollfd waiting{socket, POLLIN, 0};
  return ::poll(&waiting, 1, 200) == 0 ? 0 : 5;  // nothing more may come
}

// The sender's kernel keeps few packets for a neighbour whose address it does not know yet, and
// loses others by itself. So first a datagram to a port that is closed, which is told at once.
bool make_neighbour_known(const Address& server) {
  const int socket = ::socket(server.family, SOCK_DGRAM, 0);
  Address closed = server;
  auto* port = &reinterpret_cast<sockaddr_in*>(&closed.storage)->sin_port;  // sockaddr_in6's too
  *port = htons(kPort + 1);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&closed.storage), closed.size) != 0 ||
      ::send(socket, "?", 1, 0) != 1)
    return false;
  pollfd refused{socket, POLLIN, 0};
  const bool is_refused = ::poll(&refused, 1, 3000) == 1;
  ::close(socket);
  return is_refused;
}

int send_datagrams(const Address& server) {
  if (!make_neighbour_known(server)) return 4;
  std::vector<int> sockets;
  for (int i = 0; i < kFlows; ++i) {
    sockets.push_back(::socket(server.family, SOCK_DGRAM, 0));
    if (::connect(sockets.back(), reinterpret_cast<const sockaddr*>(&server.storage),
                  server.size) != 0)
      return 2;
  }
  for (int i = 0; i < kDatagrams; ++i) {
    const std::uint32_t numbers[2] = {static_cast<std::uint32_t>(i % kFlows),
                                      static_cast<std::uint32_t>(i / kFlows)};
    if (::send(sockets[numbers[0]], numbers, sizeof numbers, 0) != sizeof numbers) return 3;
    if (i % 64 == 63) ::usleep(500);
    // Once a pause in which an agent that has little of the processor catches up.
    if (i == kDatagrams / 2) ::usleep(200'000);
  }
  return 0;
}

enum class Judging { holds_everything, passes_after_twenty, drops_port };

class Traffic : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "attaching eBPF needs root";
    net_.emplace();
    attachment_.emplace(Attachment::attach("vm0").value());
    queue_.emplace(attachment_->arm().value());
  }
  void TearDown() override {
    if (agent_.joinable()) stop_agent();
    if (attachment_) {
      EXPECT_TRUE(attachment_->detach());
    }
  }

  void start_agent(Judging judging) {
    agent_ = std::thread([this, judging] { serve(judging); });
  }
  void stop_agent() {
    is_stopping_ = true;
    agent_.join();
  }

  void serve(Judging judging) {
    std::unordered_map<packet::Flow, int, packet::FlowHash> seen;
    while (!is_stopping_) {
      pollfd waiting{queue_->descriptor(), POLLIN, 0};
      if (::poll(&waiting, 1, 5) == 0) {
        queue_->settle();
        continue;
      }
      while (const auto held = queue_->receive()) {
        ++held_;
        largest_ = std::max(largest_.load(), held->frame.size());
        const auto parsed = packet::parse_frame(held->frame);
        if (judging == Judging::drops_port && parsed.flow.dst_port == kPort) {
          queue_->drop_from_now_on(parsed.flow, 1h);
          queue_->discard(*held);
          continue;
        }
        if (judging == Judging::passes_after_twenty && ++seen[parsed.flow] == 20)
          queue_->pass_from_now_on(parsed.flow, 1h);
        queue_->release(*held);
      }
    }
  }

  // Exit codes of the sender and the receiver.
  std::pair<int, int> exchange(int (*receive)(const Address&, int), int (*send)(const Address&)) {
    const Address server = address_of(GetParam(), kPort);
    int ready[2];
    if (::pipe(ready) != 0) return {-1, -1};
    const pid_t receiver = net_->in_server([&] { return receive(server, ready[1]); });
    char byte;
    (void)!::read(ready[0], &byte, 1);
    const int sent = exit_code_of(net_->in_guest([&] { return send(server); }));
    const int received = exit_code_of(receiver);
    ::close(ready[0]);
    ::close(ready[1]);
    return {sent, received};
  }

  std::optional<LabNet> net_;
  std::optional<Attachment> attachment_;
  std::optional<PuntQueue> queue_;
  std::thread agent_;
  std::atomic<bool> is_stopping_ = false;
  std::atomic<std::size_t> held_ = 0, largest_ = 0;
};
INSTANTIATE_TEST_SUITE_P(, Traffic, testing::Values("10.77.0.1", "fd77::1"),
                         [](const auto& chosen) {
                           return chosen.param[0] == '1' ? "ipv4" : "ipv6";
                         });

TEST_P(Traffic, tcp_bulk_with_every_packet_held_arrives_whole_and_stays_segmented_late) {
  start_agent(Judging::holds_everything);
  EXPECT_EQ(exchange(receive_bulk, send_bulk), std::make_pair(0, 0));
  EXPECT_GT(held_, kBulk / 65536);
  EXPECT_GT(largest_, 9000u) << "segmentation offload did not survive";
  // The last acknowledgements may still be under way when the receiver has everything.
  auto counters = queue_->counters();
  for (int i = 0; i < 2000 && counters.punted != counters.released; ++i) {
    ::usleep(1000);
    counters = queue_->counters();
  }
  EXPECT_EQ(counters.punted, counters.released);
  EXPECT_EQ(counters.passed, 0u);
}

TEST_P(Traffic, tcp_bulk_takes_the_fast_path_once_judged) {
  start_agent(Judging::passes_after_twenty);
  EXPECT_EQ(exchange(receive_bulk, send_bulk), std::make_pair(0, 0));
  EXPECT_GT(queue_->counters().passed, queue_->counters().punted);
}

TEST_P(Traffic, datagrams_are_not_lost_doubled_or_reordered_with_every_packet_held) {
  start_agent(Judging::holds_everything);
  EXPECT_EQ(exchange(receive_datagrams, send_datagrams), std::make_pair(0, 0));
  EXPECT_GE(held_, static_cast<std::size_t>(kDatagrams));
}

TEST_P(Traffic, datagrams_are_not_lost_doubled_or_reordered_when_the_verdict_comes) {
  start_agent(Judging::passes_after_twenty);
  EXPECT_EQ(exchange(receive_datagrams, send_datagrams), std::make_pair(0, 0));
  EXPECT_GT(queue_->counters().passed, 0u);
}

TEST_P(Traffic, of_a_dropped_port_nothing_arrives) {
  start_agent(Judging::drops_port);
  const auto [sent, received] = exchange(receive_datagrams, send_datagrams);
  EXPECT_EQ(sent, 0);
  EXPECT_EQ(received, 2) << "the receiver must time out with nothing";
  EXPECT_GT(queue_->counters().dropped, 0u);
}

}  // namespace
}  // namespace xfilter::datapath
