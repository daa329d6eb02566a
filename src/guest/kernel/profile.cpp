// SPDX-License-Identifier: Apache-2.0
#include "guest/kernel/profile.h"

#include <algorithm>

namespace xfilter::guest::kernel {
namespace {

using memory::GuestMemory;
using memory::kHighRam;
using paging::VirtualMemory;

constexpr std::size_t kLongestBanner = 512;
constexpr std::size_t kLargestBtf = 64 << 20;  // a guess: ten times what distributions have
constexpr std::string_view kIdleComm = "swapper/0";

// What we ask kallsyms for. Some exist on some kernels only; those are asked for with find().
constexpr std::array<std::string_view, 30> kWantedSymbols = {
    "_text",
    "linux_banner",
    "init_task",
    "init_top_pgt",
    "phys_base",
    "page_offset_base",
    "max_pfn",
    "jiffies_64",
    "__start_BTF",
    "__stop_BTF",
    "socket_file_ops",
    "init_net",
    "udp_table",
    "net_namespace_list",
    "sysctl_bootid",
    "raw_v4_hashinfo",
    "raw_v6_hashinfo",
    "ping_table",
    "modules",
    "nf_conntrack_hash",
    "nf_conntrack_htable_size",
    "nf_conntrack_hash_rnd",
    "init_pid_ns",
    "runqueues",
    "__per_cpu_offset",
    "nr_cpu_ids",
    "net_hotdata",
    "inet_ehash_secret",
    "inet6_ehash_secret",
    "ipv6_hash_secret",
};

// The kernel image as its own linear range; enough for everything that is a variable of the kernel.
VirtualMemory image_memory(const GuestMemory& memory, const KernelImage& image,
                           paging::PageTableRoot root) {
  VirtualMemory space(memory, root);
  space.add_linear_range({image.text, image.text_phys, image.size});
  return space;
}

Result<std::string> read_banner(const VirtualMemory& space, const Symbols& symbols) {
  XF_TRY(at, symbols.need("linux_banner"));
  XF_TRY(banner, space.read_string(at, kLongestBanner));
  if (!banner.starts_with("Linux version "))
    return fail(Errc::guest_kernel_not_found,
                "linux_banner at {} does not start with \"Linux version \"", at);
  banner.erase(banner.find_last_not_of('\n') + 1);
  return banner;
}

Result<Btf> read_btf(const VirtualMemory& space, const Symbols& symbols,
                     const std::string& banner) {
  const auto start = symbols.find("__start_BTF");
  const auto stop = symbols.find("__stop_BTF");
  if (!start || !stop || *stop <= *start)
    return fail(
        Errc::profile_lacks_symbol,
        "the guest's kernel carries no BTF (type information), so its structures cannot be read: "
        "{}. "
        "It must be built with CONFIG_DEBUG_INFO_BTF=y, as distribution kernels since 2020 are",
        banner);
  const std::uint64_t size = stop->value - start->value;
  if (size > kLargestBtf)
    return fail(Errc::guest_data_invalid, "BTF from {} to {} has {} bytes, more than {} MiB",
                *start, *stop, size, kLargestBtf >> 20);
  std::vector<std::byte> blob(size);
  XF_CHECK(space.read(*start, blob));
  return Btf::parse(std::move(blob));
}

Result<Layout> resolve_layout(const Btf& btf) {
  Layout layout;
#define MEMBER(name, type, path)                      \
  if (const auto found = btf.find_member(type, path)) \
    layout.name = *found;                             \
  else                                                \
    return fail(Errc::profile_lacks_member, "the guest kernel's BTF has no {}.{}", type, path);
#define OPTIONAL(name, type, path) layout.name = btf.find_member(type, path);
#define SIZE(name, type)                      \
  if (const auto found = btf.find_size(type)) \
    layout.name = *found;                     \
  else                                        \
    return fail(Errc::profile_lacks_member, "the guest kernel's BTF has no struct {}", type);
#include "guest/kernel/layout.def"
#undef MEMBER
#undef OPTIONAL
#undef SIZE
  return layout;
}

// Where the low piece of RAM ends. The kernel knows where all of RAM ends; the rest is arithmetic,
// since the high piece starts at 4 GiB and the two together are the block we have.
Result<void> find_ram_split(GuestMemory& memory, std::uint64_t ram_end, const KernelImage& image) {
  const std::uint64_t size = memory.ram().size();
  std::uint64_t low = size;
  if (ram_end > kHighRam && ram_end > size) {
    if (ram_end - kHighRam > size)
      return fail(Errc::guest_data_invalid,
                  "the guest's kernel says that RAM ends at {:#x}, but the VMM's block has {:#x} "
                  "bytes: memory in "
                  "several blocks (hot-plug, NUMA) is not supported",
                  ram_end, size);
    low = size - (ram_end - kHighRam);
  } else if (ram_end > size) {
    return fail(Errc::guest_data_invalid,
                "the guest's kernel says that RAM ends at {:#x}, but there are only {:#x} bytes: "
                "the image is cut "
                "short, or this is not all of the guest's memory",
                ram_end, size);
  }
  if (memory.low_size() != size && memory.low_size() != low)
    return fail(Errc::guest_data_invalid,
                "RAM below 4 GiB ends at {:#x} by its end, at {:#x} by the page tables", low,
                memory.low_size());
  if (image.text_phys.value < kHighRam && image.text_phys.value + image.size > low)
    return fail(Errc::guest_data_invalid, "the kernel at {} lies beyond the end of low RAM {:#x}",
                image.text_phys, low);
  memory.set_low_size(low);
  return {};
}

// init_task.comm is "swapper/0" once the scheduler runs; its list of tasks closes in both
// directions.
Result<void> check_init_task(const VirtualMemory& space, VirtAddr init_task, const Layout& layout) {
  XF_TRY(comm, space.read_string(init_task + layout.task_comm.offset, 16));
  if (comm != kIdleComm && comm != "swapper")
    return fail(Errc::guest_kernel_not_found,
                "init_task at {} has the name \"{}\", expected \"{}\"", init_task, comm, kIdleComm);
  const VirtAddr head = init_task + layout.task_tasks.offset;
  XF_TRY(next, space.read_pointer(head));
  XF_TRY(back, space.read_pointer(next + 8));
  if (back != head || next == head)
    return fail(Errc::guest_kernel_not_found,
                "the list of tasks is empty or not consistent: the kernel is starting");
  return {};
}

}  // namespace

VirtualMemory Profile::address_space(const GuestMemory& memory) const {
  VirtualMemory space = image_memory(memory, image, root);
  // The direct map has all of RAM; page_offset_base was checked against the page tables.
  space.add_linear_range({page_offset, PhysAddr{0}, ram_end});
  return space;
}

Result<Profile> find_profile(GuestMemory& memory) {
  Profile profile;
  XF_TRY(image, find_kernel_image(memory));
  profile.image = image;
  XF_TRY(symbols, read_kallsyms(memory, image, kWantedSymbols));
  profile.symbols = std::move(symbols);
  const Symbols& known = profile.symbols;

  XF_TRY(top, known.need("init_top_pgt"));
  if (top < image.text || top.value - image.text.value >= image.size)
    return fail(Errc::guest_data_invalid, "init_top_pgt at {} is not in the kernel image", top);
  profile.root = {image.text_phys + (top.value - image.text.value), image.levels};
  const VirtualMemory variables = image_memory(memory, image, profile.root);
  XF_TRY(banner, read_banner(variables, known));
  profile.banner = std::move(banner);

  XF_TRY(max_pfn_at, known.need("max_pfn"));
  XF_TRY(max_pfn, variables.read_value<std::uint64_t>(max_pfn_at));
  if (max_pfn == 0 || max_pfn > (1ULL << 40))
    return fail(Errc::guest_kernel_not_found,
                "max_pfn is {:#x}: the kernel has not sized its memory yet", max_pfn);
  profile.ram_end = max_pfn * kPageSize;
  XF_CHECK(find_ram_split(memory, profile.ram_end, image));

  XF_TRY(page_offset_at, known.need("page_offset_base"));
  XF_TRY(page_offset, variables.read_pointer(page_offset_at));
  profile.page_offset = page_offset;
  // The page tables must agree that the direct map starts there: look the image up through it.
  const VirtualMemory walked(memory, profile.root);
  XF_TRY(image_in_direct_map, walked.translate(page_offset + image.text_phys.value));
  if (image_in_direct_map.at != image.text_phys)
    return fail(Errc::guest_data_invalid,
                "page_offset_base {} leads to {}, expected the kernel at {}", page_offset,
                image_in_direct_map.at, image.text_phys);

  XF_TRY(btf, read_btf(variables, known, profile.banner));
  XF_TRY(layout, resolve_layout(btf));
  profile.layout = layout;
  XF_TRY(init_task, known.need("init_task"));
  XF_CHECK(known.need("socket_file_ops"));
  XF_CHECK(known.need("init_net"));
  XF_CHECK(known.need("jiffies_64"));
  XF_CHECK(check_init_task(profile.address_space(memory), init_task, profile.layout));
  return profile;
}

Result<void> Profile::still_holds(const GuestMemory& memory, std::uint64_t& jiffies) const {
  const VirtualMemory space = image_memory(memory, image, root);
  XF_TRY(banner_at, symbols.need("linux_banner"));
  XF_TRY(seen, space.read_string(banner_at, banner.size()));
  if (seen != banner)
    return fail(Errc::guest_kernel_not_found, "the kernel's banner is gone from {}", banner_at);
  XF_TRY(init_task, symbols.need("init_task"));
  XF_CHECK(check_init_task(address_space(memory), init_task, layout));
  XF_TRY(jiffies_at, symbols.need("jiffies_64"));
  XF_TRY(now, space.read_value<std::uint64_t>(jiffies_at));
  if (now < jiffies)
    return fail(Errc::guest_kernel_not_found, "the kernel's jiffies went back: it has rebooted");
  jiffies = now;
  return {};
}

}  // namespace xfilter::guest::kernel
