"""The real daemon against its own description.

First each operation is asked once with the example of the document, in the order in which things come to be and go, and
each answer is held against the document. Then schemathesis asks in all its phases. Last, the daemon must still stand,
must not have panicked, and its audit log must be whole.

    check.py PROGRAM [--door socket|mtls|admin]... [--examples N] [--phases ...]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import certificates
import samples
from forwarder import Forwarder
from line import Line

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs"
PATIENCE = 60
PHASES = "examples,coverage,fuzzing,stateful"


class Daemon:
    """A daemon for development in a directory of its own, with a second door where there is one to be tested."""

    def __init__(self, program, room, with_mtls):
        self.room = room
        self._program = program
        self.process = None
        self._start()
        # What development made is an ordinary configuration, to which a provider is added, and the door.
        self.stop()
        with open(room / "vault" / "tokenkeep.toml", "a") as configuration:
            configuration.write('\n[[provider]]\nid = "github"\n')
            if with_mtls:
                self.mtls = certificates.Door(room)
                configuration.write(self.mtls.settings())
        self._start()

    def _start(self):
        with open(self.room / "out.log", "w") as out, open(self.room / "err.log", "a") as err:
            self.process = subprocess.Popen(
                [self._program, "--dev", str(self.room / "vault")], stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        deadline = time.monotonic() + PATIENCE
        while "is ready" not in (self.room / "out.log").read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the daemon did not get ready: {self.said()}")
            time.sleep(0.02)

    def socket(self, name):
        return self.room / "vault" / name

    def said(self):
        return (self.room / "err.log").read_text()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        if code != 0:
            sys.exit(f"the daemon ended with {code}: {self.said()}")

    def is_well(self):
        """Stands, did not panic, and every request is in an audit log that is whole."""
        assert self.process.poll() is None, "the daemon is gone"
        assert "panicked" not in self.said(), self.said()
        status, _, body = Line.unix(self.socket("admin.sock")).send("POST", "/admin/v1/audit/verify")
        verified = json.loads(body)
        assert status == 200 and verified["intact"], verified
        print(f"the audit log is whole: {verified['entries']} entries")


def doors(daemon, names):
    """Document, address, how examples are sent there, and what schemathesis needs to be let in."""
    for name in names:
        if name == "mtls":
            door = daemon.mtls
            yield name, "openapi.json", door.url, door.line, door.options()
            continue
        socket = daemon.socket("admin.sock" if name == "admin" else "tokenkeep.sock")
        document = "openapi-admin.json" if name == "admin" else "openapi.json"
        port = Forwarder(socket).port
        yield name, document, f"http://127.0.0.1:{port}", lambda: Line.unix(socket), []


def furnish(daemon):
    """The org and the connection of the examples: what admins ask for is of those."""
    line = Line.unix(daemon.socket("tokenkeep.sock"))
    tokens = {"access_token": "at", "refresh_token": "rt", "expires_in": 3600}
    for path, body in [("/v1/orgs/acme", None), ("/v1/orgs/acme/connections/github/main", tokens)]:
        status, _, _ = line.send("PUT", path, body=body)
        assert status == 201, f"{path}: {status}"


def schemathesis(document, url, options, asked):
    command = [
        str(pathlib.Path(sys.executable).with_name("schemathesis")),
        "--config-file", str(HERE / "schemathesis.toml"),
        "run", str(document), "--url", url,
        "--phases", asked.phases, "--max-examples", str(asked.examples),
        *options,
    ]
    print("+", *command, flush=True)
    return subprocess.run(command, cwd=HERE).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--door", action="append", choices=["socket", "mtls", "admin"])
    parser.add_argument("--examples", type=int, default=10)
    parser.add_argument("--phases", default=PHASES)
    asked = parser.parse_args()
    # The admin API first: it reads the audit log, which the others fill.
    names = asked.door or ["admin", "socket", "mtls"]
    failed = []
    with tempfile.TemporaryDirectory(prefix="tk") as room:
        daemon = Daemon(asked.program.resolve(), pathlib.Path(room), "mtls" in names)
        try:
            furnish(daemon)
            for name, document, url, line, options in doors(daemon, names):
                samples.hold(DOCS / document, line(), over_tls=name == "mtls")
                print(f"{name}: every example of {document} is answered as it says", flush=True)
                if schemathesis(DOCS / document, url, options, asked) != 0:
                    failed.append(name)
                daemon.is_well()
        finally:
            if daemon.process.poll() is None:
                daemon.stop()
    if failed:
        sys.exit(f"the description and the daemon differ: {', '.join(failed)}")


main()
