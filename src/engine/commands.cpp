// SPDX-License-Identifier: Apache-2.0
#include "engine/commands.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "policy/asked.h"
#include "policy/explain.h"
#include "policy/json.h"
#include "policy/lint.h"
#include "policy/lowering.h"
#include "policy/match.h"
#include "policy/parse.h"
#include "store/wire.h"

namespace xfilter::engine {
namespace {

using control::Request;
using control::Role;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::int64_t kMostHistory = 1'000;
constexpr std::int64_t kUsualHistory = 20;
constexpr std::size_t kMostUses = 2 * policy::kMostRules;
constexpr std::size_t kMostWarnings = 20;
constexpr std::size_t kLargestWhy = 1'000, kLongestWhat = 1'000;

// A member of a request; `what` is for people.
template <class Value>
Result<Value> member(const json& body, const char* name, const char* what) {
  const auto found = body.find(name);
  if (found == body.end()) return fail(Errc::input_invalid, "\"{}\" is missing: {}", name, what);
  try {
    return found->get<Value>();
  } catch (const json::exception&) {
    return fail(Errc::input_invalid, "\"{}\" has the wrong type: expected {}", name, what);
  }
}

bool has_flag(const json& body, const char* name) {
  const auto found = body.find(name);
  return found != body.end() && found->is_boolean() && found->get<bool>();
}

Result<std::optional<SourceFile>> file_of(const json& body, const char* name) {
  if (!body.contains(name)) return std::nullopt;
  constexpr const char* kWhat = "an object with path and text";
  XF_TRY(file, member<json>(body, name, kWhat));
  if (!file.is_object()) return fail(Errc::input_invalid, "\"{}\": expected {}", name, kWhat);
  XF_TRY(path, member<std::string>(file, "path", "the file's name"));
  XF_TRY(text, member<std::string>(file, "text", "what is in the file"));
  return SourceFile{std::move(path), std::move(text)};
}

Result<std::vector<int>> rule_numbers(const json& body, const char* name) {
  constexpr const char* kWhat = "the numbers of rules, of added:NUMBER";
  XF_TRY(list, member<std::vector<json>>(body, name, kWhat));
  std::vector<int> numbers;
  for (const json& number : list) {
    constexpr std::uint64_t kLargest = std::numeric_limits<int>::max();
    if (!number.is_number_unsigned() || number.get<std::uint64_t>() > kLargest)
      return fail(Errc::input_invalid, "\"{}\": expected {}", name, kWhat);
    numbers.push_back(number.get<int>());
  }
  return numbers;
}

std::string utc(std::chrono::sys_seconds time) {
  return fmt::format("{:%FT%TZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

}  // namespace

// What is asked at once, and what changes the policy.
struct Commands::Question {
  const char* name;
  Role role;
  Result<Json> (Commands::*ask)(const json& body) const;
  Result<Proposal> (Commands::*change)(const Request& request) const;
  void (Commands::*begin)(const Request& request);
};

const std::vector<Commands::Question>& Commands::all_questions() {
  static const std::vector<Question> all = {
      {"status", Role::reads, &Commands::status, nullptr, nullptr},
      {"rules", Role::reads, &Commands::rules, nullptr, nullptr},
      {"sources", Role::reads, &Commands::sources, nullptr, nullptr},
      {"explain", Role::reads, &Commands::explain, nullptr, nullptr},
      {"plan", Role::reads, &Commands::plan, nullptr, nullptr},
      {"history", Role::reads, nullptr, nullptr, &Commands::history},
      {"add", Role::operates, nullptr, &Commands::add, nullptr},
      {"del", Role::operates, nullptr, &Commands::remove, nullptr},
      {"reload", Role::operates, nullptr, &Commands::reload, nullptr},
      {"mode", Role::operates, nullptr, &Commands::set_mode, nullptr},
      {"undo", Role::operates, nullptr, nullptr, &Commands::undo},
  };
  return all;
}

Commands::Commands(std::string vm, Rulebook book, Rulebook::UseTable uses, PacketPath& path,
                   Eyes& eyes, OpenerLink& link, CommandLines command_lines)
    : vm_(std::move(vm)),
      book_(std::move(book)),
      uses_(std::move(uses)),
      path_(path),
      eyes_(eyes),
      link_(link),
      command_lines_(command_lines) {
  path_.put_in_force(book_.policy(), book_.mode());
  // What is in force is the last that the store would forget.
  for (const std::string& name : book_.use_names())
    if (uses_.contains(name)) unsaved_.push_back(name);
}

void Commands::handle(Request request) {
  const auto name = member<std::string>(request.body, "do", "what to do");
  if (!name) return server_->refuse(request.client, name.error().message);
  if (*name == "events") {
    server_->reply(request.client, {{"ok", true}});
    return server_->subscribe(request.client);
  }
  const auto& all = all_questions();
  const auto known =
      std::find_if(all.begin(), all.end(), [&](const Question& any) { return *name == any.name; });
  if (known == all.end()) {
    std::string names = "events";
    for (const Question& any : all) names += fmt::format(", {}", any.name);
    return server_->refuse(request.client,
                           fmt::format("\"do\" is one of {}; found \"{}\"", names, *name));
  }
  if (known->role == Role::operates && request.role != Role::operates)
    return server_->refuse(request.client,
                           fmt::format("{} may read, not change: \"{}\" is for root and the group "
                                       "given to attach with --operators",
                                       request.who, *name));
  if (known->ask != nullptr) {
    auto answer = (this->*known->ask)(request.body);
    if (!answer) return server_->refuse(request.client, answer.error().message);
    return server_->reply(request.client, *answer);
  }
  if (known->role == Role::reads) return (this->*known->begin)(request);
  waiting_.push_back({&*known, std::move(request)});
  if (!is_changing_) begin_next_change();
}

// ---- What is asked

Result<Commands::Json> Commands::status(const json&) const {
  ordered_json files = ordered_json::array(), netdevs = ordered_json::array();
  for (const SourceFile& file : book_.sources().files) files.push_back(file.path);
  for (const auto& queue : path_.queues()) {
    const xf_counters kernel = queue.counters();
    netdevs.push_back({{"name", queue.netdev()},
                       {"passed", kernel.passed},
                       {"dropped", kernel.dropped},
                       {"held", kernel.punted},
                       {"released", kernel.released},
                       {"not_held", kernel.not_held},
                       {"not_ip", kernel.not_ip},
                       {"malformed", kernel.malformed},
                       {"lost", queue.lost()}});
  }
  const auto& judged = path_.counters();
  return Json{
      {"ok", true},
      {"vm", vm_},
      {"mode", to_string(path_.mode())},
      {"agent", ::getpid()},
      {"guest", eyes_.banner()},
      {"rules", book_.policy()->rules().size()},
      {"rules_added", book_.runtime_rules().size()},
      {"files", std::move(files)},
      {"flows", path_.flows().size()},
      {"judged",
       {{"passed", judged.passed}, {"dropped", judged.dropped}, {"would_drop", judged.would_drop}}},
      {"netdevs", std::move(netdevs)}};
}

Result<Commands::Json> Commands::rules(const json&) const {
  const auto now = rule_clock();
  const auto& names = book_.use_names();
  const auto& hits = path_.hits();
  ordered_json list = ordered_json::array();
  const auto add = [&](const policy::Rule& rule, std::size_t at) {
    const auto before = uses_.find(names[at]);
    auto told = policy::to_json(rule);
    told["hits"] = hits[at] + (before == uses_.end() ? 0 : before->second.hits);
    told["age_s"] = (now - rule.loaded_at).count();
    if (rule.expires_after)
      told["expires_in_s"] =
          std::max<std::int64_t>(0, (*rule.expires_after - (now - rule.loaded_at)).count());
    if (const RuntimeRule* runtime = book_.runtime_rule(rule)) {
      told["by"] = runtime->by;
      told["why"] = runtime->why;
      told["added"] = utc(runtime->added);
    }
    list.push_back(std::move(told));
  };
  const auto& all = book_.policy()->rules();
  for (std::size_t at = 0; at < all.size(); ++at) add(all[at], at);
  ordered_json by_default = policy::to_json(book_.policy()->by_default());
  const auto before = uses_.find(names.back());
  by_default["hits"] = hits.back() + (before == uses_.end() ? 0 : before->second.hits);
  return Json{{"ok", true},
              {"mode", to_string(path_.mode())},
              {"rules", std::move(list)},
              {"default", std::move(by_default)}};
}

// As `reload` takes them.
Result<Commands::Json> Commands::sources(const json&) const {
  const auto file_json = [](const SourceFile& file) -> Json {
    return {{"path", file.path}, {"text", file.text}};
  };
  const RuleSources& all = book_.sources();
  Json answer = {{"ok", true}, {"files", Json::array()}};
  for (const SourceFile& file : all.files) answer["files"].push_back(file_json(file));
  if (all.users) answer["users"] = file_json(*all.users);
  if (all.groups) answer["groups"] = file_json(*all.groups);
  return answer;
}

Result<Commands::Json> Commands::explain(const json& body) const {
  XF_TRY(packet, member<std::string>(body, "packet", "such as tcp 10.0.0.2:4711 10.0.0.1:25"));
  const bool has_owner = body.contains("owner");
  XF_TRY(owner_text, has_owner ? member<std::string>(body, "owner", "such as pid=7 uid=33")
                               : Result<std::string>("nobody"));
  XF_TRY(asked, policy::Asked::parse(packet, owner_text));
  const char* owner_is = "as asked";
  if (!has_owner) {
    if (const JudgedFlow* flow = path_.flows().find(asked.packet.flow)) {
      owner_is = "as last judged";
      asked.packet = flow->packet;
      asked.owner = flow->owner;
      asked.netdev = flow->netdev;
    } else {
      owner_is = "as looked up now: no packet of this flow was judged";
      asked.owner = eyes_.owner_of(asked.packet);
    }
  }
  auto answer =
      policy::to_json(policy::explain(*book_.policy(), asked.subject(), rule_clock() + asked.age));
  answer["ok"] = true;
  answer["mode"] = to_string(path_.mode());
  answer["owner_is"] = owner_is;
  answer["owner"] = to_json(asked.owner, command_lines_);
  return answer;
}

Result<Commands::Json> Commands::plan(const json&) const {
  auto answer = policy::to_json(policy::lower(*book_.policy()));
  answer["ok"] = true;
  return answer;
}

void Commands::history(const Request& request) {
  const auto asked = member<std::int64_t>(request.body, "most", "a number of changes");
  const std::int64_t most = asked ? *asked : kUsualHistory;
  link_.ask(MessageType::history, std::to_string(std::clamp<std::int64_t>(most, 1, kMostHistory)),
            [this, client = request.client](Result<std::string> answer) {
              if (!answer) return server_->refuse(client, answer.error().message);
              const auto changes = store::decode_history(*answer);
              if (!changes) return server_->refuse(client, changes.error().message);
              ordered_json list = ordered_json::array();
              for (const store::PastChange& change : *changes)
                list.push_back({{"change", change.id},
                                {"time", utc(change.time)},
                                {"by", change.who},
                                {"what", change.what},
                                {"same_as", change.same_as}});
              server_->reply(client, {{"ok", true}, {"changes", std::move(list)}});
            });
}

// ---- What changes the policy

Result<Commands::Proposal> Commands::add(const Request& request) const {
  const auto rule = request.body.find("rule");
  std::string text;
  if (rule != request.body.end() && rule->is_object()) {
    XF_TRY(from_json, policy::text_of(*rule));
    text = std::move(from_json);
  } else {
    XF_TRY(as_text, member<std::string>(request.body, "rule",
                                        "a rule as text, or as an object (docs/rules.md)"));
    text = std::move(as_text);
  }
  XF_TRY(why, request.body.contains("why") ? member<std::string>(request.body, "why", "a sentence")
                                           : Result<std::string>(""));
  why.resize(std::min(why.size(), kLargestWhy));
  for (char& c : why)  // it may become the comment of a line
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  std::string what = "add " + text;
  XF_TRY(book, book_.with_rule(std::move(text), request.who, std::move(why), uses_, rule_clock()));
  return Proposal{std::move(book), std::move(what)};
}

Result<Commands::Proposal> Commands::remove(const Request& request) const {
  XF_TRY(ids, rule_numbers(request.body, "rules"));
  XF_TRY(book, book_.without_rules(ids, uses_, rule_clock()));
  const std::unordered_set<int> gone(ids.begin(), ids.end());
  std::string what = "del";
  for (const RuntimeRule& rule : book_.runtime_rules())
    if (gone.contains(rule.id)) what += fmt::format(" added:{} {};", rule.id, rule.text);
  return Proposal{std::move(book), std::move(what)};
}

Result<Commands::Proposal> Commands::reload(const Request& request) const {
  constexpr const char* kWhat = "an array of objects with path and text; the first includes others";
  XF_TRY(files, member<std::vector<json>>(request.body, "files", kWhat));
  if (files.empty() || files.size() > policy::kMostFiles)
    return fail(Errc::input_invalid, "\"files\": expected 1 to {} files, found {}",
                policy::kMostFiles, files.size());
  RuleSources sources;
  for (const json& file : files) {
    XF_TRY(source, file_of({{"file", file}}, "file"));
    sources.files.push_back(std::move(*source));
  }
  XF_TRY(users, file_of(request.body, "users"));
  XF_TRY(groups, file_of(request.body, "groups"));
  sources.users = std::move(users);
  sources.groups = std::move(groups);
  // Rules that the files have now, and that are not wanted twice.
  XF_TRY(saved, request.body.contains("saved") ? rule_numbers(request.body, "saved")
                                               : Result<std::vector<int>>(std::vector<int>()));
  XF_TRY(rest, book_.without_rules(saved, uses_, rule_clock()));
  XF_TRY(book, rest.with_sources(sources, uses_, rule_clock()));
  return Proposal{std::move(book), "reload " + sources.files.front().path};
}

Result<Commands::Proposal> Commands::set_mode(const Request& request) const {
  XF_TRY(word, member<std::string>(request.body, "mode", "enforce or observe"));
  const auto mode = mode_of(word);
  if (!mode)
    return fail(Errc::input_invalid, "\"mode\": expected enforce or observe, found \"{}\"", word);
  XF_TRY(book, book_.with_mode(*mode, uses_, rule_clock()));
  return Proposal{std::move(book), "mode " + word};
}

void Commands::undo(const Request& request) {
  std::string to;
  if (request.body.contains("to")) {
    const auto number = member<std::int64_t>(request.body, "to", "the number of a change");
    if (!number) return finish_change(fail(number.error()));
    to = std::to_string(*number);
  }
  link_.ask(MessageType::version, to, [this, request](Result<std::string> answer) {
    const auto candidate = [&]() -> Result<std::pair<Rulebook, std::int64_t>> {
      XF_TRY(bytes, std::move(answer));
      XF_TRY(version, store::decode_version(bytes));
      const std::int64_t change = version.change;
      XF_TRY(book, Rulebook::of(std::move(version), uses_, rule_clock()));
      return std::pair(std::move(book), change);
    }();
    if (!candidate) return finish_change(fail(candidate.error()));
    commit({candidate->first, request.who, fmt::format("undo to {}", candidate->second),
            candidate->second, has_flag(request.body, "yes")});
  });
}

void Commands::begin_next_change() {
  if (waiting_.empty()) return;
  const auto [question, request] = std::move(waiting_.front());
  waiting_.pop_front();
  is_changing_ = true;
  done_ = [this, client = request.client](const Result<Json>& answer) {
    if (answer)
      server_->reply(client, *answer);
    else
      server_->refuse(client, answer.error().message);
  };
  if (question->begin != nullptr) return (this->*question->begin)(request);
  auto proposal = (this->*question->change)(request);
  if (!proposal) return finish_change(fail(proposal.error()));
  commit({std::move(proposal->book), request.who, std::move(proposal->what), std::nullopt,
          has_flag(request.body, "yes")});
}

void Commands::adopt(Rulebook wanted, std::string what, Done done) {
  is_changing_ = true;
  done_ = std::move(done);
  commit({std::move(wanted), "xfilter", std::move(what), std::nullopt, true});
}

void Commands::commit(Candidate candidate) {
  store::Change change = Rulebook::difference(book_, candidate.book);
  if (change.taken.empty() && change.put.empty())
    return finish_change(Json{{"ok", true}, {"changed", false}});
  const policy::Rule* const cut = policy::cuts_off(*candidate.book.policy());
  if (cut != nullptr && policy::cuts_off(*book_.policy()) == nullptr && !candidate.may_cut_off)
    return finish_change(
        fail(Errc::input_invalid,
             "{}: {}: this cuts the VM off: nothing it sends could pass. If that is wanted, say "
             "--yes; the policy in force stays as it is",
             policy::place_of(*cut), cut->place.text));
  change.who = candidate.who;
  change.what = candidate.what.substr(0, kLongestWhat);
  change.same_as = candidate.same_as;
  const auto& rules = candidate.book.policy()->rules();
  for (std::size_t at = 0; at < rules.size(); ++at) {
    const auto& name = candidate.book.use_names()[at];
    const auto known = uses_.find(name);
    if (known == uses_.end() || known->second.loaded_at != rules[at].loaded_at)
      change.uses.push_back({name, 0, rules[at].loaded_at});
  }
  link_.ask(
      MessageType::commit, store::encode(change),
      [this, warnings = programs_not_seen(candidate.book), book = std::move(candidate.book),
       uses = change.uses](const Result<std::string>& answer) mutable {
        if (!answer)
          return finish_change(fail(Errc::host_refused, "{}; the policy in force stays as it is",
                                    answer.error().message));
        for (const store::Use& use : uses) uses_[use.rule] = use;
        Json done = {{"ok", true}, {"changed", true}, {"change", std::stoll(*answer)}};
        if (!book.runtime_rules().empty()) done["newest"] = book.runtime_rules().back().id;
        fold_hits();
        book_ = std::move(book);
        const auto again = path_.put_in_force(book_.policy(), book_.mode());
        done["warnings"] = warnings;
        done["mode"] = to_string(book_.mode());
        done["rules"] = book_.policy()->rules().size();
        done["flows"] = {{"judged_again", again.flows}, {"changed", again.changed}};
        finish_change(done);
      });
}

// Of rules that are new: a program that nobody runs is often a path with a slip in it.
std::vector<std::string> Commands::programs_not_seen(const Rulebook& candidate) const {
  struct Named {
    const policy::Rule* rule;
    const std::string* program;
  };
  const auto& before = book_.use_names();
  const std::unordered_set<std::string_view> known(before.begin(), before.end());
  const auto& rules = candidate.policy()->rules();
  std::vector<Named> named;
  for (std::size_t at = 0; at < rules.size(); ++at) {
    if (known.contains(candidate.use_names()[at])) continue;
    for (const policy::Match& match : rules[at].matches) {
      if (match.field->word != "exe" && match.field->word != "parent exe") continue;
      for (const std::string& path : match.globs)
        if (policy::is_literal(path)) named.push_back({&rules[at], &path});
    }
  }
  std::vector<std::string> warnings;
  if (named.empty()) return warnings;
  const auto seen = eyes_.programs_seen();
  if (seen.empty()) return warnings;
  for (const auto& [rule, program] : named)
    if (!seen.contains(*program) && warnings.size() < kMostWarnings)
      warnings.push_back(fmt::format("{}: no process of the guest was seen to run {}",
                                     policy::place_of(*rule), *program));
  return warnings;
}

void Commands::finish_change(const Result<Json>& answer) {
  is_changing_ = false;
  std::exchange(done_, nullptr)(answer);
  begin_next_change();
}

// ---- What rules did

void Commands::fold_hits() {
  const auto& names = book_.use_names();
  const auto& rules = book_.policy()->rules();
  const auto hits = path_.take_hits();
  for (std::size_t at = 0; at < names.size(); ++at) {
    if (hits[at] == 0) continue;
    store::Use& use = uses_[names[at]];
    use.rule = names[at];
    use.hits += hits[at];
    if (at < rules.size()) use.loaded_at = rules[at].loaded_at;
    unsaved_.push_back(names[at]);
  }
  if (uses_.size() <= kMostUses) return;
  // Of rules long gone, most of them.
  const std::unordered_set<std::string_view> in_force(names.begin(), names.end());
  std::erase_if(uses_, [&](const auto& use) { return !in_force.contains(use.first); });
}

void Commands::save_uses() {
  fold_hits();
  std::vector<store::Use> uses;
  for (const std::string& name : unsaved_)
    if (const auto use = uses_.find(name); use != uses_.end()) uses.push_back(use->second);
  if (link_.try_to_send(MessageType::uses, store::encode(uses))) unsaved_.clear();
}

}  // namespace xfilter::engine
