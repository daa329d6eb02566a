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

#include "base/number.h"
#include "control/address.h"
#include "datapath/attachment.h"
#include "datapath/netdev.h"
#include "engine/agent_link.h"
#include "engine/event_log.h"
#include "store/wire.h"

namespace xfilter::engine {
namespace {

using datapath::Attachment;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kFirstBackOff = 500ms;
constexpr auto kLongestBackOff = 30s;
constexpr auto kEventBatch = 1s;              // how long events wait to be stored together
constexpr std::size_t kMostUnstored = 1'000;  // events; then they do not wait longer
constexpr auto kOrderlyEnd = 3s;              // an agent that has not ended by then is killed

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
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Fd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.is_open()) return fail(Errc::host_refused, "signalfd: {}", std::strerror(errno));
  return signals;
}

class Opener {
 public:
  Opener(AttachOptions options, Fd vmm, store::Store store, EventLog events, Fd listening)
      : options_(std::move(options)),
        vmm_(std::move(vmm)),
        store_(std::move(store)),
        events_(std::move(events)),
        listening_(std::move(listening)) {}
  ~Opener() { ::unlink(options_.control_socket.c_str()); }
  Opener(const Opener&) = delete;
  Opener& operator=(const Opener&) = delete;

  Result<void> run(std::vector<datapath::Netdev> netdevs) {
    XF_TRY(signals, block_signals());
    signals_ = std::move(signals);
    XF_CHECK(start_agent());
    auto attached = attach(netdevs);
    if (attached) {
      announce();
      supervise();
    }
    stop_agent();
    store_events();
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

  // Forks the agent and waits until it has found the guest.
  Result<void> start_agent() {
    XF_TRY(vmm, guest::memory::open_vmm_memory(options_.vmm));
    XF_TRY(version, store_.current());
    XF_TRY(uses, store_.uses());
    XF_TRY(pair, make_link());
    agent_ = ::fork();
    if (agent_ < 0) return fail(Errc::host_refused, "fork: {}", std::strerror(errno));
    if (agent_ == 0) {
      pair.opener.close();
      run_agent(std::move(pair.agent), std::move(listening_), std::move(vmm),
                {std::move(version), std::move(uses)}, options_.agent);
    }
    pair.agent.close();
    link_ = std::move(pair.opener);
    XF_CHECK(wait_until_ready());
    // Those that follow go on with what is stored, and know that there is a guest.
    options_.agent.sources.reset();
    options_.agent.mode.reset();
    options_.agent.wait_for_guest = 0s;
    return {};
  }

  Result<void> wait_until_ready() {
    while (true) {
      pollfd polled[2] = {{link_.number(), POLLIN, 0}, {signals_.number(), POLLIN, 0}};
      if (::poll(polled, 2, -1) < 0 && errno != EINTR)
        return fail(Errc::host_refused, "poll: {}", std::strerror(errno));
      if (polled[0].revents != 0) {
        const auto message = receive_message(link_);
        if (message && message->type == MessageType::ready) {
          in_force_ = printable(message->text);
          return {};
        }
        if (message && message->type != MessageType::failed) {
          take(*message);
          continue;
        }
        const std::string why = message ? message->text : "the agent ended before it said a word";
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
      if (!send_message(link_, MessageType::netdev, attachment.netdev(), Sending::waits,
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
    fmt::print(stderr, "attached to {} as {}: {}; opener {}, agent {}. Ctrl-C detaches\n", names,
               options_.agent.vm, in_force_, ::getpid(), agent_);
  }

  // Passes events on and restarts a dead agent, until a signal ends it.
  void supervise() {
    auto back_off = std::chrono::duration_cast<std::chrono::milliseconds>(kFirstBackOff);
    auto started = steady_clock::now();
    while (true) {
      pollfd polled[3] = {
          {signals_.number(), POLLIN, 0}, {vmm_.number(), POLLIN, 0}, {link_.number(), POLLIN, 0}};
      const auto longest = std::chrono::duration_cast<std::chrono::milliseconds>(kEventBatch);
      const int timeout = static_cast<int>((link_.is_open() ? longest : back_off).count());
      if (::poll(polled, link_.is_open() ? 3 : 2, timeout) < 0 && errno != EINTR) return;
      if (steady_clock::now() - stored_ > kEventBatch || unstored_.size() >= kMostUnstored)
        store_events();
      if (polled[0].revents != 0 && wants_end()) return;
      if (polled[1].revents != 0) {
        fmt::print(stderr, "the VMM (process {}) has ended: detaching\n", options_.vmm);
        is_detaching_ = true;
        return;
      }
      if (link_.is_open() && polled[2].revents != 0) {
        if (const auto message = receive_message(link_)) {
          take(*message);
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
      if (link_.is_open()) continue;
      started = steady_clock::now();
      back_off = std::min<std::chrono::milliseconds>(back_off * 2, kLongestBackOff);
      auto restarted = start_agent();
      if (restarted) restarted = send_netdevs();
      if (restarted)
        fmt::print(stderr, "agent {} filters again\n", agent_);
      else
        fmt::print(stderr, "the agent could not be restarted: {}\n", restarted.error().message);
    }
  }

  void take(const Message& message) {
    switch (message.type) {
      case MessageType::event:
        if (message.text.size() > kLargestInline) return;  // no event is
        unstored_.push_back(printable(message.text));
        events_.write(unstored_.back());
        return;
      case MessageType::note:
        return tell(printable(message.text));
      case MessageType::uses:
        if (const auto uses = store::decode_uses(message.text);
            uses && uses->size() < store::kMostUses)
          tell_once(store_.save_uses(*uses));
        return;
      case MessageType::commit:
        return answer([&]() -> Result<std::string> {
          XF_TRY(change, store::decode_change(message.text));
          XF_TRY(number, store_.commit(change));
          return std::to_string(number);
        }());
      case MessageType::version:
        return answer([&]() -> Result<std::string> {
          XF_TRY(number, number_in(message.text));
          XF_TRY(version, store_.version(number));
          return store::encode(version);
        }());
      case MessageType::history:
        return answer([&]() -> Result<std::string> {
          XF_TRY(most, number_in(message.text));
          XF_TRY(changes, store_.history(most.value_or(1)));
          return store::encode(changes);
        }());
      default:
        return;  // not for an agent to say
    }
  }

  static Result<std::optional<std::int64_t>> number_in(const std::string& text) {
    const auto number = number_of<std::int64_t>(text);
    if (!number && !text.empty()) return fail(Errc::input_invalid, "expected a number");
    return number;
  }

  // A healthy agent has room for its answers. One that loses an answer would wait for it for ever,
  // or take the next for it.
  void answer(const Result<std::string>& answer) {
    if (answer && send_message(link_, MessageType::answer, *answer, Sending::drops_when_full))
      return;
    const std::string why = answer ? "the answer is too large" : answer.error().message;
    if (!send_message(link_, MessageType::refusal, why, Sending::drops_when_full))
      ::kill(agent_, SIGKILL);
  }

  void store_events() {
    stored_ = steady_clock::now();
    if (!unstored_.empty()) {
      tell_once(store_.add_events(unstored_));
      unstored_.clear();
    }
    if (const auto lost = events_.take_lost(); lost > 0)
      tell(fmt::format("{} events were not taken by {}", lost, options_.events));
  }

  static void tell(const std::string& sentence) { fmt::print(stderr, "{}\n", sentence); }
  // What goes wrong again and again, as with a full disk, is told when it begins and when it ends.
  void tell_once(const Result<void>& stored) {
    if (stored.has_value() == is_storing_) return;
    is_storing_ = stored.has_value();
    tell(is_storing_ ? "events and hits are stored again"
                     : stored.error().message + "; events and hits are not stored meanwhile");
  }

  // Reads what signals there are; true when one asks for the end.
  bool wants_end() {
    signalfd_siginfo info{};
    bool is_end = false;
    while (::read(signals_.number(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGINT) is_detaching_ = true;
      if (info.ssi_signo == SIGHUP)
        if (auto opened = events_.reopen(); !opened) tell(opened.error().message);
      is_end |= info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM;
    }
    return is_end;
  }

  void reap_agent() {
    // It has ended, or says what is no message: then it would not end by itself.
    if (agent_ > 0) ::kill(agent_, SIGKILL);
    if (agent_ > 0) ::waitpid(agent_, nullptr, 0);
    agent_ = -1;
    link_.close();
  }

  // Closing the control socket asks the agent to finish; events it still has are passed on first.
  void stop_agent() {
    if (agent_ <= 0) return;
    ::shutdown(link_.number(), SHUT_WR);
    const auto give_up = steady_clock::now() + kOrderlyEnd;
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(give_up - steady_clock::now());
      pollfd polled{link_.number(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&polled, 1, static_cast<int>(left.count())) <= 0) break;
      const auto message = receive_message(link_);
      if (!message) break;
      take(*message);
    }
    if (steady_clock::now() >= give_up) ::kill(agent_, SIGKILL);
    reap_agent();
  }

  AttachOptions options_;
  Fd vmm_;  // as a pidfd
  store::Store store_;
  EventLog events_;
  std::vector<std::string> unstored_;  // events
  steady_clock::time_point stored_ = steady_clock::now();
  bool is_storing_ = true;
  Fd listening_, signals_, link_;
  pid_t agent_ = -1;
  std::string in_force_;  // as the agent says it
  std::vector<Served> attachments_;
  bool is_detaching_ = false;
};

}  // namespace

Result<void> run_opener(AttachOptions options) {
  Fd vmm(static_cast<int>(::syscall(SYS_pidfd_open, options.vmm, 0)));
  if (!vmm.is_open()) return fail(Errc::vmm_not_recognised, "there is no process {}", options.vmm);
  // Nothing is made on disk for a VM that cannot be filtered.
  XF_TRY(netdevs, datapath::find_netdevs(options.vmm, options.netdevs));
  XF_TRY(store, store::Store::open(options.store, options.store_subject, options.limits));
  XF_TRY(events, EventLog::open(options.events));
  XF_TRY(listening, control::listen_at(options.control_socket));
  return Opener(std::move(options), std::move(vmm), std::move(store), std::move(events),
                std::move(listening))
      .run(std::move(netdevs));
}

}  // namespace xfilter::engine
