// SPDX-License-Identifier: Apache-2.0
// engine/commands.h: what can be asked of a running agent through its control socket, and done.
// docs/control.md lists it.
//
// A change of the policy is parsed, stored by the opener, and then put in force between two
// packets; only then it is answered. Changes come one after the other; packets and questions do
// not wait for them. Threads: one, the agent's.
#pragma once

#include <deque>
#include <functional>

#include "control/server.h"
#include "engine/eyes.h"
#include "engine/opener_link.h"
#include "engine/packet_path.h"
#include "engine/rulebook.h"

namespace xfilter::engine {

class Commands {
 public:
  // `book` is in force in `path` from now on. Everything else is borrowed.
  Commands(std::string vm, Rulebook book, Rulebook::UseTable uses, PacketPath& path, Eyes& eyes,
           OpenerLink& link, CommandLines command_lines);
  void answer_through(control::Server& server) { server_ = &server; }

  // A change that no client asks for, before the first client can come.
  using Done = std::function<void(Result<nlohmann::ordered_json>)>;
  void adopt(Rulebook wanted, std::string what, Done done);
  bool is_changing() const { return is_changing_; }

  void handle(control::Request request);
  // Tells the store what the rules did since the last time.
  void save_uses();

  const Rulebook& book() const { return book_; }

 private:
  using Json = nlohmann::ordered_json;
  struct Question;  // the table of what can be asked
  static const std::vector<Question>& all_questions();

  Result<Json> status(const nlohmann::json& body) const;
  Result<Json> rules(const nlohmann::json& body) const;
  Result<Json> sources(const nlohmann::json& body) const;
  Result<Json> explain(const nlohmann::json& body) const;
  Result<Json> plan(const nlohmann::json& body) const;

  struct Proposal {
    Rulebook book;
    std::string what;  // for the history
  };
  Result<Proposal> add(const control::Request& request) const;
  Result<Proposal> remove(const control::Request& request) const;
  Result<Proposal> reload(const control::Request& request) const;
  Result<Proposal> set_mode(const control::Request& request) const;
  void undo(const control::Request& request);
  void history(const control::Request& request);

  void begin_next_change();
  struct Candidate {
    Rulebook book;
    std::string who, what;
    std::optional<std::int64_t> same_as;  // an undo
    bool may_cut_off = false;
  };
  void commit(Candidate candidate);
  void fold_hits();
  std::vector<std::string> programs_not_seen(const Rulebook& candidate) const;
  void finish_change(const Result<Json>& answer);

  std::string vm_;
  Rulebook book_;
  Rulebook::UseTable uses_;
  std::vector<std::string> unsaved_;  // uses that changed since they were saved
  PacketPath& path_;
  Eyes& eyes_;
  OpenerLink& link_;
  CommandLines command_lines_;
  control::Server* server_ = nullptr;
  struct Waiting {
    const Question* question;
    control::Request request;
  };
  std::deque<Waiting> waiting_;  // changes
  bool is_changing_ = false;
  Done done_;  // of the change that is under way
};

}  // namespace xfilter::engine
