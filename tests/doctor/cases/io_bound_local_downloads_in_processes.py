"""The same downloads in two processes: they wait, two at a time.

:verdict: io-bound
"""

import http.client
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.020)
        self.send_response(200)
        self.send_header("Content-Length", "2000")
        self.end_headers()
        self.wfile.write(bytes(2000))

    def log_message(self, *_):
        pass


def fetch(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/{path}")
    body = connection.getresponse().read()
    connection.close()
    return len(body)


def main():
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        port = server.server_address[1]
        with get_context("fork").Pool(2) as pool:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            print(sum(pool.map(partial(fetch, port), range(80))))
        server.shutdown()


if __name__ == "__main__":
    main()
