#!/usr/bin/env python3
"""Stands for Jenkins' agent.jar beside the sandbox's Jenkins: it connects with the same arguments and runs commands."""

import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import urllib.parse

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def options(words):
    found = {}
    words = iter(words)
    for word in words:
        found[word] = True if word in ("-noReconnect", "-webSocket") else next(words, "")
    return found


class WebSocket:
    """The few parts of RFC 6455 that text in both directions needs."""

    def __init__(self, url, headers):
        host, port = url.hostname, url.port or 80
        self.socket = socket.create_connection((host, port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {"Host": f"{host}:{port}", "Upgrade": "websocket", "Connection": "Upgrade",
                   "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13", **headers}
        lines = [f"GET {url.path} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        status = self.file.readline().decode().strip()
        accepted = ""
        while (line := self.file.readline().decode().strip()):
            name, _, value = line.partition(":")
            accepted = value.strip() if name.lower() == "sec-websocket-accept" else accepted
        expected = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        if " 101 " not in status + " " or accepted != expected:
            raise OSError(f"the controller does not let this agent in: {status}")
        self.socket.settimeout(None)
        self.lock = threading.Lock()

    def send(self, opcode, data):
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        with self.lock:
            self.socket.sendall(head + mask + masked)

    def read(self, size):
        data = self.file.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def texts(self):
        whole = b""
        while True:
            first, second = self.read(2)
            size = second & 127
            if size == 126:
                (size,) = struct.unpack("!H", self.read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self.read(8))
            data = self.read(size)
            opcode = first & 15
            if opcode == 8:
                return
            if opcode == 9:
                self.send(10, data)
            elif opcode in (0, 1):
                whole += data
                if first & 128:
                    yield json.loads(whole)
                    whole = b""


def run(connection, order):
    def tell(**fields):
        connection.send(1, json.dumps({"id": order["id"], **fields}).encode())

    try:
        process = subprocess.Popen(["sh", "-c", order["command"]], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        while (output := process.stdout.read1(4096)):
            tell(output=output.decode(errors="replace"))
        tell(status=process.wait())
    except OSError:
        os._exit(1)


def serve(given):
    controller = urllib.parse.urlsplit(given.get("-jnlpUrl") or given["-url"])
    root, found, rest = controller.path.partition("/computer/")
    name = urllib.parse.unquote(rest.split("/")[0]) if found else given["-name"]
    secret = given["-secret"]
    if secret.startswith("@"):
        with open(secret[1:]) as file:
            secret = file.read().strip()
    entrance = controller._replace(path=root.rstrip("/") + "/wsagents/", query="")
    connection = WebSocket(entrance, {"Node-Name": name, "Secret-Key": secret})
    print("INFO: Connected", flush=True)
    for order in connection.texts():
        threading.Thread(target=run, args=(connection, order), daemon=True).start()


def main():
    given = options(sys.argv[1:])
    os.chdir(given.get("-workDir", "."))
    while True:
        try:
            serve(given)
        except (OSError, EOFError) as error:
            print(f"WARNING: {error}", flush=True)
        if "-noReconnect" in given:
            return
        threading.Event().wait(1)


main()
