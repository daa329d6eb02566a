// SPDX-License-Identifier: Apache-2.0
// lab/guest/connector.c: connector SERVER PORT COUNT: opens COUNT connections, one after the other, sends
// its own pid on each and waits for the server to close. The local port is free again at once, so that
// other processes come to use it.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct sockaddr_in server = {.sin_family = AF_INET};
  int failed = 0;

  if (argc != 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) return 2;
  server.sin_port = htons(atoi(argv[2]));
  for (int i = 0; i < atoi(argv[3]); ++i) {
    char text[32];
    int length = snprintf(text, sizeof text, "%d\n", getpid());
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0 || write(fd, text, length) != length || read(fd, text, 1) != 0)
      failed = 1;
    close(fd);
  }
  return failed;
}
