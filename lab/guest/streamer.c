// SPDX-License-Identifier: Apache-2.0
// lab/guest/streamer.c: streamer SERVER PORT NAME [OWN-PORT]: sends the datagram "NAME NUMBER" every
// five milliseconds, on one connected socket, until it is killed.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct sockaddr_in server = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);

  struct sockaddr_in own = {.sin_family = AF_INET};
  if (argc < 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) return 2;
  server.sin_port = htons(atoi(argv[2]));
  if (argc == 5) own.sin_port = htons(atoi(argv[4]));
  if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0) return 1;
  if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0) return 1;
  for (long number = 0;; ++number) {
    char text[64];
    int length = snprintf(text, sizeof text, "%s %ld", argv[3], number);
    if (write(fd, text, length) < 0) usleep(1000);
    usleep(5000);
  }
}
