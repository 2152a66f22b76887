"""Where notes are kept: in PostgreSQL where there is one, else in memory."""

import os
from urllib.parse import urlsplit


def database():
    import pg8000.native

    url = urlsplit(os.environ["DATABASE_URL"])
    return pg8000.native.Connection(
        url.username, host=url.hostname, port=url.port, database=url.path[1:], password=open(os.environ["PASSWORD_FILE"]).read()
    )


class Kept:
    def add(self, text):
        with database() as connection:
            connection.run("INSERT INTO notes (text) VALUES (:text)", text=text)

    def all(self):
        with database() as connection:
            return [text for [text] in connection.run("SELECT text FROM notes ORDER BY id")]


class Remembered:
    def __init__(self):
        self.notes = []

    def add(self, text):
        self.notes.append(text)

    def all(self):
        return self.notes


def notes():
    return Kept() if "DATABASE_URL" in os.environ else Remembered()
