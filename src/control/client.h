// SPDX-License-Identifier: Apache-2.0
// control/client.h: the other end of a control socket, for the command line.
//
// Threads: one. Every call waits.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace xfilter::control {

class Client {
 public:
  // host_refused when nobody serves there, or it may not be used.
  static Result<Client> connect(const std::string& path);

  // The answer when it is ok; otherwise input_invalid with what the agent says.
  Result<nlohmann::json> ask(const nlohmann::json& request);
  // The next line of a stream of events.
  Result<std::string> next_line();

 private:
  Client(Fd socket, std::string path) : socket_(std::move(socket)), path_(std::move(path)) {}

  Fd socket_;
  std::string path_;
  std::string received_;
};

}  // namespace xfilter::control
