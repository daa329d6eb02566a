// SPDX-License-Identifier: Apache-2.0
// engine/event_log.h: where events go beside the store: a file, standard output, or somebody's
// unix socket, as Suricata's EVE does (filetype unix_stream).
//
// A socket that nobody listens at, or that takes nothing more, costs events and never waiting.
// Threads: one.
#pragma once

#include <chrono>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace xfilter::engine {

class EventLog {
 public:
  // "-", a file, or unix:PATH; empty: nowhere. A socket need not be there yet.
  static Result<EventLog> open(const std::string& where);

  void write(const std::string& line);  // without its newline
  // After somebody moved the file away. The old one stays in use when the new one cannot be opened.
  Result<void> reopen();
  // Events that a socket did not take since the last call.
  std::uint64_t take_lost() { return std::exchange(lost_, 0); }

 private:
  explicit EventLog(std::string where) : where_(std::move(where)) {}
  bool is_socket() const { return where_.starts_with("unix:"); }
  void connect();

  std::string where_;
  Fd file_;
  std::string unsent_;  // the rest of a line that a socket took a part of
  std::uint64_t lost_ = 0;
  std::chrono::steady_clock::time_point tried_{};  // to connect
};

}  // namespace xfilter::engine
