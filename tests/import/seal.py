"""Prints the rows of a table of OAuth tokens as CSV, sealed by `cryptography` as an application would have done it.

    seal.py ROWS KEY-FILE

Three keys, of which the first is the newest; the list goes into KEY-FILE. Row i holds the tokens access(i) and refresh(i),
which the test knows too. One row in ten has no refresh token. Every tenth of the way there is a row that is wrong.
"""

import csv
import os
import sys

from cryptography.fernet import Fernet, MultiFernet

WRONG = ["damaged", "other key", "not fernet", "bad org", "no name", "too long", "twice", "buffer", "no token", "not text"]


def access(i):
    return f"gho_{i:036d}" if i % 7 else f"eyJhbGciOiJSUzI1NiJ9.{i:0800d}.{i:0342d}"


def refresh(i):
    return f"ghr_{i:076d}"


def main(rows, key_file):
    keys = [Fernet.generate_key() for _ in range(3)]
    with open(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(b"# newest first\n" + b"\n".join(keys) + b"\n")
    rings = [MultiFernet([Fernet(key) for key in keys[at:]]) for at in range(3)]
    stranger = Fernet(Fernet.generate_key())
    out = csv.writer(sys.stdout, lineterminator="\n")
    step = rows // len(WRONG)
    for i in range(rows):
        ring = rings[i % 3]
        seal = lambda text: ring.encrypt(text.encode()).decode()  # noqa: E731
        org, name = f"org-{i % (rows // 20)}", f"user:{i}@example.com"
        at, rt = seal(access(i)), "" if i % 10 == 0 else seal(refresh(i))
        if i == rows // 2:
            at = repr(at.encode())  # str() of bytes, as it happens
        wrong = WRONG[i // step] if i % step == step - 1 else None
        if wrong == "damaged":
            at = at[:50] + ("A" if at[50] != "A" else "B") + at[51:]
        elif wrong == "other key":
            rt = stranger.encrypt(refresh(i).encode()).decode()
        elif wrong == "not fernet":
            at = access(i)
        elif wrong == "bad org":
            org = "../" + org
        elif wrong == "no name":
            name = ""
        elif wrong == "too long":
            at = seal("a" * 16385)
        elif wrong == "twice":
            org, name = f"org-{(i - 1) % (rows // 20)}", f"user:{i - 1}@example.com"
        elif wrong == "buffer":
            rt = "<memory at 0x7f3b2c1d5e80>"
        elif wrong == "no token":
            at = ""
        elif wrong == "not text":
            at = ring.encrypt(b"\x80\x04\x95").decode()
        out.writerow([i, org, "github", name, at, rt, "2031-01-02 03:04:05+00", "{read:org,repo}"])


main(int(sys.argv[1]), sys.argv[2])
