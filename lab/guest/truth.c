// SPDX-License-Identifier: Apache-2.0
// lab/guest/truth.c: prints what the guest says of itself, from /proc, for the tests to compare with.
//
//   P pid                 one block a process:
//   S <line>                lines of /proc/PID/status
//   T <line>                /proc/PID/stat
//   X <path>                /proc/PID/exe
//   C <hex>                 /proc/PID/cmdline
//   H tid                   each thread
//   F fd inode              each descriptor that is a socket
//   N file <line>         lines of /proc/net/{tcp,tcp6,udp,udp6}
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_lines(const char *path, const char *prefix) {
  char line[1024];
  FILE *file = fopen(path, "r");
  if (!file) return;
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    printf("%s %s\n", prefix, line);
  }
  fclose(file);
}

static void print_cmdline(const char *path) {
  int c;
  FILE *file = fopen(path, "r");
  if (!file) return;
  printf("C ");
  while ((c = fgetc(file)) != EOF) printf("%02x", c);
  printf("\n");
  fclose(file);
}

// A thread can have a descriptor table of its own.
static void print_thread(const char *pid, const char *tid) {
  char path[1024], target[256];
  struct dirent *entry;
  DIR *folder;

  printf("H %s\n", tid);
  snprintf(path, sizeof path, "/proc/%s/task/%s/fd", pid, tid);
  if (!(folder = opendir(path))) return;
  while ((entry = readdir(folder))) {
    unsigned long inode;
    ssize_t length;
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    snprintf(path, sizeof path, "/proc/%s/task/%s/fd/%s", pid, tid, entry->d_name);
    if ((length = readlink(path, target, sizeof target - 1)) <= 0) continue;
    target[length] = 0;
    if (sscanf(target, "socket:[%lu]", &inode) == 1) printf("F %s %lu\n", entry->d_name, inode);
  }
  closedir(folder);
}

static void print_process(const char *pid) {
  char path[1024], target[4096];
  struct dirent *entry;
  ssize_t length;
  DIR *folder;

  printf("P %s\n", pid);
  snprintf(path, sizeof path, "/proc/%s/status", pid);
  print_lines(path, "S");
  snprintf(path, sizeof path, "/proc/%s/stat", pid);
  print_lines(path, "T");
  snprintf(path, sizeof path, "/proc/%s/exe", pid);
  if ((length = readlink(path, target, sizeof target - 1)) > 0) printf("X %.*s\n", (int)length, target);
  snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
  print_cmdline(path);
  snprintf(path, sizeof path, "/proc/%s/task", pid);
  if (!(folder = opendir(path))) return;
  while ((entry = readdir(folder)))
    if (isdigit((unsigned char)entry->d_name[0])) print_thread(pid, entry->d_name);
  closedir(folder);
}

int main(void) {
  static const char *const tables[] = {"tcp", "tcp6", "udp", "udp6"};
  struct dirent *entry;
  DIR *proc = opendir("/proc");

  while (proc && (entry = readdir(proc)))
    if (isdigit((unsigned char)entry->d_name[0])) print_process(entry->d_name);
  for (unsigned i = 0; i < sizeof tables / sizeof *tables; ++i) {
    char path[64], prefix[64];
    snprintf(path, sizeof path, "/proc/net/%s", tables[i]);
    snprintf(prefix, sizeof prefix, "N %s", tables[i]);
    print_lines(path, prefix);
  }
  return 0;
}
