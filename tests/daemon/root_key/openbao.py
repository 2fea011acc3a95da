"""OpenBao for the tests, over TLS, on a port of its own: the real server, or one that stands in for it.

    openbao.py KEY_LIST_FILE CERTIFICATE KEY CA LOG_FILE

TOKENKEEP_TEST_OPENBAO names a program to run, `bao` or `vault`. Without it a server in `openbao_stand_in.py` takes its
place. Either is furnished, and first read, by the official client hvac: what hvac does not accept is no OpenBao. It prints
what it made as a line of JSON, then does what each line of its input says and prints the result.
"""
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time

import hvac
import hvac.exceptions
import requests

key_list = open(sys.argv[1]).read()
certificate, key, ca, log_file = sys.argv[2:6]
for name in [name for name in os.environ if name.startswith(("VAULT_", "BAO_"))]:
    del os.environ[name]
POLICY = 'path "secret/data/tokenkeep/*" { capabilities = ["read"] }'


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start_real(program):
    port = free_port()
    configuration = os.path.join(os.path.dirname(log_file), "server.hcl")
    with open(configuration, "w") as file:
        file.write(
            f'listener "tcp" {{\n  address = "127.0.0.1:{port}"\n  tls_cert_file = "{certificate}"\n'
            f'  tls_key_file = "{key}"\n}}\nstorage "inmem" {{}}\ndisable_mlock = true\n'
            f'api_addr = "https://localhost:{port}"\n'
        )
    command = [program, "server", f"-config={configuration}"]
    subprocess.Popen(command, stdout=sys.stderr, stderr=sys.stderr, preexec_fn=end_with_parent)
    return port


def start_stand_in():
    import openbao_stand_in

    return openbao_stand_in.start(certificate, key)


def patiently(what):
    """A server that has just been started or unsealed takes a moment."""
    for _ in range(600):
        try:
            return what()
        except (requests.ConnectionError, hvac.exceptions.VaultError):
            time.sleep(0.1)
    return what()


program = os.environ.get("TOKENKEEP_TEST_OPENBAO")
port = start_real(program) if program else start_stand_in()
address = f"https://localhost:{port}"
client = hvac.Client(url=address, verify=ca)
began = patiently(lambda: client.sys.initialize(secret_shares=1, secret_threshold=1))
unseal_key, client.token = began["keys"][0], began["root_token"]


def unseal():
    client.sys.submit_unseal_key(unseal_key)
    patiently(lambda: client.sys.list_mounted_secrets_engines())


unseal()
client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
kv = client.secrets.kv.v2
patiently(lambda: kv.create_or_update_secret("tokenkeep/root", {"keys": key_list, "other": "x"}))
kv.create_or_update_secret("tokenkeep/wrong", {"keys": "hunter2-is-no-key\n"})
kv.create_or_update_secret("tokenkeep/list", {"keys": ["hunter2"]})
kv.create_or_update_secret("tokenkeep/deleted", {"keys": key_list})
kv.delete_latest_version_of_secret("tokenkeep/deleted")
kv.create_or_update_secret("elsewhere/root", {"keys": key_list})
client.sys.create_or_update_policy("tokenkeep", POLICY)
client.sys.enable_auth_method("approle")
approle = client.auth.approle
approle.create_or_update_approle("tokenkeep", token_policies=["tokenkeep"], token_ttl="10m")
role_id = approle.read_role_id("tokenkeep")["data"]["role_id"]


def secret_id():
    return approle.generate_secret_id("tokenkeep")["data"]["secret_id"]


def token(policies):
    return client.auth.token.create(policies=policies, ttl="1h")["auth"]["client_token"]


def open_wrapped(wrapped):
    return hvac.Client(url=address, verify=ca, token=wrapped).sys.unwrap()["data"]


def wrap(data):
    answer = client.adapter.post("/v1/sys/wrapping/wrap", json=data, wrap_ttl="60s")
    return answer["wrap_info"]["token"]


def done(what):
    return {"done": True}


# hvac itself goes the whole way first.
other = hvac.Client(url=address, verify=ca)
other.auth.approle.login(role_id, secret_id())
read = other.secrets.kv.v2.read_secret_version("tokenkeep/root", raise_on_deleted_version=True)
assert read["data"]["data"]["keys"] == key_list
other.auth.token.revoke_self()
try:
    other.auth.approle.login(role_id, "none")
    sys.exit("a wrong secret id was taken")
except hvac.exceptions.InvalidRequest:
    pass

WORK = {
    "accessors": lambda told: {"count": len(client.list("auth/token/accessors")["data"]["keys"])},
    "open": lambda told: open_wrapped(told["token"]),
    "put": lambda told: done(kv.create_or_update_secret(told["path"], {"keys": key_list})),
    "rewrap": lambda told: {"token": wrap(open_wrapped(told["token"]))},
    "seal": lambda told: done(client.sys.seal()),
    "secret_id": lambda told: {"secret_id": secret_id()},
    "token": lambda told: {"token": token(told["policies"])},
    "unseal": lambda told: done(unseal()),
    "wrap": lambda told: {"token": approle.generate_secret_id("tokenkeep", wrap_ttl="60s")["wrap_info"]["token"]},
}
print(json.dumps({"address": address, "port": port, "role_id": role_id}), flush=True)
for line in sys.stdin:
    told = json.loads(line)
    print(json.dumps(WORK[told["do"]](told)), flush=True)
