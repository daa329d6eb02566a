// SPDX-License-Identifier: Apache-2.0
#include "engine/opener.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "datapath/attachment.h"
#include "datapath/netdev.h"
#include "engine/control.h"

namespace xfilter::engine {
namespace {

using datapath::Attachment;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kFirstBackOff = 500ms;
constexpr auto kLongestBackOff = 30s;
constexpr auto kOrderlyEnd = 3s;  // an agent that has not ended by then is killed

// What an agent says goes to terminals and logs: no control characters.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  return text;
}

// Signals as a descriptor, blocked for the rest of the process's life.
Result<Fd> block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Fd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.is_open()) return fail(Errc::host_refused, "signalfd: {}", std::strerror(errno));
  return signals;
}

class Opener {
 public:
  Opener(const AttachOptions& options, const policy::Policy& policy)
      : options_(options), policy_(policy) {}

  Result<void> run() {
    XF_TRY(signals, block_signals());
    signals_ = std::move(signals);
    XF_CHECK(open_events());
    vmm_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, options_.vmm, 0)));
    if (!vmm_.is_open())
      return fail(Errc::vmm_not_recognised, "there is no process {}", options_.vmm);
    XF_TRY(netdevs, datapath::find_netdevs(options_.vmm, options_.netdevs));
    XF_CHECK(start_agent(options_.agent));
    auto attached = attach(netdevs);
    if (attached) {
      announce();
      supervise();
    }
    stop_agent();
    if (!attached || is_detaching_)
      for (auto& [attachment, netns] : attachments_) {
        XF_CHECK(datapath::enter_netns(netns));
        XF_CHECK(attachment.detach());
      }
    return attached;
  }

 private:
  struct Served {
    Attachment attachment;
    Fd netns;
  };

  Result<void> open_events() {
    if (options_.events_file == "-") {
      events_ = Fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
      return {};
    }
    events_ =
        Fd(::open(options_.events_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    if (events_.is_open()) return {};
    return fail(Errc::input_invalid, "--events {}: {}", options_.events_file, std::strerror(errno));
  }

  // Forks the agent and waits until it has found the guest.
  Result<void> start_agent(const AgentOptions& options) {
    XF_TRY(vmm, guest::memory::open_vmm_memory(options_.vmm));
    XF_TRY(pair, make_control_pair());
    agent_ = ::fork();
    if (agent_ < 0) return fail(Errc::host_refused, "fork: {}", std::strerror(errno));
    if (agent_ == 0) {
      pair.opener.close();
      run_agent(std::move(pair.agent), std::move(vmm), policy_, options);
    }
    pair.agent.close();
    control_ = std::move(pair.opener);
    while (true) {
      pollfd polled[2] = {{control_.number(), POLLIN, 0}, {signals_.number(), POLLIN, 0}};
      if (::poll(polled, 2, -1) < 0 && errno != EINTR)
        return fail(Errc::host_refused, "poll: {}", std::strerror(errno));
      if (polled[0].revents != 0) {
        const auto message = receive_message(control_);
        if (message && message->type == MessageType::ready) return {};
        const std::string why =
            message ? printable(message->text) : "the agent ended before it said a word";
        stop_agent();
        return fail(Errc::guest_kernel_not_found, "{}", why);
      }
      if (polled[1].revents != 0 && wants_end()) {
        stop_agent();
        return fail(Errc::guest_kernel_not_found,
                    "interrupted while the guest's kernel was looked for");
      }
    }
  }

  Result<void> attach(std::vector<datapath::Netdev>& netdevs) {
    for (datapath::Netdev& netdev : netdevs) {
      XF_CHECK(datapath::enter_netns(netdev.netns));
      XF_TRY(attachment, Attachment::attach(netdev.name));
      attachments_.push_back({std::move(attachment), std::move(netdev.netns)});
    }
    return send_netdevs();
  }

  Result<void> send_netdevs() {
    for (auto& [attachment, netns] : attachments_) {
      XF_CHECK(datapath::enter_netns(netns));
      XF_TRY(handles, attachment.arm());
      std::vector<int> descriptors;
      for (const Fd* fd : handles.all()) descriptors.push_back(fd->number());
      if (!send_message(control_, MessageType::netdev, attachment.netdev(), Sending::waits,
                        descriptors))
        return fail(Errc::host_refused, "the agent is gone");
    }
    return {};
  }

  void announce() const {
    std::string names;
    for (const auto& [attachment, netns] : attachments_) {
      names += (names.empty() ? "" : ", ") + attachment.netdev();
      if (attachment.inherited_drops() > 0)
        names += fmt::format(" ({} drops taken over)", attachment.inherited_drops());
    }
    fmt::print(stderr, "attached to {} with {} rules; opener {}, agent {}. Ctrl-C detaches\n",
               names, policy_.rules().size(), ::getpid(), agent_);
  }

  // Passes events on and restarts a dead agent, until a signal ends it.
  void supervise() {
    auto back_off = std::chrono::duration_cast<std::chrono::milliseconds>(kFirstBackOff);
    auto started = steady_clock::now();
    while (true) {
      pollfd polled[3] = {{signals_.number(), POLLIN, 0},
                          {vmm_.number(), POLLIN, 0},
                          {control_.number(), POLLIN, 0}};
      const int timeout = control_.is_open() ? -1 : static_cast<int>(back_off.count());
      if (::poll(polled, control_.is_open() ? 3 : 2, timeout) < 0 && errno != EINTR) return;
      if (polled[0].revents != 0 && wants_end()) return;
      if (polled[1].revents != 0) {
        fmt::print(stderr, "the VMM (process {}) has ended: detaching\n", options_.vmm);
        is_detaching_ = true;
        return;
      }
      if (control_.is_open() && polled[2].revents != 0) {
        if (const auto message = receive_message(control_)) {
          pass_on(*message);
          continue;
        }
        reap_agent();
        if (steady_clock::now() - started > kLongestBackOff) back_off = kFirstBackOff;
        fmt::print(
            stderr,
            "the agent died; drops stay in force, nothing else is filtered. Next try in {} ms\n",
            back_off.count());
        continue;
      }
      if (control_.is_open()) continue;
      started = steady_clock::now();
      back_off = std::min<std::chrono::milliseconds>(back_off * 2, kLongestBackOff);
      auto restarted = start_agent({0s, options_.agent.command_lines});
      if (restarted) restarted = send_netdevs();
      if (restarted)
        fmt::print(stderr, "agent {} filters again\n", agent_);
      else
        fmt::print(stderr, "the agent could not be restarted: {}\n", restarted.error().message);
    }
  }

  void pass_on(const Message& message) {
    if (message.type == MessageType::event) {
      const std::string line = printable(message.text) + "\n";
      (void)!::write(events_.number(), line.data(), line.size());
    } else if (message.type == MessageType::note) {
      fmt::print(stderr, "{}\n", printable(message.text));
    }
  }

  // Reads what signals there are; true when one asks for the end.
  bool wants_end() {
    signalfd_siginfo info{};
    bool is_end = false;
    while (::read(signals_.number(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGINT) is_detaching_ = true;
      is_end |= info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM;
    }
    return is_end;
  }

  void reap_agent() {
    if (agent_ > 0) ::waitpid(agent_, nullptr, 0);
    agent_ = -1;
    control_.close();
  }

  // Closing the control socket asks the agent to finish; events it still has are passed on first.
  void stop_agent() {
    if (agent_ <= 0) return;
    ::shutdown(control_.number(), SHUT_WR);
    const auto give_up = steady_clock::now() + kOrderlyEnd;
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(give_up - steady_clock::now());
      pollfd polled{control_.number(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&polled, 1, static_cast<int>(left.count())) <= 0) break;
      const auto message = receive_message(control_);
      if (!message) break;
      pass_on(*message);
    }
    if (steady_clock::now() >= give_up) ::kill(agent_, SIGKILL);
    reap_agent();
  }

  const AttachOptions& options_;
  const policy::Policy& policy_;
  Fd signals_, events_, vmm_, control_;
  pid_t agent_ = -1;
  std::vector<Served> attachments_;
  bool is_detaching_ = false;
};

}  // namespace

Result<void> run_opener(const AttachOptions& options, const policy::Policy& policy) {
  return Opener(options, policy).run();
}

}  // namespace xfilter::engine
