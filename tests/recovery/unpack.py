#!/usr/bin/env python3
"""Unpacks one set of a backup without tokenkeep: the files of a vault as `recover.py` reads them.

    python3 unpack.py SET_DIRECTORY IDENTITY_FILE INTO

Needs `pyrage` (pip install pyrage), or the program `age` in its place: each object is an ordinary file of age. docs/backup.md
says what stands in a manifest. What the manifests say is checked against the objects; who wrote them, only the vault's own
keys can tell, and `recover.py` does so link by link.

Exit: 0 all of it, 1 an object or a part is missing or is not what its manifest says.
"""
import hashlib
import json
import pathlib
import sys

import pyrage

WHERE = {"journal": "journal", "snapshot": "snapshots", "audit": "audit", "header": "."}


def main(directory, identity_file, into):
    directory, into = pathlib.Path(directory), pathlib.Path(into)
    lines = [line.strip() for line in pathlib.Path(identity_file).read_text().splitlines()]
    keys = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    before = ""
    for number, path in enumerate(sorted(directory.glob("part-*.json")), 1):
        part = json.loads(path.read_bytes())
        if part["part"] != number or part["before"] != before:
            raise SystemExit(f"{path}: part {number} is missing or was exchanged")
        before = part["mac"]
        for item in part["objects"]:
            sealed = (directory / item["name"]).read_bytes()
            if hashlib.sha256(sealed).hexdigest() != item["sha256"]:
                raise SystemExit(f"{item['name']}: not what its manifest says")
            target = into / WHERE[item["holds"]] / pathlib.PurePosixPath(item["file"]).name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(target, "wb" if item["from"] == 0 else "r+b") as file:
                file.seek(item["from"])
                file.write(pyrage.decrypt(sealed, keys))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
