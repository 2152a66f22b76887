"""Answers HTTP on its port, a line on one further port, and datagrams on another."""

import http.server
import os
import socket
import threading

ADDRESS = os.environ.get("LISTEN_ADDRESS", "127.0.0.1")


def lines():
    with socket.create_server((ADDRESS, int(os.environ["LINE_PORT"]))) as server:
        while True:
            connection, _ = server.accept()
            connection.sendall(b"a line\n")
            connection.close()


def datagrams():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((ADDRESS, int(os.environ["PING_PORT"])))
    while True:
        data, peer = server.recvfrom(100)
        server.sendto(b"pong " + data, peer)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *_):
        pass


for serve in (lines, datagrams):
    threading.Thread(target=serve, daemon=True).start()
http.server.ThreadingHTTPServer((ADDRESS, int(os.environ["PORT"])), Handler).serve_forever()
