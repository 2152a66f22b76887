"""A service in another language: it knows nothing of passed sockets, and ends at once when it is told to."""

import http.server
import os
import sys

GREETING = open("greeting.txt").read().strip()
PORT = int(sys.argv[1] if len(sys.argv) > 1 else os.environ["PORT"])


class Greeter(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"{GREETING} from {os.getpid()}".encode()
        if self.path == "/crash":
            os._exit(7)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Greeter).serve_forever()
