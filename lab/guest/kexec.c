// SPDX-License-Identifier: Apache-2.0
// lab/guest/kexec.c: kexec KERNEL INITRD: starts another kernel in the place of the one that runs, with its command line.
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
  char line[4096];
  FILE *file = fopen("/proc/cmdline", "r");
  if (argc != 3 || !file) return 2;
  size_t length = fread(line, 1, sizeof line - 1, file);
  line[length - 1] = 0;  // in place of the newline

  int kernel = open(argv[1], O_RDONLY), initrd = open(argv[2], O_RDONLY);
  if (syscall(SYS_kexec_file_load, kernel, initrd, length, line, 0UL) == 0)
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
  perror("kexec");
  return 1;
}
