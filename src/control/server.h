// SPDX-License-Identifier: Apache-2.0
// control/server.h: the control socket: lines of JSON from local clients, answered one by one, and
// a stream of events for those who ask for it. docs/control.md has the protocol.
//
// It lives in a loop that has packets to serve, so it never waits: a client that sends garbage,
// stalls, or asks for what its role does not allow gets an error, and costs a bounded piece of time
// and memory: one request a turn, and then as much rest that requests take a fifth of the time at
// most. Events that a client does not take are dropped and counted for it. Who a client is
// says the kernel (SO_PEERCRED, SO_PEERGROUPS). Threads: one.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace xfilter::control {

inline constexpr std::size_t kMostClients = 16;
inline constexpr std::size_t kMostReaders = 12;  // of them: an operator always gets in
inline constexpr std::size_t kLargestReadersRequest = 64 << 10;
inline constexpr std::size_t kLargestRequest = 16 << 20;
inline constexpr std::size_t kMostUnsentEvents = 256 << 10;  // bytes
inline constexpr std::chrono::seconds kLongestStall{10};  // with half a request, or half an answer

enum class Role : std::uint8_t { reads, operates };

// Besides root and the user who runs xfilter, who may do anything.
struct Groups {
  std::optional<gid_t> readers, operators;
};

struct Request {
  std::uint64_t client = 0;
  Role role = Role::reads;
  std::string who;      // "uid 1000"
  nlohmann::json body;  // an object
};

class Server {
 public:
  // Each request has to be answered by reply(), now or later; until then its client's next one
  // waits.
  using Handler = std::function<void(Request)>;
  // Without a listening socket nobody can come but by add_client().
  Server(Fd listening, Groups groups, Handler handler);

  void add_to(std::vector<pollfd>& polled) const;  // what to wait for
  bool has_requests() const;  // that were received and wait for their turn: serve() again soon
  // Does what can be done at once. Call when one of them is ready, and now and then.
  void serve(std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now());

  void reply(std::uint64_t client, const nlohmann::ordered_json& answer);
  // {"ok": false, "error": ...}
  void refuse(std::uint64_t client, const std::string& why);

  void subscribe(std::uint64_t client);
  void publish(const std::string& event);  // one line of JSON

  // A client that is connected already.
  void add_client(Fd socket, Role role, std::string who);
  std::size_t clients() const { return clients_.size(); }

 private:
  struct Client {
    std::uint64_t id = 0;
    Fd socket;
    Role role = Role::reads;
    std::string who;
    std::string received, unsent;
    std::size_t sent = 0;       // of `unsent`
    bool is_waiting = false;    // for reply()
    bool has_said_all = false;  // shut its side down; still gets its answers
    bool is_leaving = false;    // gets what is unsent, and is then closed
    bool is_subscribed = false;
    std::uint64_t lost = 0;  // events, since one was sent last
    std::chrono::steady_clock::time_point progress;
  };

  void accept_some();
  void receive_some(Client& client);
  void take_request(Client& client);
  void send_some(Client& client);
  static bool may_ask(const Client& client);
  static bool has_request(const Client& client);
  bool is_stalled(const Client& client) const;
  Client* find(std::uint64_t id);

  Fd listening_;
  Groups groups_;
  Handler handler_;
  std::list<Client> clients_;
  std::uint64_t next_id_ = 1;
  std::chrono::steady_clock::time_point now_{};
  std::chrono::steady_clock::time_point rests_until_{};  // from requests
};

}  // namespace xfilter::control
