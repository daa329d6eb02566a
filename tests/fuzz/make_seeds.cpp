// SPDX-License-Identifier: Apache-2.0
// Writes the first inputs of the targets whose input is bytes: packets, and the symbols and types
// of the real guests in tests/images, cut down to what xfilter reads of them.
//
//   fuzz_make_seeds CORPUS_FOLDER
#include <filesystem>
#include <fstream>

#include "guest/kernel/profile.h"
#include "guest/memory/guest_memory.h"
#include "tests/support/btf_builder.h"
#include "tests/support/image.h"
#include "tests/support/kallsyms_builder.h"
#include "tests/support/packet_builder.h"

namespace xfilter {
namespace {

using namespace support;

// Of kallsyms_fuzz.cpp: where its image starts, and where its input lies in it.
constexpr std::uint64_t kText = 0xffff'ffff'8100'0000;
constexpr std::size_t kInputAt = 1 << 16;

void write(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

void write_packets(const std::filesystem::path& folder) {
  write(folder / "tcp4", Ethernet{} / Ipv4{} / Tcp{});
  write(folder / "udp4_with_options", Ethernet{} / Ipv4{.option_words = 3} / Udp{});
  write(folder / "tcp6_in_two_vlans",
        Ethernet{} / Vlan{.id = 12} / Vlan{.id = 99} / Ipv6{} / Tcp{});
  write(folder / "udp6_with_extensions", Ethernet{} / Ipv6{} / Ipv6Extension{.type = 0} /
                                             Ipv6Extension{.type = 43} /
                                             Ipv6Extension{.type = 60, .length = 2} / Udp{});
  write(folder / "fragment6",
        Ethernet{} / Ipv6{} / Ipv6Extension{.type = 44, .fragment = 1} / Udp{});
  write(folder / "fragment4", Ethernet{} / Ipv4{.fragment = 185} / Udp{});
  write(folder / "echo4", Ethernet{} / Ipv4{} / Icmp{.identifier = 7});
  write(folder / "echo6", Ethernet{} / Ipv6{} / Icmp{.is_v6 = true, .type = 128});
  write(folder / "arp", Ethernet{.type = 0x0806} / Udp{});
}

// The structs that we read, with the members that we read, where this kernel has them.
void write_btf(const std::filesystem::path& path, const guest::kernel::Layout& layout) {
  BtfBuilder btf;
  const auto byte = btf.add_int(1);
  std::map<std::string, std::vector<BtfBuilder::Member>> structs;
  std::map<std::string, std::uint32_t> sizes;
  const auto add = [&](const std::string& type, const std::string& member,
                       guest::kernel::Member place) {
    const auto bytes = btf.add_array(byte, place.size);
    // A path becomes nested structs, the first typedef'd, as the kernel likes to.
    const auto dot = member.rfind('.');
    auto of = bytes;
    if (dot != std::string::npos)
      of = btf.add_typedef("inner_t",
                           btf.add_struct("", place.size, {{member.substr(dot + 1), bytes, 0}}));
    structs[type].push_back({member.substr(0, member.find('.')), of, place.offset});
  };
#define MEMBER(name, type, path) add(type, path, layout.name);
#define OPTIONAL(name, type, path) \
  if (layout.name) add(type, path, *layout.name);
#define SIZE(name, type) sizes[type] = layout.name;
#include "guest/kernel/layout.def"
#undef MEMBER
#undef OPTIONAL
#undef SIZE
  for (const auto& [name, members] : structs) btf.add_struct(name, sizes[name], members);
  write(path, btf.blob());
}

void write_kallsyms(const std::filesystem::path& path, KallsymsFormat format,
                    const guest::kernel::Profile& profile) {
  KallsymsInput input;
  input.format = format;
  input.text = kText;
  input.substrings = {"init_", "_base", "net", "inet", "secret"};
  for (const char* name : {"_text", "linux_banner", "init_task", "socket_file_ops", "udp_table"})
    if (const auto at = profile.symbols.find(name))
      input.symbols.push_back({name, at->value - profile.image.text.value + kText});
  while (input.symbols.size() < 300)
    input.symbols.push_back({"x", input.text + input.symbols.size()});
  write(path, KallsymsBuilder(input, kInputAt).bytes());
}

}  // namespace
}  // namespace xfilter

int main(int, char** arguments) {
  using namespace xfilter;
  const std::filesystem::path corpus = arguments[1];
  write_packets(corpus / "packet");
  for (const auto& name : image_names()) {
    const EditableRam ram(name);
    guest::memory::GuestMemory memory(ram);
    const auto profile = guest::kernel::find_profile(memory).value();
    write_btf(corpus / "btf" / name, profile.layout);
    if (name != "6.12") continue;  // one is enough: the formats differ, the symbols do not
    const auto folder = corpus / "kallsyms";
    write_kallsyms(folder / "up_to_6_1", KallsymsFormat::up_to_6_1, profile);
    write_kallsyms(folder / "from_6_2", KallsymsFormat::from_6_2, profile);
    write_kallsyms(folder / "from_6_4", KallsymsFormat::from_6_4, profile);
    write_kallsyms(folder / "from_7_0", KallsymsFormat::from_7_0, profile);
  }
}
