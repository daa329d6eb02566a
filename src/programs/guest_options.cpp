// SPDX-License-Identifier: Apache-2.0
#include "programs/guest_options.h"

#include <chrono>
#include <thread>

#include "engine/confinement.h"
#include "guest/memory/image_ram.h"

namespace xfilter::programs {

void add_guest_options(CLI::App& command, GuestOptions& options) {
  auto* pid =
      command.add_option("--pid", options.pid, "process id of the VMM (QEMU, Firecracker, ...)");
  auto* image = command.add_option("--image", options.image,
                                   "raw image of guest memory; needs no privileges");
  pid->excludes(image);
  command
      .add_option("--wait", options.wait_seconds,
                  "seconds to wait for a guest that is still booting")
      ->check(CLI::NonNegativeNumber);
}

Result<std::unique_ptr<engine::Guest>> open_guest(const GuestOptions& options,
                                                  Recording recording) {
  std::unique_ptr<engine::Guest> guest;
  if (!options.image.empty()) {
    XF_TRY(ram, guest::memory::ImageRam::open(options.image));
    guest = engine::Guest::of_ram(std::move(ram));
  } else if (options.pid > 0) {
    XF_TRY(vmm, guest::memory::open_vmm_memory(options.pid));
    guest = engine::Guest::of_vmm(std::move(vmm));
  } else {
    return fail(Errc::input_invalid, "which guest? Give --pid PID of a VMM or --image FILE");
  }
  XF_CHECK(engine::confine(engine::Confinement::reader));
  if (recording == Recording::on) guest->record_pages();

  const auto give_up =
      std::chrono::steady_clock::now() + std::chrono::seconds(options.wait_seconds);
  while (true) {
    auto found = guest->find();
    if (found) return guest;
    if (std::chrono::steady_clock::now() >= give_up ||
        found.error().code != Errc::guest_kernel_not_found)
      return fail(found.error());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

CLI::App* add_view_command(CLI::App& app, const std::string& name, const std::string& help,
                           std::function<int(engine::Guest&, Shape)> show, int& exit_code) {
  auto* command = app.add_subcommand(name, help);
  auto options = std::make_shared<GuestOptions>();
  auto as_json = std::make_shared<bool>(false);
  add_guest_options(*command, *options);
  command->add_flag("--json", *as_json, "print JSON in place of a table");
  command->callback([=, &exit_code] {
    auto guest = open_guest(*options);
    exit_code =
        guest ? show(**guest, *as_json ? Shape::json : Shape::table) : report(guest.error());
  });
  return command;
}

int report(const Error& error) {
  fmt::print(stderr, "xfilter: {}\n", error.message);
  return 1;
}

}  // namespace xfilter::programs
