// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/modules.h"

#include <algorithm>

#include "base/bytes.h"

namespace xfilter::guest::linux {
namespace {

constexpr std::uint64_t kMostModules = 2'000;   // distributions load some hundred
constexpr std::uint32_t kMostSymbols = 65'536;  // the largest modules have some ten thousand
constexpr std::size_t kNameLength = 56;         // MODULE_NAME_LEN
constexpr std::size_t kLongestSymbol = 128;
constexpr std::size_t kElfSymbol = 24;  // sizeof(Elf64_Sym)

Result<std::string> read_name(const View& view, VirtAddr module) {
  return view.space().read_string(module + view.layout().module_name.offset, kNameLength);
}

// "nf_conntrack_hash_rnd.3" -> "nf_conntrack_hash_rnd"
std::string_view without_suffix(std::string_view name) {
  const auto dot = name.find('.');
  const bool is_numbered = dot != std::string_view::npos && dot + 1 < name.size() &&
                           name[dot + 1] >= '0' && name[dot + 1] <= '9';
  return is_numbered ? name.substr(0, dot) : name;
}

}  // namespace

Result<std::optional<Module>> find_module(const View& view, std::string_view name) {
  XF_TRY(head, view.profile().symbols.need("modules"));
  std::optional<Module> found;
  Budget budget(kMostModules);
  XF_CHECK(walk_list(view, head, view.layout().module_list, budget, "list of modules",
                     [&](VirtAddr at) -> Result<void> {
                       if (found) return {};
                       XF_TRY(its_name, read_name(view, at));
                       if (its_name == name) found = Module{at, std::move(its_name)};
                       return {};
                     }));
  return found;
}

bool is_loaded(const View& view, const Module& module) {
  const VirtAddr links = module.at + view.layout().module_list.offset;
  const auto name = read_name(view, module.at);
  if (!name || *name != module.name) return false;
  const auto next = view.space().read_pointer(links);
  if (!next) return false;
  const auto back = view.space().read_pointer(*next + 8);
  return back && *back == links;
}

Result<kernel::Symbols> read_symbols(const View& view, const Module& module,
                                     std::span<const std::string_view> wanted) {
  const auto& layout = view.layout();
  XF_TRY(kallsyms, view.read_pointer(module.at, layout.module_kallsyms));
  XF_TRY(table, view.read_pointer(kallsyms, layout.mod_kallsyms_symtab));
  XF_TRY(names, view.read_pointer(kallsyms, layout.mod_kallsyms_strtab));
  XF_TRY(count, view.read<std::uint32_t>(kallsyms, layout.mod_kallsyms_num_symtab));
  if (count > kMostSymbols)
    return fail(Errc::guest_data_invalid, "module {} at {}: {} symbols, more than {}", module.name,
                module.at, count, kMostSymbols);
  std::vector<std::byte> entries(std::size_t{count} * kElfSymbol);
  XF_CHECK(view.space().read(table, entries));
  kernel::Symbols symbols;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t name_at = *load<std::uint32_t>(entries, i * kElfSymbol);
    const std::uint64_t value = *load<std::uint64_t>(entries, i * kElfSymbol + 8);
    auto name = view.space().read_string(names + name_at, kLongestSymbol);
    if (!name) continue;
    const std::string_view base = without_suffix(*name);
    if (std::find(wanted.begin(), wanted.end(), base) != wanted.end())
      symbols.add(std::string(base), VirtAddr{value});
  }
  return symbols;
}

}  // namespace xfilter::guest::linux
