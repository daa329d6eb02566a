// SPDX-License-Identifier: Apache-2.0
// lab/guest/many.c: many SOCKETS: that many connected TCP sockets, held by 20 processes. Prints "ready" and sleeps.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 20 };

static void must(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}

// Both ends of each connection, over the loopback device; each process has a listener of its own.
static void hold(int sockets) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  must(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 100) == 0, "listen");
  must(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
  for (int i = 0; i < sockets; i += 2) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(client, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    must(accept(listener, NULL, NULL) >= 0, "accept");
  }
}

int main(int argc, char **argv) {
  int sockets = argc > 1 ? atoi(argv[1]) : 100, done[2];
  struct rlimit files = {1 << 20, 1 << 20};
  char byte = 0;
  must(setrlimit(RLIMIT_NOFILE, &files) == 0 && pipe(done) == 0, "prepare");
  for (int i = 0; i < PROCESSES; ++i)
    if (fork() == 0) {
      hold(sockets / PROCESSES);
      must(write(done[1], &byte, 1) == 1, "tell");
      pause();
    }
  close(done[1]);
  for (int i = 0; i < PROCESSES; ++i) must(read(done[0], &byte, 1) == 1, "wait");
  printf("ready\n");
  fflush(stdout);
  pause();
  return 0;
}
