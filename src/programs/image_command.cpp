// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "attribution/attributor.h"
#include "engine/inventory.h"
#include "programs/guest_commands.h"
#include "programs/guest_options.h"

namespace xfilter::programs {
namespace {

constexpr std::uint64_t kMostNets = 100'000, kMostAddresses = 1'000'000;
constexpr std::uint64_t kMostConnections = 10'000'000;  // nf_conntrack_max is 262,144 by default

// Looks at everything that xfilter can look at, so that its pages are noted.
Result<void> look_at_everything(engine::Guest& guest) {
  (void)engine::list_processes(guest.view());
  XF_TRY(sockets, engine::list_sockets(guest.view()));
  attribution::Attributor attributor(guest.view(), [&guest] { guest.begin_lookup(); });
  for (const auto& socket : sockets) (void)attributor.attribute(engine::packet_from(socket));
  guest::linux::LocalAddresses addresses(guest.view());
  XF_TRY(nets, guest::linux::walk_nets(guest.view(), Budget(kMostNets)));
  for (const auto& net : nets)
    for (const char* nobodys : {"0.0.0.0", "::"}) {  // so that all are looked at
      Budget devices(kMostAddresses);
      (void)addresses.has(net.at, packet::IpAddress::parse(nobodys).value(), devices);
    }
  Budget connections(kMostConnections);
  (void)guest::linux::Conntrack(guest.view()).before_nat_by_sweep({}, connections);
  return {};
}

int run(const GuestOptions& options, const std::string& file) {
  const Fd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out.is_open())
    return report({Errc::input_invalid, fmt::format("{}: {}; expected a file that can be made",
                                                    file, std::strerror(errno))});
  auto guest = open_guest(options, Recording::on);
  if (!guest) return report(guest.error());
  if (auto looked = look_at_everything(**guest); !looked) return report(looked.error());
  if (auto saved = (*guest)->save_image(out); !saved) return report(saved.error());
  return 0;
}

}  // namespace

void add_image_command(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "image", "save the pages of guest memory that xfilter reads, as a sparse raw image");
  auto options = std::make_shared<GuestOptions>();
  auto file = std::make_shared<std::string>();
  add_guest_options(*command, *options);
  command->add_option("--out", *file, "file to make")->required();
  command->callback([=, &exit_code] { exit_code = run(*options, *file); });
}

}  // namespace xfilter::programs
