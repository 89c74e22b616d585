"""Forty threads fetch from a server that takes 25 ms for an answer.

:verdict: healthy
"""

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.025)
        self.send_response(200)
        self.send_header("Content-Length", "2000")
        self.end_headers()
        self.wfile.write(bytes(2000))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def fetch(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/{path}")
    body = connection.getresponse().read()
    connection.close()
    return len(body)


def main():
    with Server(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        with ThreadPoolExecutor(max_workers=20) as executor:
            print(sum(executor.map(lambda path: fetch(port, path), range(300))))
        server.shutdown()


if __name__ == "__main__":
    main()
