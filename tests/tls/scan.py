"""Scans the mTLS listener of the real daemon with sslyze, and with testssl and Go's TLS where they are asked for.

    scan.py TOKENKEEPD             what must hold, checked; exit 1 where it does not
    scan.py TOKENKEEPD REPORT.md   the same with testssl and a hybrid handshake by Go, and what they said kept in REPORT.md

What is judged is what the scanner saw from outside, never what the configuration says.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
TLS13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
failures = []


def check(what, holds):
    print(("ok    " if holds else "FAIL  ") + what)
    if not holds:
        failures.append(what)


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def issue(room):
    """An authority, and a certificate each for server and client."""
    os.chdir(room)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("openssl", "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=scan CA", "-days", "90")
    for name, purpose, san in [
        ("server", "serverAuth", "DNS:localhost,IP:127.0.0.1"),
        ("client", "clientAuth", "URI:spiffe://scan/client"),
    ]:
        run("openssl", "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        extensions = f"extendedKeyUsage={purpose}\nsubjectAltName={san}\nbasicConstraints=CA:FALSE\n"
        pathlib.Path(f"{name}.ext").write_text(extensions)
        run(
            "openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "90",
            "-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
        )
    for key in room.glob("*.key"):
        key.chmod(0o600)


def start(daemon, room):
    """The daemon with the listener on a free port. Root may run it: the environment is `development`."""
    from cryptography.fernet import Fernet

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    configuration = f"""
environment = "development"
state_directory = "{room}/state"
[listen]
unix = "{room}/app.sock"
admin = "{room}/admin.sock"
[listen.mtls]
address = "127.0.0.1:{port}"
certificate = "{room}/server.crt"
key = "{room}/server.key"
client_ca = "{room}/ca.crt"
[root_key]
source = "file"
path = "{room}/root.key"
[[client]]
name = "scan"
mtls = {{ san = "spiffe://scan/client" }}
orgs = ["*"]
providers = ["*"]
allow = ["token:read"]
[memory]
lock = "preferred"
secret_pages = "preferred"
"""
    for name, text in [("root.key", Fernet.generate_key().decode()), ("tokenkeep.toml", configuration)]:
        (room / name).write_text(text)
        (room / name).chmod(0o600)
    log = open(room / "log", "w")
    process = subprocess.Popen([daemon, "--config", room / "tokenkeep.toml"], stdout=log, stderr=log)
    for _ in range(1200):
        if "is ready" in (room / "log").read_text():
            return process, port
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    sys.exit("the daemon did not get ready:\n" + (room / "log").read_text())


def sslyze(port, room):
    out = room / "sslyze.json"
    words = ["--cert", "client.crt", "--key", "client.key", "--certinfo_ca_file", "ca.crt", "--json_out", str(out)]
    scans = ["--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--certinfo", "--reneg", "--resum",
             "--early_data", "--compression", "--heartbleed", "--robot", "--openssl_ccs", "--fallback", "--ems",
             "--elliptic_curves", "--http_headers", "--mozilla_config", "disable"]
    program = pathlib.Path(sys.executable).parent / "sslyze"
    text = subprocess.run([program, *words, *scans, f"localhost:{port}"], capture_output=True, text=True).stdout
    result = json.loads(out.read_text())["server_scan_results"][0]
    check("sslyze connected with the client certificate", result["connectivity_status"] == "COMPLETED")
    if result["connectivity_status"] != "COMPLETED":
        print(text)
        sys.exit(1)
    scan = {name: attempt["result"] for name, attempt in result["scan_result"].items()}
    for name, version in [("ssl_2_0", "SSL 2.0"), ("ssl_3_0", "SSL 3.0"), ("tls_1_0", "TLS 1.0"), ("tls_1_1", "TLS 1.1"),
                          ("tls_1_2", "TLS 1.2")]:
        check(f"{version} is refused", not scan[f"{name}_cipher_suites"]["accepted_cipher_suites"])
    accepted = {suite["cipher_suite"]["name"] for suite in scan["tls_1_3_cipher_suites"]["accepted_cipher_suites"]}
    check("TLS 1.3 is spoken, with AEAD suites alone: " + ", ".join(sorted(accepted)), accepted and accepted <= TLS13)
    curves = {curve["name"] for curve in scan["elliptic_curves"]["supported_curves"] or []}
    check("no weak curve: " + ", ".join(sorted(curves)), curves <= {"X25519", "secp256r1", "secp384r1"})
    check("no renegotiation by the client", not scan["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"])
    check("no resumption by id", scan["session_resumption"]["session_id_resumption_result"] != "FULLY_SUPPORTED")
    check("no tickets", scan["session_resumption"]["tls_ticket_resumption_result"] != "FULLY_SUPPORTED")
    check("no early data", not scan["tls_1_3_early_data"]["supports_early_data"])
    check("no compression", not scan["tls_compression"]["supports_compression"])
    check("no Heartbleed", not scan["heartbleed"]["is_vulnerable_to_heartbleed"])
    check("no CCS injection", not scan["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"])
    check("no ROBOT", scan["robot"]["robot_result"].startswith("NOT_VULNERABLE"))
    hsts = (scan["http_headers"] or {}).get("strict_transport_security_header") or {}
    check("HSTS for two years, with subdomains", hsts.get("max_age") == 63072000 and hsts.get("include_subdomains"))
    return text


def tickets_by_openssl(port):
    """sslyze tries resumption up to TLS 1.2: whether TLS 1.3 gives tickets, openssl shows."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-CAfile", "ca.crt", "-servername",
               "localhost", "-cert", "client.crt", "-key", "client.key", "-ign_eof"]
    request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    said = subprocess.run(command, input=request, capture_output=True, timeout=30).stdout.decode(errors="replace")
    check("openssl got its answer over TLS 1.3", "HTTP/1.1 200" in said)
    check("no ticket came with TLS 1.3", "New Session Ticket" not in said)


def hybrid_by_go(port, room):
    """Go's TLS is another implementation of X25519MLKEM768 than ours."""
    if not shutil.which("go"):
        print("NOT RUN: the hybrid handshake by Go, which is not installed")
        return None
    said = run("go", "run", HERE / "hybrid.go", f"localhost:{port}", cwd=room)
    check(f"Go negotiates X25519MLKEM768 when it may choose: {said.strip()}", "X25519MLKEM768" in said)
    return said


def testssl(port, room):
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    if not program:
        print("NOT RUN: testssl, which is not installed")
        return None
    command = [program, "--color", "0", "--warnings", "off", "--quiet", "--protocols", "--std", "--fs", "--server-defaults"]
    command += ["--jsonfile", str(room / "testssl.json"), f"localhost:{port}"]
    text = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    found = {finding["id"]: finding for finding in json.loads((room / "testssl.json").read_text())}
    for version in ["SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2"]:
        check(f"testssl: {version} {found[version]['finding']}", "not offered" in found[version]["finding"])
    check(f"testssl: TLS1_3 {found['TLS1_3']['finding']}", found["TLS1_3"]["finding"].startswith("offered"))
    # What it says of the certificate (a private authority, no OCSP) is of the one made for the scan.
    grave = [f for f in found.values() if f["severity"] in ("HIGH", "CRITICAL") and not f["id"].startswith("cert_")]
    bad = [f["id"] + ": " + f["finding"] for f in grave]
    check("testssl: nothing high or critical " + "; ".join(bad), not bad)
    return text


def kept(text, port, room):
    """What a scanner said, without what differs from run to run."""
    for pattern, word in [(str(port), "PORT"), (re.escape(str(room)), "ROOM"), (r"\d{4}-\d\d-\d\d.\d\d:\d\d(:\d\d)?", "TIME"),
                          (r"[ \t]+$", "")]:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.strip()


def main():
    daemon = pathlib.Path(sys.argv[1]).resolve()
    report = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(prefix="tk") as directory:
        room = pathlib.Path(directory)
        issue(room)
        process, port = start(daemon, room)
        try:
            said = {"sslyze": sslyze(port, room)}
            tickets_by_openssl(port)
            if report:
                said["Go, crypto/tls"] = hybrid_by_go(port, room)
                said["testssl"] = testssl(port, room)
        finally:
            process.terminate()
            process.wait()
        if report and not failures:
            parts = [f"## {name}\n\n```\n{kept(text, port, room)}\n```\n" for name, text in said.items() if text]
            report.write_text(
                "# What scanners say of the mTLS listener\n\n"
                "Written by `make tls-scan`, which also judges it. The listener has its configuration's defaults and "
                "certificates made for the scan.\n\n" + "\n".join(parts)
            )
    sys.exit(1 if failures else 0)


main()
