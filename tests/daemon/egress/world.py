"""A network of its own for the tests, with names that lead where they should not.

    unshare --net --mount world.py ROOM

Its resolver answers a name by what the name says: `a-10-9-9-1.NAME` is 10.9.9.1, `a6-HEX.NAME` an IPv6 address, and
`first-10-9-9-1-then-127-0-0-1.NAME` the one and from the second query on the other; `stall.NAME` is not answered. At
10.9.9.1 port 8200 somebody listens, at port 8201 somebody whose queue is full. It prints `ready`, then a line for each query,
and ends with its input.
"""
import os
import socket
import struct
import subprocess
import sys
import threading

HERE = "10.9.9.1"
room = sys.argv[1]


def run(*words):
    subprocess.run(words, check=True)


run("ip", "link", "set", "lo", "up")
run("ip", "address", "add", f"{HERE}/32", "dev", "lo")
resolv = os.path.join(room, "resolv.conf")
with open(resolv, "w") as file:
    file.write(f"nameserver {HERE}\noptions timeout:30 attempts:1\n")
nsswitch = os.path.join(room, "nsswitch.conf")
with open(nsswitch, "w") as file:
    file.write("hosts: files dns\npasswd: files\ngroup: files\n")
run("mount", "--make-rprivate", "/")
for made, place in [(resolv, "/etc/resolv.conf"), (nsswitch, "/etc/nsswitch.conf")]:
    place = os.path.realpath(place)
    if not os.path.exists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        open(place, "w").close()
    run("mount", "--bind", made, place)

asked = {}


def addresses(name, kind):
    label = name.split(".")[0]
    if label.startswith("a6-"):
        return [bytes.fromhex(label[3:])] if kind == 28 else []
    if kind != 1:
        return []
    if label.startswith("first-"):
        first, then = label[len("first-"):].split("-then-")
        asked[name] = asked.get(name, 0) + 1
        label = "a-" + (first if asked[name] == 1 else then)
    parts = label[2:].split("-and-")
    return [socket.inet_aton(part.replace("-", ".")) for part in parts]


def resolve(server):
    while True:
        query, client = server.recvfrom(1500)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack("!H", query[at + 1:at + 3])[0]
        name = ".".join(labels).lower()
        print(name, {1: "A", 28: "AAAA"}.get(kind, kind), flush=True)
        if name.startswith("stall."):
            continue
        found = addresses(name, kind)
        answer = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0) + query[12:at + 5]
        for data in found:
            answer += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(data)) + data
        server.sendto(answer, client)


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((HERE, 53))
threading.Thread(target=resolve, args=(server,), daemon=True).start()
listener = socket.socket()
listener.bind((HERE, 8200))
listener.listen(64)
full = socket.socket()
full.bind((HERE, 8201))
full.listen(0)
kept = []
for _ in range(4):
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex((HERE, 8201))
    kept.append(filler)
# What a name must not lead to, listening: an attempt would succeed.
for place in [("127.0.0.1", 8200), ("0.0.0.0", 8202)]:
    evil = socket.socket()
    evil.bind(place)
    evil.listen(64)
    kept.append(evil)
print("ready", flush=True)
sys.stdin.read()
