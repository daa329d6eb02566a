// SPDX-License-Identifier: Apache-2.0
// guest/linux/modules.h: the guest's loaded kernel modules and their symbols.
//
// Source: struct module, its mod_kallsyms (include/linux/module.h) and Elf64_Sym. Modules come and
// go while the guest runs: is_loaded() says whether what was found still holds.
#pragma once

#include <span>
#include <string_view>

#include "guest/linux/view.h"

namespace xfilter::guest::linux {

struct Module {
  VirtAddr at;  // struct module
  std::string name;
};

// None when it is not loaded. Cost: two reads a module.
Result<std::optional<Module>> find_module(const View& view, std::string_view name);

// Whether it is in the list of modules still. Cost: four reads.
bool is_loaded(const View& view, const Module& module);

// Addresses of those of `wanted` that the module defines. A compiler's ".NUMBER" suffix is ignored.
// Cost: the module's whole symbol table: some hundred reads.
Result<kernel::Symbols> read_symbols(const View& view, const Module& module,
                                     std::span<const std::string_view> wanted);

}  // namespace xfilter::guest::linux
