// SPDX-License-Identifier: Apache-2.0
// Rule files. The input is the text; what is wrong in it is also told.
#include "policy/parse.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xfilter;
  static const auto names =
      policy::Names::parse("root:x:0:0\nalice:x:1000:1000\n", "names").value();
  const policy::Surroundings surroundings{
      &names, &names, [](const std::string&) { return Result<std::string>("drop tcp uid @s"); }};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = policy::parse(text, "fuzz.rules", surroundings);
  if (!parsed) {
    fuzz::expect(!parsed.error().empty(), "refused without a reason");
    fuzz::expect(!policy::render(parsed.error()).empty(), "a reason without a text");
    return 0;
  }
  packet::Packet packet;
  packet.kind = packet::Kind::ip;
  packet.flow = {packet::IpAddress::v4(0x0a000002),
                 packet::IpAddress::v4(0x0a000001),
                 packet::protocol::tcp,
                 4711,
                 25,
                 0};
  model::Process spammer;
  spammer.id = {7, std::chrono::seconds(3)};
  spammer.uid = 1000;
  spammer.comm = "spam";
  spammer.exe = "/home/alice/spam";
  model::Owner owner;
  owner.confidence = model::Confidence::exact;
  owner.processes.push_back(std::make_shared<const model::Process>(spammer));
  for (const model::Owner& asked : {owner, model::Owner{}}) {
    const auto decided = parsed->decide({packet, asked}),
               tried = parsed->decide_by_trying_all({packet, asked});
    fuzz::expect(decided.rule == tried.rule && decided.observed == tried.observed,
                 "the index finds another rule than trying all");
  }
  return 0;
}
