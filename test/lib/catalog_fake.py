"""catalog_fake.py DIRECTORY: an Iceberg REST catalog in memory that lies when it is
told to.  It knows requirements and updates as exports send them, and no others.

The file DIRECTORY/lies has JSON, read for each request: "config" is the answer to
GET /v1/config, "location" where new tables would be, "answer" a pair of a pattern of
paths and what is answered to those, "moved" a pair of such a pattern and another
place to look.  Says which port of 127.0.0.1 it listens on.
"""
import http.server
import json
import re
import socketserver
import sys
import threading
import uuid

directory = sys.argv[1]
lock = threading.Lock()
namespaces, tables = set(), {}


class Refused(Exception):
    def __init__(self, status, kind, message):
        super().__init__(message)
        self.status, self.body = status, {"error": {"message": message, "type": kind, "code": status}}


def lies():
    try:
        with open(f"{directory}/lies", encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return {}


def new_metadata():
    return {"format-version": 2, "table-uuid": str(uuid.uuid4()), "last-sequence-number": 0, "last-updated-ms": 0,
            "last-column-id": 0, "current-schema-id": -1, "schemas": [], "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}], "properties": {}, "current-snapshot-id": -1, "refs": {},
            "snapshots": [], "snapshot-log": [], "metadata-log": []}


def check(requirement, metadata):
    kind = requirement["type"]
    if kind == "assert-create":
        holds = metadata is None
    elif metadata is None:
        raise Refused(404, "NoSuchTableException", "Table does not exist")
    elif kind == "assert-table-uuid":
        holds = requirement["uuid"] == metadata["table-uuid"]
    elif kind == "assert-ref-snapshot-id":
        now = metadata["refs"].get(requirement["ref"], {}).get("snapshot-id")
        holds = requirement["snapshot-id"] == now
    elif kind == "assert-current-schema-id":
        holds = requirement["current-schema-id"] == metadata["current-schema-id"]
    elif kind == "assert-last-assigned-field-id":
        holds = requirement["last-assigned-field-id"] == metadata["last-column-id"]
    elif kind == "assert-default-spec-id":
        holds = requirement["default-spec-id"] == metadata["default-spec-id"]
    elif kind == "assert-default-sort-order-id":
        holds = requirement["default-sort-order-id"] == metadata["default-sort-order-id"]
    else:
        raise Refused(400, "BadRequestException", f"unknown requirement {kind}")
    if not holds:
        raise Refused(409, "CommitFailedException", f"Requirement failed: {kind}")


def add_schema(metadata, update):
    schema = dict(update["schema"])
    if schema["schema-id"] in [known["schema-id"] for known in metadata["schemas"]]:
        raise Refused(400, "BadRequestException", "the schema's id is taken")
    metadata["schemas"].append(schema)
    metadata["last-column-id"] = max(metadata["last-column-id"], update["last-column-id"])


def add_spec(metadata, update):
    specs = metadata["partition-specs"]
    if update["spec"]["fields"]:
        specs.append({**update["spec"], "spec-id": max(known["spec-id"] for known in specs) + 1})


def remove_specs(metadata, update):
    metadata["partition-specs"] = [s for s in metadata["partition-specs"] if s["spec-id"] not in update["spec-ids"]]


def add_sort_order(metadata, update):
    orders = metadata["sort-orders"]
    if update["sort-order"]["fields"] not in [known["fields"] for known in orders]:
        number = max(known["order-id"] for known in orders) + 1
        orders.append({**update["sort-order"], "order-id": number})


def set_default_sort_order(metadata, update):
    orders = [known["order-id"] for known in metadata["sort-orders"]]
    number = orders[-1] if update["sort-order-id"] == -1 else update["sort-order-id"]
    if number not in orders:
        raise Refused(400, "BadRequestException", f"there is no sort order {number}")
    metadata["default-sort-order-id"] = number


def add_snapshot(metadata, update):
    snapshot = update["snapshot"]
    if snapshot["sequence-number"] <= metadata["last-sequence-number"]:
        raise Refused(400, "BadRequestException", "the sequence number is not greater")
    metadata["snapshots"].append(snapshot)
    metadata["last-sequence-number"] = snapshot["sequence-number"]
    metadata["last-updated-ms"] = snapshot["timestamp-ms"]
    metadata["snapshot-log"].append({"timestamp-ms": snapshot["timestamp-ms"], "snapshot-id": snapshot["snapshot-id"]})


def set_ref(metadata, update):
    metadata["refs"][update["ref-name"]] = {name: update[name] for name in update if name not in ("action", "ref-name")}
    if update["ref-name"] == "main":
        metadata["current-snapshot-id"] = update["snapshot-id"]


def remove_snapshots(metadata, update):
    gone = update["snapshot-ids"]
    metadata["snapshots"] = [s for s in metadata["snapshots"] if s["snapshot-id"] not in gone]
    metadata["snapshot-log"] = [s for s in metadata["snapshot-log"] if s["snapshot-id"] not in gone]


UPDATES = {
    "assign-uuid": lambda m, u: m.update({"table-uuid": u["uuid"]}),
    "upgrade-format-version": lambda m, u: m.update({"format-version": u["format-version"]}),
    "set-location": lambda m, u: m.update(location=u["location"]),
    "add-schema": add_schema,
    "set-current-schema": lambda m, u: m.update(
        {"current-schema-id": m["schemas"][-1]["schema-id"] if u["schema-id"] == -1 else u["schema-id"]}),
    "add-spec": add_spec,
    "remove-partition-specs": remove_specs,
    "set-default-spec": lambda m, u: None,
    "add-sort-order": add_sort_order,
    "set-default-sort-order": set_default_sort_order,
    "set-properties": lambda m, u: m["properties"].update(u["updates"]),
    "remove-properties": lambda m, u: [m["properties"].pop(name, None) for name in u["removals"]],
    "add-snapshot": add_snapshot,
    "set-snapshot-ref": set_ref,
    "remove-snapshots": remove_snapshots,
    "remove-snapshot-ref": lambda m, u: m["refs"].pop(u["ref-name"], None),
}


def commit(key, body):
    known = tables.get(key)
    for requirement in body["requirements"]:
        check(requirement, known)
    metadata = json.loads(json.dumps(known)) if known else new_metadata()
    for update in body["updates"]:
        UPDATES[update["action"]](metadata, update)
    tables[key] = metadata
    return {"metadata-location": metadata["location"] + "/metadata/x.metadata.json", "metadata": metadata}


def answer(method, path, body):
    parts = path.split("?")[0].split("/")[2:]
    if parts == ["config"]:
        return lies().get("config", {"defaults": {}, "overrides": {}})
    if parts == ["oauth", "tokens"]:
        return {"access_token": "T", "token_type": "bearer"}
    parts = parts[parts.index("namespaces"):]
    if parts == ["namespaces"]:
        namespaces.add("%1F".join(body["namespace"]))
        return body
    if parts[1] not in namespaces:
        raise Refused(404, "NoSuchNamespaceException", "Namespace does not exist")
    if len(parts) == 2:
        return {"namespace": [parts[1]]}
    if len(parts) == 3:
        if (parts[1], body["name"]) in tables:
            raise Refused(409, "AlreadyExistsException", "Table already exists")
        return {"metadata": {**new_metadata(), "location": lies().get("location", body["location"])}}
    key = (parts[1], parts[3])
    if method == "POST":
        return commit(key, body)
    if key not in tables:
        raise Refused(404, "NoSuchTableException", "Table does not exist")
    return {"metadata": tables[key]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def say(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        lie = lies()
        if re.search(lie.get("answer", ["^$"])[0], self.path):
            self.say(200, lie["answer"][1].encode())
            return
        if re.search(lie.get("moved", ["^$"])[0], self.path):
            self.say(307, b"", Location=lie["moved"][1])
            return
        try:
            with lock:
                body = json.loads(data) if data.startswith(b"{") else None
                self.say(200, json.dumps(answer(self.command, self.path, body)).encode())
        except Refused as refused:
            self.say(refused.status, json.dumps(refused.body).encode())

    do_GET = do_POST = handle_any


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
print(f"port {server.server_address[1]}", flush=True)
server.serve_forever()
