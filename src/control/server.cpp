// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace xfilter::control {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMostAtOnce = 64 << 10;  // bytes of one client, before the others' turn
constexpr int kMostAccepted = 4;               // likewise
constexpr int kRest = 4;                       // times as long as the last request took

std::string line_of(const ordered_json& answer) {
  return answer.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + "\n";
}

// Nothing of a request is nested deeply: what is, is no request. Discarded when it is none.
json parse_flat(const std::string& line) {
  constexpr int kDeepest = 16;
  bool is_deep = false;
  const auto watch = [&](int depth, json::parse_event_t, json&) {
    is_deep |= depth > kDeepest;
    return !is_deep;
  };
  auto parsed = json::parse(line, watch, false);
  return is_deep ? json(json::value_t::discarded) : parsed;
}

ordered_json refusal(const std::string& why) {
  return {{"ok", false}, {"error", why}};
}

std::vector<gid_t> groups_of_peer(int socket, gid_t primary) {
  std::array<gid_t, 1024> more;  // who is in more of them is in none of these
  socklen_t size = sizeof more;
  std::vector<gid_t> groups = {primary};
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, more.data(), &size) == 0)
    groups.insert(groups.end(), more.begin(), more.begin() + size / sizeof(gid_t));
  return groups;
}

std::optional<Role> role_of_peer(int socket, const ucred& peer, const Groups& may) {
  if (peer.uid == 0) return Role::operates;
  const auto groups = groups_of_peer(socket, peer.gid);
  const auto is_in = [&](std::optional<gid_t> group) {
    return group && std::find(groups.begin(), groups.end(), *group) != groups.end();
  };
  if (is_in(may.operators)) return Role::operates;
  if (is_in(may.readers)) return Role::reads;
  return std::nullopt;
}

}  // namespace

Server::Server(Fd listening, Groups groups, Handler handler)
    : listening_(std::move(listening)), groups_(groups), handler_(std::move(handler)) {}

void Server::add_to(std::vector<pollfd>& polled) const {
  if (listening_.is_open()) polled.push_back({listening_.number(), POLLIN, 0});
  for (const Client& client : clients_) {
    const bool reads = may_ask(client) && !has_request(client) && !client.has_said_all;
    polled.push_back(
        {client.socket.number(),
         static_cast<short>((reads ? POLLIN : 0) | (client.unsent.empty() ? 0 : POLLOUT)), 0});
  }
}

void Server::serve(std::chrono::steady_clock::time_point now) {
  now_ = now;
  if (listening_.is_open()) accept_some();
  for (Client& client : clients_) {
    if (may_ask(client) && !has_request(client) && !client.has_said_all) receive_some(client);
    if (may_ask(client)) take_request(client);
    send_some(client);
    if (is_stalled(client)) client.socket.close();
    const bool is_done =
        client.has_said_all && may_ask(client) && !has_request(client) && !client.is_subscribed;
    if ((client.is_leaving && client.unsent.empty()) || is_done) client.socket.close();
  }
  clients_.remove_if([](const Client& client) { return !client.socket.is_open(); });
  // Another one's request comes first the next time.
  if (!clients_.empty()) clients_.splice(clients_.end(), clients_, clients_.begin());
}

bool Server::has_requests() const {
  return std::any_of(clients_.begin(), clients_.end(),
                     [](const Client& client) { return may_ask(client) && has_request(client); });
}

// Only who took the answers to what he asked before: so neither they nor requests pile up here.
bool Server::may_ask(const Client& client) {
  return !client.is_waiting && !client.is_leaving && client.unsent.empty();
}

bool Server::has_request(const Client& client) {
  return client.received.find('\n') != std::string::npos;
}

bool Server::is_stalled(const Client& client) const {
  const bool owes = client.is_leaving || (!client.is_waiting && !client.received.empty()) ||
                    (!client.is_subscribed && !client.unsent.empty());
  return owes && now_ - client.progress > kLongestStall;
}

void Server::accept_some() {
  for (int i = 0; i < kMostAccepted; ++i) {
    Fd socket(::accept4(listening_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.is_open()) return;
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.number(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    const auto role = role_of_peer(socket.number(), peer, groups_);
    const auto turn_away = [&](const std::string& why) {
      const std::string line = line_of(refusal(why));
      (void)!::send(socket.number(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    };
    const auto readers = static_cast<std::size_t>(std::count_if(
        clients_.begin(), clients_.end(), [](const Client& c) { return c.role == Role::reads; }));
    if (!role)
      turn_away(
          fmt::format("user {} may not use this socket: it is for root and the groups given to "
                      "attach with --operators and --readers",
                      peer.uid));
    else if (clients_.size() >= kMostClients || (*role == Role::reads && readers >= kMostReaders))
      turn_away("too many clients: close one and try again");
    else
      add_client(std::move(socket), *role, fmt::format("uid {}", peer.uid));
  }
}

void Server::add_client(Fd socket, Role role, std::string who) {
  Client& client = clients_.emplace_back();
  client.id = next_id_++;
  client.socket = std::move(socket);
  client.role = role;
  client.who = std::move(who);
  client.progress = now_;
}

void Server::receive_some(Client& client) {
  const std::size_t largest = client.role == Role::reads ? kLargestReadersRequest : kLargestRequest;
  const std::size_t before = client.received.size();
  client.received.resize(before + kMostAtOnce);
  const ssize_t got =
      ::recv(client.socket.number(), client.received.data() + before, kMostAtOnce, MSG_DONTWAIT);
  client.received.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0 && errno != EAGAIN && errno != EINTR) return client.socket.close();
  if (got == 0) client.has_said_all = true;
  if (got > 0) client.progress = now_;
  if (client.received.size() > largest && !has_request(client)) {
    client.received.clear();
    client.is_leaving = true;
    return refuse(client.id, fmt::format("a request of more than {} KiB", largest >> 10));
  }
}

void Server::take_request(Client& client) {
  if (now_ < rests_until_) return;
  const auto end = client.received.find('\n');
  if (end == std::string::npos) return;
  const auto began = std::chrono::steady_clock::now();
  const std::string line = client.received.substr(0, end);
  client.received.erase(0, end + 1);
  client.progress = now_;
  if (line.find_first_not_of(" \t\r") == std::string::npos) return;
  auto body = parse_flat(line);
  client.is_waiting = true;
  if (body.is_object())
    handler_({client.id, client.role, client.who, std::move(body)});
  else
    refuse(client.id, "expected a JSON object on one line, such as {\"do\": \"status\"}");
  rests_until_ = now_ + kRest * (std::chrono::steady_clock::now() - began);
}

void Server::send_some(Client& client) {
  if (!client.socket.is_open() || client.unsent.empty()) return;
  const ssize_t sent = ::send(client.socket.number(), client.unsent.data() + client.sent,
                              std::min(client.unsent.size() - client.sent, kMostAtOnce),
                              MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return client.socket.close();
  if (sent <= 0) return;
  client.progress = now_;
  client.sent += static_cast<std::size_t>(sent);
  // What was sent goes when it is worth the moving of the rest.
  if (client.sent < client.unsent.size() / 2) return;
  client.unsent.erase(0, client.sent);
  client.sent = 0;
}

Server::Client* Server::find(std::uint64_t id) {
  const auto found = std::find_if(clients_.begin(), clients_.end(),
                                  [&](const Client& client) { return client.id == id; });
  return found == clients_.end() ? nullptr : &*found;
}

void Server::reply(std::uint64_t id, const ordered_json& answer) {
  Client* const client = find(id);
  if (client == nullptr) return;  // it went while its request was under way
  client->unsent += line_of(answer);
  client->is_waiting = false;
  client->progress = now_;
}

void Server::refuse(std::uint64_t id, const std::string& why) {
  reply(id, refusal(why));
}

void Server::subscribe(std::uint64_t id) {
  if (Client* const client = find(id)) client->is_subscribed = true;
}

void Server::publish(const std::string& event) {
  for (Client& client : clients_) {
    if (!client.is_subscribed) continue;
    if (client.unsent.size() - client.sent + event.size() > kMostUnsentEvents) {
      ++client.lost;
      continue;
    }
    if (client.lost > 0) {
      client.unsent += line_of({{"event_type", "lost"}, {"events", client.lost}});
      client.lost = 0;
    }
    client.unsent += event + "\n";
  }
}

}  // namespace xfilter::control
