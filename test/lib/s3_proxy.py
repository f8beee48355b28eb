"""s3_proxy.py PORT UPSTREAM_PORT DIRECTORY: what lies between a client and its
store, and may fail.

The file DIRECTORY/faults says what is to come, and is read for each request:
nothing, or a line "SEED PROBABILITY", or "always FAULT".  Faults:

	503          turned away before anything is done
	500          done, and then called an error
	drop         done, and the answer is lost
	cut-request  the connection ends in the middle of the request
	cut-answer   the connection ends in the middle of the answer
	delay        a third of a second
	slow         a kilobyte a second, in both directions
	error-200    an error in an answer that began as a success, not done
	note         nothing, but the log has the request with its parameters
	skewed       the client's clock is wrong, it says
	bucket       there is no such bucket, any more

DIRECTORY/log gets a line for each fault.
"""
import http.client
import http.server
import random
import socketserver
import sys
import threading
import time

FAULTS = ["503", "500", "drop", "cut-request", "cut-answer", "delay", "error-200"]
CODES = {
    "503": (503, "SlowDown"),
    "500": (500, "InternalError"),
    "error-200": (200, "InternalError"),
    "skewed": (403, "RequestTimeTooSkewed"),
    "bucket": (404, "NoSuchBucket"),
}
port, upstream, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
lock = threading.Lock()
plan = ""
chooser = random.Random()


def next_fault():
    global plan, chooser
    with lock:
        try:
            with open(directory + "/faults") as file:
                words = file.read().split()
        except FileNotFoundError:
            return None
        if words and words[0] == "always":
            return words[1]
        if " ".join(words) != plan:
            plan = " ".join(words)
            chooser = random.Random(int(words[0])) if words else None
        if not words or chooser.random() >= float(words[1]):
            return None
        return chooser.choice(FAULTS)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer_error(self, fault):
        status, code = CODES[fault]
        body = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>by the proxy</Message></Error>".encode()
        if self.command == "HEAD":
            body = b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end(self):
        self.close_connection = True

    def handle_any(self):
        fault = next_fault()
        multipart_end = self.command == "POST" and "uploadId=" in self.path
        copy = "x-amz-copy-source" in self.headers
        if fault == "error-200" and not (multipart_end or copy):
            fault = None
        if fault:
            with lock, open(directory + "/log", "a") as file:
                path = self.path if fault == "note" else self.path.split("?")[0]
                file.write(f"{fault} {self.command} {path}\n")
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "cut-request":
            self.rfile.read(length // 2)
            return self.end()
        body = b"".join(self.slowly(length)) if fault == "slow" else self.rfile.read(length)
        if fault in ("503", "error-200", "skewed", "bucket"):
            return self.answer_error(fault)
        if fault == "delay":
            time.sleep(0.3)
        connection = http.client.HTTPConnection("127.0.0.1", upstream, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        if fault == "drop":
            return self.end()
        if fault == "500":
            return self.answer_error(fault)
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(content)))
        self.end_headers()
        if fault == "cut-answer":
            self.wfile.write(content[: len(content) // 2])
            return self.end()
        for at in range(0, len(content), 1024) if fault == "slow" else []:
            self.wfile.write(content[at: at + 1024])
            time.sleep(1)
        if fault != "slow":
            self.wfile.write(content)

    def slowly(self, length):
        while length > 0:
            piece = self.rfile.read(min(length, 1024))
            if not piece:
                return
            length -= len(piece)
            time.sleep(1)
            yield piece

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


Server(("127.0.0.1", port), Handler).serve_forever()
