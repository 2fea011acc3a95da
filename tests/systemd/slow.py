"""A client that is slow: sends half of a PUT, waits until the file GO is there, sends the rest, prints the status."""

import os
import socket
import sys
import time

path, go = sys.argv[1:]
body = b'{"access_token":"at-slow","expires_in":3600}'
head = (
    "PUT /v1/orgs/acme/connections/github/slow HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    f"content-length: {len(body)}\r\n\r\n"
).encode()
client = socket.socket(socket.AF_UNIX)
client.settimeout(60)
client.connect(path)
client.sendall(head + body[:10])
open(go + ".begun", "w").close()
while not os.path.exists(go):
    time.sleep(0.02)
client.sendall(body[10:])
answer = b""
while True:
    part = client.recv(4096)
    if not part:
        break
    answer += part
print(answer.split(b" ")[1].decode())
