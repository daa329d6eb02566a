# SPDX-License-Identifier: Apache-2.0
"""Sends mail by SMTP from inside a guest, some messages a connection, as commands on a fifo ask.

mailer.py SENDER SERVER FIFO RESULTS: for each line "send PHASE COUNT PER_CONNECTION" in the fifo tries to
send COUNT messages and appends "PHASE COUNT" to the results. The connection stays open between lines, so
that a rule can find it open.
"""

import smtplib
import sys
import time

TIMEOUT_SECONDS = 4
PAUSE_SECONDS = 0.05
GIVE_UP_AFTER = 2  # messages that time out in a row: each costs TIMEOUT_SECONDS


def main():
    sender, server, fifo, results = sys.argv[1:5]
    connection, sent_on_it = None, 0
    with open(fifo) as commands:
        for line in iter(commands.readline, ""):
            _, phase, count, per_connection = line.split()
            failures = tried = 0
            for number in range(int(count)):
                tried += 1
                if failures >= GIVE_UP_AFTER:
                    continue  # counted as tried: the server cannot be reached
                try:
                    if connection is None:
                        connection, sent_on_it = smtplib.SMTP(server, 25, sender.split("@")[0], TIMEOUT_SECONDS), 0
                    connection.sendmail(sender, ["somebody@sink.example"],
                                        f"From: {sender}\r\nSubject: {phase} {number}\r\n\r\nhello\r\n")
                    failures, sent_on_it = 0, sent_on_it + 1
                except (OSError, smtplib.SMTPException):
                    failures += 1
                    if connection is not None:
                        connection.close()
                    connection = None
                if connection is not None and sent_on_it >= int(per_connection) and number + 1 < int(count):
                    connection.close()
                    connection = None
                time.sleep(PAUSE_SECONDS)
            with open(results, "a") as file:
                file.write(f"{phase} {tried}\n")


main()
