"""The article's hybrid: threads fetch a hundred pages (from a server of ours), processes add up.

:verdict: payload-args
:also: slower-than-serial, healthy, tasks-too-small, stages-run-in-turn
"""

import threading
import time
import urllib.request
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.03)
        self.send_response(200)
        self.send_header("Content-Length", "200000")
        self.end_headers()
        self.wfile.write(bytes(200_000))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read()


def cpu_heavy(data):
    return sum(b for b in data) % 997


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    urls = [f"http://127.0.0.1:{server.server_address[1]}/"] * 100

    with ThreadPoolExecutor(max_workers=20) as tpool, ProcessPoolExecutor() as ppool:
        fetched = list(tpool.map(fetch, urls))
        results = list(ppool.map(cpu_heavy, fetched))

    print("Got", len(results), "results")
    server.shutdown()
