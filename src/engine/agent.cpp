// SPDX-License-Identifier: Apache-2.0
#include "engine/agent.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "engine/commands.h"
#include "engine/confinement.h"

namespace xfilter::engine {
namespace {

using datapath::AgentHandles;
using datapath::PuntQueue;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kWatchInterval{
    250};  // between looks at a guest that sends nothing
constexpr std::chrono::milliseconds kRequestInterval{1};  // between looks at requests that wait
constexpr std::chrono::seconds kSaveInterval{10};  // of what rules did: as much a crash forgets
constexpr int kMostDrainTurns = 1000;  // when the opener is gone: more than the punt queue can hold

// Closes every descriptor but those in `keep` and the standard ones.
void close_all_but(std::vector<int> keep) {
  keep.insert(keep.end(), {0, 1, 2});
  std::sort(keep.begin(), keep.end());
  unsigned from = 0;
  for (const int fd : keep) {
    const auto number = static_cast<unsigned>(fd);
    if (number > from) ::syscall(SYS_close_range, from, number - 1, 0);
    from = std::max(from, number + 1);
  }
  ::syscall(SYS_close_range, from, ~0u, 0);
}

class Agent {
 public:
  Agent(Fd link, Fd listening, guest::memory::VmmMemory vmm, const AgentOptions& options)
      : options_(options),
        link_(std::move(link)),
        eyes_(
            Guest::of_vmm(std::move(vmm)), [this] { path_.begin_generation(); },
            [this](std::string text) { link_.tell(MessageType::note, text); }),
        path_([this](const packet::Packet& packet) { return eyes_.owner_of(packet); },
              options.command_lines, [this](const std::string& line) { tell_event(line); }),
        server_(std::move(listening), options.groups,
                [this](control::Request request) { commands_->handle(std::move(request)); }) {}

  Result<void> find_guest() {
    const auto give_up = std::chrono::steady_clock::now() + options_.wait_for_guest;
    while (true) {
      auto found = eyes_.find();
      if (found) return {};
      const bool is_hopeless = found.error().code != Errc::guest_kernel_not_found;
      if (is_hopeless || std::chrono::steady_clock::now() >= give_up || !link_.lives()) {
        const auto waited = options_.wait_for_guest.count();
        return fail(found.error().code, "{}{}", found.error().message,
                    waited > 0 ? fmt::format(" (waited {} s)", waited) : "");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  }

  // Puts in force what the store has and what the command line wants beside it.
  Result<void> begin(Stored stored) {
    Rulebook::UseTable uses;
    for (store::Use& use : stored.uses) {
      const std::string name = use.rule;
      uses.emplace(name, std::move(use));
    }
    XF_TRY(book, Rulebook::of(stored.version, uses, rule_clock()));
    if (!options_.sources && book.sources().files.empty())
      return fail(Errc::input_invalid, "there are no rules of an earlier run: give --rules FILE");
    Rulebook wanted = book;
    if (options_.sources) {
      XF_TRY(with_files, wanted.with_sources(*options_.sources, uses, rule_clock()));
      wanted = std::move(with_files);
    }
    if (options_.mode) {
      XF_TRY(with_mode, wanted.with_mode(*options_.mode, uses, rule_clock()));
      wanted = std::move(with_mode);
    }
    commands_ = std::make_unique<Commands>(options_.vm, std::move(book), std::move(uses), path_,
                                           eyes_, link_, options_.command_lines);
    commands_->answer_through(server_);
    Result<void> begun;
    commands_->adopt(std::move(wanted), "attach", [&](const auto& done) {
      if (!done) begun = fail(done.error());
    });
    while (commands_->is_changing()) {
      std::optional<Message> message;
      if (!link_.receive(message)) return fail(Errc::host_refused, "the opener is gone");
    }
    return begun;
  }

  void say_failed(const Error& error) { link_.send_and_wait(MessageType::failed, error.message); }
  void say_ready() {
    link_.send_and_wait(
        MessageType::ready,
        fmt::format("{} rules, mode {}", path_.policy().rules().size(), to_string(path_.mode())));
  }

  void serve() {
    auto packets = steady_clock::now(), watched = packets, saved = packets;  // when last
    while (true) {
      const std::vector<pollfd> polled = wait();
      const auto now = steady_clock::now();
      eyes_.observe_processes();
      for (std::size_t i = 0; i < path_.queues().size() && i + 1 < polled.size(); ++i) {
        if (polled[i + 1].revents == 0) continue;
        path_.serve(path_.queues()[i]);
        packets = now;
      }
      if (now - packets >= datapath::kSettleTime)
        for (PuntQueue& queue : path_.queues())
          if (queue.has_unsettled()) queue.settle();
      if (now - watched >= kWatchInterval) {
        eyes_.watch();
        watched = now;
      }
      if (now - saved >= kSaveInterval) {
        commands_->save_uses();
        saved = now;
      }
      server_.serve(now);
      link_.send_some();
      if ((polled[0].revents & ~POLLOUT) != 0 && !take_message()) return drain();
    }
  }

 private:
  // Until there is something to do: for the link (first), the queues (in their order), the clients.
  std::vector<pollfd> wait() const {
    std::vector<pollfd> polled = {
        {link_.descriptor(), static_cast<short>(POLLIN | (link_.has_unsent() ? POLLOUT : 0)), 0}};
    std::chrono::milliseconds longest = kWatchInterval;
    for (const PuntQueue& queue : path_.queues()) {
      polled.push_back({queue.descriptor(), POLLIN, 0});
      if (queue.has_unsettled()) longest = datapath::kSettleTime;
    }
    server_.add_to(polled);
    if (server_.has_requests()) longest = kRequestInterval;
    if (::poll(polled.data(), polled.size(), static_cast<int>(longest.count())) < 0)
      for (pollfd& any : polled) any.revents = 0;  // a signal
    return polled;
  }

  void tell_event(const std::string& line) {
    link_.tell(MessageType::event, line);
    server_.publish(line);
  }

  // The opener sends netdevs and answers, and nothing when it is gone.
  bool take_message() {
    std::optional<Message> message;
    if (!link_.receive(message)) return false;
    if (!message || message->type != MessageType::netdev ||
        message->descriptors.size() != AgentHandles::kCount)
      return true;
    AgentHandles handles;
    const auto all = handles.all();
    for (std::size_t i = 0; i < all.size(); ++i) *all[i] = std::move(message->descriptors[i]);
    path_.add_queue(PuntQueue(std::move(handles), std::move(message->text)));
    return true;
  }

  // Nobody supervises us any more. First the crash switch: nothing is held from here on. Then what
  // is still in the queues.
  void drain() {
    for (PuntQueue& queue : path_.queues()) queue.stop_holding();
    for (PuntQueue& queue : path_.queues())
      for (int turn = 0; turn < kMostDrainTurns && path_.serve(queue); ++turn) {
      }
    commands_->save_uses();
  }

  const AgentOptions& options_;
  OpenerLink link_;
  Eyes eyes_;
  PacketPath path_;
  control::Server server_;
  std::unique_ptr<Commands> commands_;
};

}  // namespace

void run_agent(Fd link, Fd listening, guest::memory::VmmMemory vmm, Stored stored,
               const AgentOptions& options) {
  // The opener handles the terminal's signals; it tells us by closing the link.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  std::vector<int> keep = {link.number(), listening.number(), vmm.mem.number(),
                           vmm.pagemap.number()};
  for (const auto& candidate : vmm.candidates)
    if (candidate.file.is_open()) keep.push_back(candidate.file.number());
  close_all_but(std::move(keep));

  Result<void> confined;
  if (::unshare(CLONE_NEWNET) != 0)
    confined = fail(Errc::host_refused, "cannot leave the network: {}", std::strerror(errno));
  else
    confined = confine(Confinement::agent);
  if (!confined) {
    send_message(link, MessageType::failed, confined.error().message, Sending::waits);
    ::_exit(1);
  }
  Agent agent(std::move(link), std::move(listening), std::move(vmm), options);
  auto begun = agent.find_guest();
  if (begun) begun = agent.begin(std::move(stored));
  if (!begun) {
    agent.say_failed(begun.error());
    ::_exit(1);
  }
  agent.say_ready();
  agent.serve();
  ::_exit(0);
}

}  // namespace xfilter::engine
