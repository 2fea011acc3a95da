"""Stands in for OpenBao where there is none: as much of its API as the tests use, as its documentation and hvac have it.

`openbao.py` furnishes it by hvac and reads from it by hvac before any test does; `make test-openbao` runs the same tests
against the real server, so that what stands in cannot drift from it unnoticed.
"""
import http.server
import json
import secrets
import ssl
import threading


class Refused(Exception):
    def __init__(self, status, *errors, data=None):
        self.status, self.body = status, {"errors": list(errors)}
        if data is not None:
            self.body = {"data": data, "errors": []}


class State:
    def __init__(self):
        self.sealed, self.root, self.unseal_key = True, None, None
        self.tokens, self.wrapped, self.secret_ids = {}, {}, set()
        self.secrets, self.role_id = {}, secrets.token_hex(16)

    def token(self, policies):
        token = "hvs." + secrets.token_hex(12)
        self.tokens[token] = policies
        return token

    def open(self, token):
        if token not in self.wrapped:
            raise Refused(400, "wrapping token is not valid or does not exist")
        return self.wrapped.pop(token)[1]


state = State()


def auth(token, policies):
    return {"auth": {"client_token": token, "policies": policies, "lease_duration": 600, "renewable": True}}


def sys(method, path, body, token):
    if path == "sys/init":
        state.root, state.unseal_key = state.token(["root"]), secrets.token_hex(32)
        return {"keys": [state.unseal_key], "keys_base64": [state.unseal_key], "root_token": state.root}
    if path == "sys/unseal":
        state.sealed = state.sealed and body["key"] != state.unseal_key
        return {"sealed": state.sealed, "t": 1, "n": 1, "progress": 0}
    if state.sealed:
        raise Refused(503, "Vault is sealed")
    if path == "sys/wrapping/lookup":
        if body["token"] not in state.wrapped:
            raise Refused(403, "permission denied")
        return {"data": {"creation_path": state.wrapped[body["token"]][0], "creation_ttl": 60}}
    if path == "sys/wrapping/unwrap":
        return state.open(body.get("token", token) if body else token)
    if token != state.root:
        raise Refused(403, "permission denied")
    if path == "sys/wrapping/wrap":
        return {"data": body}
    if path == "sys/seal":
        state.sealed = True
    if path == "sys/mounts" and method == "GET":
        return {"data": {}}
    return None


def kv(method, name, body, token):
    if token != state.root and not (method == "GET" and "tokenkeep" in state.tokens[token] and name.startswith("tokenkeep/")):
        raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")
    if method in ("POST", "PUT"):
        state.secrets[name] = body["data"]
        return {"data": {"version": 1, "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": False}}
    if name not in state.secrets:
        raise Refused(404)
    if method == "DELETE":
        state.secrets[name] = None
        return None
    metadata = {"version": 1, "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": False}
    if state.secrets[name] is None:
        metadata["deletion_time"] = "2026-01-01T00:00:01Z"
        raise Refused(404, data={"data": None, "metadata": metadata})
    return {"data": {"data": state.secrets[name], "metadata": metadata}}


def approle(method, rest, body, token):
    if rest == "login":
        if body["role_id"] != state.role_id or body["secret_id"] not in state.secret_ids:
            raise Refused(400, "invalid role or secret ID")
        policies = ["default", "tokenkeep"]
        return auth(state.token(policies), policies)
    if token != state.root:
        raise Refused(403, "permission denied")
    if rest == "role/tokenkeep/role-id":
        return {"data": {"role_id": state.role_id}}
    if rest == "role/tokenkeep/secret-id":
        state.secret_ids.add(made := secrets.token_hex(16))
        return {"data": {"secret_id": made, "secret_id_accessor": secrets.token_hex(16)}}
    return None


def own(method, rest, body, token):
    if rest == "lookup-self":
        return {"data": {"id": token, "policies": state.tokens[token]}}
    if rest == "revoke-self":
        del state.tokens[token]
        return None
    if token != state.root:
        raise Refused(403, "permission denied")
    if rest == "create":
        policies = ["default"] + body.get("policies", [])
        return auth(state.token(policies), policies)
    if rest == "revoke":
        state.tokens.pop(body["token"], None)
        return None
    return {"data": {"keys": list(state.tokens)}}


def answer(method, path, body, token):
    if path.startswith("sys/"):
        return sys(method, path, body, token)
    if state.sealed:
        raise Refused(503, "Vault is sealed")
    if path == "auth/approle/login":
        return approle(method, "login", body, token)
    if token not in state.tokens:
        raise Refused(403, "permission denied", "invalid token")
    if path.startswith("secret/data/"):
        return kv(method, path.removeprefix("secret/data/"), body, token)
    if path.startswith("auth/approle/"):
        return approle(method, path.removeprefix("auth/approle/"), body, token)
    if path.startswith("auth/token/"):
        return own(method, path.removeprefix("auth/token/"), body, token)
    if token != state.root:
        raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")
    raise Refused(404, f'no handler for route "{path}". route entry not found.')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        path = self.path.removeprefix("/v1/").split("?")[0]
        token = self.headers.get("X-Vault-Token", "")
        with self.lock:
            try:
                said, status = answer(self.command, path, body, token), 200
                if said is not None and self.headers.get("X-Vault-Wrap-TTL"):
                    wrapping = "hvs." + secrets.token_hex(12)
                    state.wrapped[wrapping] = (path, said)
                    said = {"wrap_info": {"token": wrapping, "ttl": 60, "creation_path": path}}
            except Refused as refused:
                said, status = refused.body, refused.status
        said = b"" if said is None else json.dumps(said).encode()
        self.send_response(status if said else 204)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_DELETE = do_LIST = handle_any


def start(certificate, key):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
