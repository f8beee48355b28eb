#!/usr/bin/env python3
"""s3_fake.py DIRECTORY: an S3 store that may lie.

It keeps objects of one bucket in memory, checks no signature, and knows no more
than outflow asks of a store.  Its port is written into DIRECTORY/port.  Each
line of DIRECTORY/faults, read at each request, is a way to behave:

	list-all              lists leave the prefix out of account, those of uploads, too
	plain-plus            names in lists have "+" for itself, although they are encoded
	empty-token           the last page of a list has an empty continuation token
	same-token            every page is the first one, and more is said to follow
	no-token              there is more, but not where
	many N                lists of keys have N more, a thousand on a page
	abort-503             uploads are not ended at the first request for it
	hide TEXT             lists leave out keys with that text, until a job has made its claim
	etag TEXT             of parts of uploads
	plain-parts           lists of an upload's parts have no checksums
	no-parts              there are none at all: 501
	no-bulk               objects are removed one by one only: 501
	keep TEXT             removals of many leave those with that text
	insist                whatever may replace an object is refused, copies of whole objects, too
	racing N [TEXT]       the first N writes of objects or ends of uploads are answered 409, of targets with that text
	skip-part N           that part is taken and forgotten
	sizes                 of parts of uploads the log gets "part", number and size, and nothing is kept
	late-end              uploads are ended, and then said not to be there
	answer STATUS BODY    the answer to everything
	endless               answers to GET have no end
	trickle               answers are a byte a second, without an end
	hang [METHOD [TEXT]]  there is no answer, or none to that method, or to a "copy"; if its target has that text
	hold METHOD TEXT      the same, and what was asked for is done once this is no fault any more
	late METHOD TEXT      the same of the first one only; the log then says "carried out"
	lose METHOD TEXT      what is asked for is done, and the first time there is no answer
	mute METHOD TEXT      the same each time, and the connection stays open
	clock N               its clock is N seconds ahead
	deny METHOD TEXT      what was asked for is answered 403

DIRECTORY/log gets a line for each request: its method, and its target; and one
for each upload that is begun.
DIRECTORY/headers gets one for each object that is begun: its key, and its headers.
"""
import http.server
import itertools
import json
import os
import re
import sys
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape, unescape

directory = sys.argv[1]
objects = {}  # key -> (content, headers that come back)
uploads = {}  # id -> (key, headers, {number: content})
ids = itertools.count(1)
aborted = set()
raced = []
delayed = []
lost = []
times = {}  # of objects by key, of uploads by id
claims = []
lock = threading.RLock()
PAGE = 3


def faults():
    try:
        with open(directory + "/faults") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        lines = []
    return {line.split(" ")[0]: line.partition(" ")[2] for line in lines if line}


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + int(faults().get("clock", 0))))


def encoded(name, how):
    return urllib.parse.quote(name, safe="/+" if "plain-plus" in how else "/").replace("%20", "+" if "plain-plus" not in how else "%20")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    loses = False
    mutes = False

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", headers={}):
        if self.loses or self.mutes:
            self.close_connection = True
            return
        if isinstance(body, str):
            body = body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code><Message>by the fake</Message></Error>")

    def do_any(self):
        how = faults()
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        # whoever sent it is gone
        if len(body) < length:
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        # the bucket is in the path, or in the host's name
        key = urllib.parse.unquote(path).lstrip("/") if self.headers.get("Host", "").startswith("lake.") \
            else urllib.parse.unquote(path).split("/", 2)[2]
        with lock, open(directory + "/log", "a") as log:
            log.write(f"{self.command} {self.path}{' copy' if 'x-amz-copy-source' in self.headers else ''}\n")
        if self.is_meant(how.get("hang")):
            time.sleep(1000)
        while self.is_meant(faults().get("hold")):
            time.sleep(0.05)
        which = how.get("late")
        with lock:
            late = self.is_meant(which) and which not in delayed
            if late:
                delayed.append(which)
        while late and "late" in faults():
            time.sleep(0.05)
        which = how.get("lose")
        with lock:
            self.loses = self.is_meant(which) and which not in lost
            if self.loses:
                lost.append(which)
        self.mutes = self.is_meant(how.get("mute"))
        if self.is_meant(how.get("deny")):
            return self.error(403, "AccessDenied")
        if "answer" in how:
            status, _, text = how["answer"].partition(" ")
            return self.answer(int(status), text)
        if "endless" in how and self.command == "GET" or "trickle" in how:
            return self.go_on(1 if "trickle" in how else 65536)
        with lock:
            kept = {name: value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")}
            if "partNumber" not in self.query and (self.command == "PUT" or "uploads" in self.query):
                with open(directory + "/headers", "a") as file:
                    file.write(json.dumps([key, {name.lower(): value for name, value in self.headers.items()}], sort_keys=True) + "\n")
            try:
                getattr(self, "on_" + self.command)(key, body, kept, how)
            finally:
                if late:
                    with open(directory + "/log", "a") as log:
                        log.write(f"carried out {self.command} {self.path}\n")
        if self.mutes:
            time.sleep(1000)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any

    def is_meant(self, which):
        if which is None:
            return False
        method, _, text = which.partition(" ")
        return text in self.path and (method in ("", self.command) or method == "copy" and "x-amz-copy-source" in self.headers)

    def go_on(self, size):
        self.send_response(200)
        self.send_header("Content-Length", "9999999999999")
        self.end_headers()
        while True:
            self.wfile.write(b"x" * size)
            if size == 1:
                time.sleep(1)

    def on_HEAD(self, key, body, kept, how):
        if key not in objects:
            return self.answer(404)
        content, headers = objects[key]
        self.answer(200, content, {**headers, "ETag": f'"{hash(content)}"'})

    def on_GET(self, key, body, kept, how):
        if key == "" and "uploads" in self.query:
            return self.list_uploads(how)
        if key == "":
            return self.list_keys(how)
        if "uploadId" in self.query:
            return self.list_parts(how)
        if key not in objects:
            return self.error(404, "NoSuchKey")
        self.on_HEAD(key, body, kept, how)

    def list_keys(self, how):
        prefix, delimiter = self.query["prefix"], self.query.get("delimiter")
        names = {}
        for key in sorted(objects):
            if not key.startswith(prefix) and "list-all" not in how:
                continue
            if "hide" in how and how["hide"] in key and not claims:
                continue
            rest = key[len(prefix):]
            if delimiter and delimiter in rest:
                names[prefix + rest.split(delimiter)[0] + delimiter] = None
            else:
                names[key] = len(objects[key][0])
        for number in range(int(how.get("many", 0))):
            names[f"{prefix}{number:06}"] = 1
        after = self.query.get("continuation-token", "")
        names = [(key, size) for key, size in names.items() if key > after or "same-token" in how]
        size = 1000 if "many" in how else PAGE
        page, more = names[:size], len(names) > size
        xml = "<ListBucketResult><EncodingType>url</EncodingType>"
        for key, size in page:
            name = escape(encoded(key, how))
            xml += f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" if size is None \
                else f"<Contents><Key>{name}</Key><LastModified>{times.get(key, '')}</LastModified><Size>{size}</Size></Contents>"
        if "same-token" in how:
            more, token = True, "same"
        elif "no-token" in how:
            more, token = True, None
        else:
            token = page[-1][0] if more else "" if "empty-token" in how else None
        xml += f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
        if token is not None:
            xml += f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
        self.answer(200, xml + "</ListBucketResult>")

    def list_uploads(self, how):
        xml = "<ListMultipartUploadsResult><EncodingType>url</EncodingType>"
        found = [(key, number) for number, (key, _, _) in uploads.items()
                 if key.startswith(self.query["prefix"]) or "list-all" in how]
        for key, number in found:
            xml += f"<Upload><Key>{escape(encoded(key, how))}</Key><UploadId>{number}</UploadId><Initiated>{times[number]}</Initiated></Upload>"
        if "same-token" in how:
            xml += "<IsTruncated>true</IsTruncated><NextKeyMarker>same</NextKeyMarker>"
        self.answer(200, xml + "</ListMultipartUploadsResult>")

    def list_parts(self, how):
        if "no-parts" in how:
            return self.error(501, "NotImplemented")
        if self.query["uploadId"] not in uploads:
            return self.error(404, "NoSuchUpload")
        parts = uploads[self.query["uploadId"]][2]
        after = int(self.query.get("part-number-marker") or 0)
        numbers = [number for number in sorted(parts) if number > after]
        page = numbers[:PAGE]
        xml = "<ListPartsResult>"
        for number in page:
            content, sums = parts[number]
            xml += f"<Part><PartNumber>{number}</PartNumber><Size>{len(content)}</Size><ETag>&quot;part{number}&quot;</ETag>"
            if "plain-parts" not in how:
                xml += "".join(f"<{name}>{value}</{name}>" for name, value in sums.items())
            xml += "</Part>"
        more = len(numbers) > PAGE
        xml += f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
        if more:
            xml += f"<NextPartNumberMarker>{page[-1]}</NextPartNumberMarker>"
        self.answer(200, xml + "</ListPartsResult>")

    def refuses(self, how):
        """What comes before an object is written, or an upload ends"""
        if "insist" in how and "If-None-Match" not in self.headers:
            self.error(403, "AccessDenied")
            return True
        count, _, text = how.get("racing", "0").partition(" ")
        if len(raced) < int(count) and text in self.path:
            raced.append(self.path)
            self.error(409, "ConditionalRequestConflict")
            return True
        return False

    def copied(self, source):
        content, kept = objects[urllib.parse.unquote(source).split("/", 2)[2]]
        if "x-amz-copy-source-range" in self.headers:
            first, last = self.headers["x-amz-copy-source-range"].removeprefix("bytes=").split("-")
            content = content[int(first):int(last) + 1]
        return content, kept

    def on_PUT(self, key, body, kept, how):
        source = self.headers.get("x-amz-copy-source")
        if "uploadId" in self.query:
            number = int(self.query["partNumber"])
            if "sizes" in how:
                with open(directory + "/log", "a") as log:
                    log.write(f"part {number} {len(body)}\n")
                return self.answer(200, "", {"ETag": f'"part{number}"'})
            if self.query["uploadId"] not in uploads:
                return self.error(404, "NoSuchUpload")
            sums = {"Checksum" + name.lower().removeprefix("x-amz-checksum-").upper(): value
                    for name, value in self.headers.items() if name.lower().startswith("x-amz-checksum-")}
            if how.get("skip-part") != str(number):
                uploads[self.query["uploadId"]][2][number] = (self.copied(source)[0] if source else body, sums)
            if source:
                return self.answer(200, f"<CopyPartResult><ETag>part{number}</ETag></CopyPartResult>")
            return self.answer(200, "", {"ETag": how.get("etag", f'"part{number}"')})
        if source and "insist" in how:
            return self.error(403, "AccessDenied")
        if self.refuses(how):
            return None
        if self.headers.get("If-None-Match") and key in objects:
            return self.error(412, "PreconditionFailed")
        if source:
            objects[key] = self.copied(source)
            return self.answer(200, "<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
        objects[key] = (body, kept)
        times[key] = now()
        if key.endswith("/_owner") and "hide" in how:
            claims.append(key)
        self.answer(200, "", {"ETag": '"whole"'})

    def delete_all(self, body, how):
        if "no-bulk" in how:
            return self.error(501, "NotImplemented")
        if not any(name.lower() == "content-md5" or name.lower().startswith("x-amz-checksum-") for name in self.headers):
            return self.error(400, "InvalidRequest")
        errors = ""
        for name in re.findall(r"<Key>(.*?)</Key>", body.decode()):
            if "keep" in how and how["keep"] in name:
                errors += f"<Error><Key>{name}</Key><Code>AccessDenied</Code></Error>"
            else:
                objects.pop(unescape(name), None)
        self.answer(200, f"<DeleteResult>{errors}</DeleteResult>")

    def on_POST(self, key, body, kept, how):
        if "delete" in self.query:
            return self.delete_all(body, how)
        if "uploads" in self.query:
            number = str(next(ids))
            uploads[number] = (key, kept, {})
            times[number] = now()
            with open(directory + "/log", "a") as log:
                log.write(f"begun {key}\n")
            return self.answer(200, f"<R><UploadId>{number}</UploadId></R>")
        if self.query["uploadId"] not in uploads:
            return self.error(404, "NoSuchUpload")
        if self.refuses(how):
            return None
        if "If-None-Match" in self.headers and key in objects:
            return self.error(412, "PreconditionFailed")
        _, headers, parts = uploads[self.query["uploadId"]]
        wanted = [int(number) for number in re.findall(r"<PartNumber>(\d+)</PartNumber>", body.decode())]
        if any(number not in parts for number in wanted) or wanted != list(range(1, len(wanted) + 1)):
            return self.error(400, "InvalidPart")
        del uploads[self.query["uploadId"]]
        objects[key] = (b"".join(parts[number][0] for number in wanted), headers)
        if "late-end" in how:
            return self.error(404, "NoSuchUpload")
        self.answer(200, "<R><ETag>x</ETag></R>")

    def on_DELETE(self, key, body, kept, how):
        number = self.query.get("uploadId")
        if number is None:
            objects.pop(key, None)
            return self.answer(204)
        if "abort-503" in how and number not in aborted:
            aborted.add(number)
            return self.error(503, "SlowDown")
        if uploads.pop(number, None) is None:
            return self.error(404, "NoSuchUpload")
        self.answer(204)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(directory + "/port.new", "w") as file:
    file.write(str(server.server_address[1]))
os.rename(directory + "/port.new", directory + "/port")
server.serve_forever()
