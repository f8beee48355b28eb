"""catalog_canned.py DIRECTORY: an Iceberg catalog that answers what it is told to.

DIRECTORY/answers is a JSON array of [METHOD, PATTERN, STATUS, BODY], read for each
request: the first one that fits its method and path counts.  {authorization} and
{body} in a body stand for what was sent.  Whatever none of them fits is answered 404.
DIRECTORY/log gets a line "METHOD PATH STATUS" for each request.  Says which port of
127.0.0.1 it listens on.
"""
import http.server
import json
import re
import sys
import threading

directory = sys.argv[1]
lock = threading.Lock()
missing = (404, '{"error":{"message":"by the fake","type":"NoSuchThingException","code":404}}')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def find(self):
        with open(f"{directory}/answers", encoding="utf-8") as file:
            answers = json.load(file)
        for method, pattern, status, body in answers:
            if method == self.command and re.search(pattern, self.path):
                return status, body
        return missing

    def handle_any(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        status, text = self.find()
        text = text.replace("{authorization}", self.headers.get("Authorization") or "").replace("{body}", sent)
        body = text.encode()
        with lock, open(f"{directory}/log", "a", encoding="utf-8") as log:
            log.write(f"{self.command} {self.path} {status}\n")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_HEAD = do_DELETE = handle_any


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(f"port {server.server_address[1]}", flush=True)
server.serve_forever()
