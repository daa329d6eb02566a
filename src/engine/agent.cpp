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

#include "engine/confinement.h"
#include "engine/packet_path.h"

namespace xfilter::engine {
namespace {

using datapath::AgentHandles;
using datapath::PuntQueue;

constexpr int kIdleMilliseconds = 250;  // between looks at a guest that sends nothing
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
  Agent(Fd control, guest::memory::VmmMemory vmm, const policy::Policy& policy,
        CommandLines command_lines)
      : control_(std::move(control)),
        guest_(Guest::of_vmm(std::move(vmm))),
        path_(
            *guest_, policy, command_lines,
            [this](std::string line) { tell(MessageType::event, line); },
            [this](std::string text) { tell(MessageType::note, text); }) {}

  bool find_guest(std::chrono::seconds wait) {
    const auto give_up = std::chrono::steady_clock::now() + wait;
    while (true) {
      auto found = guest_->find();
      if (found) break;
      const bool is_hopeless = found.error().code != Errc::guest_kernel_not_found;
      if (is_hopeless || std::chrono::steady_clock::now() >= give_up || !opener_lives()) {
        const std::string waited =
            wait.count() > 0 ? fmt::format(" (waited {} s)", wait.count()) : "";
        send_message(control_, MessageType::failed, found.error().message + waited, Sending::waits);
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    path_.watch_guest();
    return send_message(control_, MessageType::ready, guest_->view().profile().banner,
                        Sending::waits);
  }

  void serve() {
    while (true) {
      std::vector<pollfd> polled = {{control_.number(), POLLIN, 0}};
      bool is_unsettled = false;
      for (PuntQueue& queue : path_.queues()) {
        polled.push_back({queue.descriptor(), POLLIN, 0});
        is_unsettled |= queue.has_unsettled();
      }
      const int timeout =
          is_unsettled ? static_cast<int>(datapath::kSettleTime.count()) : kIdleMilliseconds;
      const int ready = ::poll(polled.data(), polled.size(), timeout);
      if (ready < 0 && errno != EINTR) return;
      path_.observe_guest();
      if (ready == 0) {
        for (PuntQueue& queue : path_.queues()) queue.settle();
        if (!is_unsettled) path_.watch_guest();
        continue;
      }
      for (std::size_t i = 0; i < path_.queues().size() && i + 1 < polled.size(); ++i)
        if (polled[i + 1].revents != 0) path_.serve(path_.queues()[i]);
      if (polled[0].revents != 0 && !take_message()) return drain();
    }
  }

 private:
  bool opener_lives() const {
    pollfd control{control_.number(), POLLIN, 0};
    return ::poll(&control, 1, 0) == 0;
  }

  // The opener sends netdevs, and nothing when it is gone.
  bool take_message() {
    auto message = receive_message(control_);
    if (!message) return false;
    if (message->type != MessageType::netdev || message->descriptors.size() != AgentHandles::kCount)
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
  }

  // An event that nobody takes is lost, and said to be when there is room again.
  void tell(MessageType type, const std::string& text) {
    if (untold_ > 0 &&
        send_message(control_, MessageType::note,
                     fmt::format("{} events were lost: nobody read them fast enough", untold_),
                     Sending::drops_when_full))
      untold_ = 0;
    if (!send_message(control_, type, text, Sending::drops_when_full)) ++untold_;
  }

  Fd control_;
  std::unique_ptr<Guest> guest_;
  PacketPath path_;
  std::uint64_t untold_ = 0;  // events and notes lost since the last that was taken
};

}  // namespace

void run_agent(Fd control, guest::memory::VmmMemory vmm, const policy::Policy& policy,
               const AgentOptions& options) {
  // The opener handles the terminal's signals; it tells us by closing the control socket.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  std::vector<int> keep = {control.number(), vmm.mem.number(), vmm.pagemap.number()};
  for (const auto& candidate : vmm.candidates)
    if (candidate.file.is_open()) keep.push_back(candidate.file.number());
  close_all_but(std::move(keep));

  Result<void> confined;
  if (::unshare(CLONE_NEWNET) != 0)
    confined = fail(Errc::host_refused, "cannot leave the network: {}", std::strerror(errno));
  else
    confined = confine(Confinement::agent);
  if (!confined) {
    send_message(control, MessageType::failed, confined.error().message, Sending::waits);
    ::_exit(1);
  }
  Agent agent(std::move(control), std::move(vmm), policy, options.command_lines);
  if (!agent.find_guest(options.wait_for_guest)) ::_exit(1);
  agent.serve();
  ::_exit(0);
}

}  // namespace xfilter::engine
