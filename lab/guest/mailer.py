# SPDX-License-Identifier: Apache-2.0
"""Sends mail by SMTP from inside a guest, some messages a connection, as commands on a fifo ask.

mailer.py SENDER SERVER FIFO RESULTS: for each line "send PHASE COUNT PER_CONNECTION" in the fifo tries to
send COUNT messages and appends "PHASE COUNT" to the results. The connection stays open between lines, so
that a rule can find it open.
"""

import smtplib
import sys
import time

PATIENCE_SECONDS = 4
PATIENCE_AFTER_FAILURE_SECONDS = 0.5  # for the next tries; the server is a millisecond away
PAUSE_SECONDS = 0.05


def main():
    sender, server, fifo, results = sys.argv[1:5]
    connection, sent_on_it = None, 0
    with open(fifo) as commands:
        for line in iter(commands.readline, ""):
            _, phase, count, per_connection = line.split()
            tried, patience = 0, PATIENCE_SECONDS
            for number in range(int(count)):
                tried += 1
                try:
                    if connection is None:
                        connection, sent_on_it = smtplib.SMTP(server, 25, sender.split("@")[0], patience), 0
                        connection.sock.settimeout(PATIENCE_SECONDS)
                    connection.sendmail(sender, ["somebody@sink.example"],
                                        f"From: {sender}\r\nSubject: {phase} {number}\r\n\r\nhello\r\n")
                    sent_on_it, patience = sent_on_it + 1, PATIENCE_SECONDS
                except (OSError, smtplib.SMTPException):
                    patience = PATIENCE_AFTER_FAILURE_SECONDS
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
