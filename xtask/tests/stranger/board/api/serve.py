"""A service that reads its configuration from its working directory."""

import configparser
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import notes

CONFIG = configparser.ConfigParser()
CONFIG.read("api.ini")
NOTES = notes.notes()


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {"title": CONFIG.get("api", "title"), "url": os.environ.get("PUBLIC_URL"), "notes": NOTES.all()})

    def do_POST(self):
        NOTES.add(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(201, {})

    def answer(self, status, said):
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ["PORT"])), Api).serve_forever()
