"""catalog_proxy.py DIRECTORY: what lies between a client and its Iceberg catalog, and
may fail.  DIRECTORY/upstream has the catalog's port and process.

The file DIRECTORY/faults has a line "METHOD PATTERN FAULT [TIMES [AFTER]]" for each
kind of request that is not simply passed on, once unless it says how often, after so
many that are; it is read for each request, and the first line that fits counts.
Faults:

	503, 401, ...   turned away before anything is done
	lost            done, and the answer is lost
	silent          done, the answer is lost, and all that follows turned away
	late-500        done, and then called an error
	late            called an error, and done when DIRECTORY/go is there
	overtaken       passed on when all that is late has been done
	die             the catalog is killed before it hears of it
	midway          and while it is at it
	late-die        and when it has done it; the answer is lost
	hold            passed on when DIRECTORY/go is there; DIRECTORY/held says so

The file DIRECTORY/token, if any, has what every request but those for tokens must
bring.  Where the catalog does not answer, there is no answer.  DIRECTORY/log gets a line "METHOD PATH STATUS" for each request.  Says which
port of 127.0.0.1 it listens on.
"""
import http.client
import http.server
import os
import random
import re
import signal
import socketserver
import sys
import threading
import time

directory = sys.argv[1]
lock = threading.Lock()
used = {}
silent = None
late = []


def read(name):
    try:
        with open(f"{directory}/{name}", encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def fault_of(method, path):
    global silent
    with lock:
        now = os.stat(f"{directory}/faults").st_mtime_ns if os.path.exists(f"{directory}/faults") else 0
        if silent == now:
            return "503"
        lines = read("faults").splitlines()
        for number, line in enumerate(lines):
            words = line.split()
            times = int(words[3]) if len(words) > 3 else 1
            key = (now, number)
            after = int(words[4]) if len(words) > 4 else 0
            if words[0] == method and re.search(words[1], path) and used.get(key, 0) < times + after:
                used[key] = used.get(key, 0) + 1
                if used[key] <= after:
                    return None
                silent = now if words[2] == "silent" else silent
                return words[2]
    return None


def upstream():
    return [int(word) for word in read("upstream").split()]


def kill_catalog():
    try:
        os.kill(upstream()[1], signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait_for_go(condition=lambda: False):
    while not os.path.exists(f"{directory}/go") and not condition():
        time.sleep(0.02)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def note(self, what):
        with lock, open(f"{directory}/log", "a", encoding="utf-8") as log:
            log.write(f"{self.command} {self.path} {what}\n")

    def say(self, status, body=b"", kind="application/json"):
        self.note(status)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def pass_on(self, body, fault=None):
        connection = http.client.HTTPConnection("127.0.0.1", upstream()[0], timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(self.command, self.path, body, headers)
        if fault == "midway":
            time.sleep(random.random() / 20)
            kill_catalog()
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = fault_of(self.command, self.path)
        token = read("token").strip()
        is_login = self.path.endswith("/oauth/tokens")
        if fault and fault.isdigit():
            self.say(int(fault), b'{"error":{"message":"by the proxy","type":"ProxyException","code":%s}}' % fault.encode())
            return
        if token and not is_login and self.headers.get("Authorization") != f"Bearer {token}":
            self.say(401, b'{"error":{"message":"Not authorized","type":"NotAuthorizedException","code":401}}')
            return
        if fault == "hold":
            with open(f"{directory}/held", "a", encoding="utf-8") as held:
                held.write(self.path + "\n")
            wait_for_go()
        if fault == "late":
            self.say(504, b"<html>not JSON</html>", "text/html")
            self.wfile.flush()
            mine = {"go": False, "done": False}
            late.append(mine)
            wait_for_go(lambda: mine["go"])
        if fault == "overtaken":
            for other in late:
                other["go"] = True
            while not all(other["done"] for other in late):
                time.sleep(0.02)
        if fault == "die":
            kill_catalog()
        try:
            status, data = self.pass_on(body, fault)
        except (OSError, http.client.HTTPException):
            self.note("none")
            self.close_connection = True
            return
        if fault == "late-die":
            kill_catalog()
        if fault == "late":
            self.note(f"late {status}")
            mine["done"] = True
        elif fault in ("lost", "silent", "late-die"):
            self.note(f"lost {status}")
            self.close_connection = True
        elif fault == "late-500":
            self.say(500, b"<html>not JSON</html>", "text/html")
        else:
            self.say(status, data)

    do_GET = do_POST = do_HEAD = do_DELETE = handle_any


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
print(f"port {server.server_address[1]}", flush=True)
server.serve_forever()
