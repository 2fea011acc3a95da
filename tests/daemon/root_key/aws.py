"""AWS for the tests: moto with signatures and rights checked, on a port of its own, over HTTP or TLS.

    aws.py KEY_LIST_FILE [CERTIFICATE KEY] LOG_FILE

It makes secrets, a user who may read them, one who may not, and a role; prints what it made as one line of JSON; and
serves until its standard input ends. Beside moto it stands in for what only a host of AWS has: the metadata of an
instance (version 2 alone: moto's own token, no answer without it) and of a container, whose credentials are those of a
role in moto, so that what is signed with them is checked too. `POST /_fault` with {"times", "status", "body",
"location", "delay"} makes the next answers of Secrets Manager that instead. Every request is a line of LOG_FILE.
"""
import io
import json
import os
import sys
import threading
import time
import urllib.parse

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "1000"
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]

import boto3  # noqa: E402
from moto import settings  # noqa: E402
from moto.core.responses import ActionAuthenticatorMixin  # noqa: E402
from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

REGION = "eu-central-1"
ROLE = "/latest/meta-data/iam/security-credentials/"
CONTAINER_TOKEN = "container-token-canary"

key_list = open(sys.argv[1]).read()
log = open(sys.argv[-1], "a", buffering=1)
tls = tuple(sys.argv[2:-1]) or None
backends = DomainDispatcherApplication(create_backend_app)
WEB_TOKEN = "header.payload/+=.signature-canary"
unsigned = threading.Lock()
faults = []
role_credentials = {}


def read(environ):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return environ["wsgi.input"].read(length)


def answer(start, status, body=b"", **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    start(f"{status} Said", [("Content-Length", str(len(body)))] + list(headers.items()))
    return [body]


def host_of_aws(environ, start):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    token = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN")
    log.write(json.dumps({"method": method, "path": path, "target": target, "token": bool(token)}) + "\n")
    if path == "/_fault":
        faults.extend([json.loads(read(environ))])
        return answer(start, 200)
    if path.startswith(ROLE):
        if not token:
            return answer(start, 401)
        return answer(start, 200, role_credentials if path != ROLE else b"the-role")
    if path == "/container":
        if environ.get("HTTP_AUTHORIZATION") != CONTAINER_TOKEN:
            return answer(start, 403)
        return answer(start, 200, role_credentials)
    if target and faults:
        fault = faults[0]
        fault["times"] -= 1
        if fault["times"] <= 0:
            faults.pop(0)
        time.sleep(fault.get("delay", 0))
        extra = {"Location": fault["location"]} if "location" in fault else {}
        return answer(start, fault["status"], fault.get("body", "").encode(), **extra)
    if target or method != "POST":
        return backends(environ, start)
    return web_identity(environ, start)


def web_identity(environ, start):
    """The one call that nobody signs, which moto with rights checked does not know: the token is the proof."""
    body = read(environ)
    environ["wsgi.input"] = io.BytesIO(body)
    form = urllib.parse.parse_qs(body.decode())
    if form.get("Action") != ["AssumeRoleWithWebIdentity"]:
        return backends(environ, start)
    if form["WebIdentityToken"] != [WEB_TOKEN] or "HTTP_AUTHORIZATION" in environ:
        said = b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>"
        return answer(start, 400, said)
    with unsigned:
        checked, settings.INITIAL_NO_AUTH_ACTION_COUNT = settings.INITIAL_NO_AUTH_ACTION_COUNT, 1e9
        try:
            return list(backends(environ, start))
        finally:
            settings.INITIAL_NO_AUTH_ACTION_COUNT = checked


def client(service, keys=None):
    return boto3.client(
        service, region_name=REGION, endpoint_url=address, verify=False,
        aws_access_key_id="set-up" if keys is None else keys["AccessKeyId"],
        aws_secret_access_key="set-up" if keys is None else keys["SecretAccessKey"],
    )


def policy():
    # moto does not look at which secret it is: it judges every request by the resource "*".
    statement = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def furnish():
    secrets, iam = client("secretsmanager"), client("iam")
    arn = secrets.create_secret(Name="tokenkeep/root", SecretString=key_list)["ARN"]
    secrets.create_secret(Name="tokenkeep/binary", SecretBinary=key_list.encode())
    secrets.create_secret(Name="tokenkeep/wrong", SecretString="hunter2-is-no-key\n")
    secrets.create_secret(Name="tokenkeep/huge", SecretString="a" * 65_536 + "\n")
    secrets.create_secret(Name="tokenkeep/deleted", SecretString=key_list)
    secrets.delete_secret(SecretId="tokenkeep/deleted")
    users = {}
    for user in ["reader", "stranger"]:
        iam.create_user(UserName=user)
        users[user] = iam.create_access_key(UserName=user)["AccessKey"]
    iam.put_user_policy(UserName="reader", PolicyName="root-key", PolicyDocument=policy())
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = iam.create_role(RoleName="the-role", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName="the-role", PolicyName="root-key", PolicyDocument=policy())
    assumed = client("sts").assume_role(RoleArn=role, RoleSessionName="host")["Credentials"]
    role_credentials.update({
        "Code": "Success", "AccessKeyId": assumed["AccessKeyId"], "SecretAccessKey": assumed["SecretAccessKey"],
        "Token": assumed["SessionToken"], "Expiration": "2099-01-01T00:00:00Z",
    })
    named = {name: {"id": keys["AccessKeyId"], "secret": keys["SecretAccessKey"]} for name, keys in users.items()}
    return {"address": address, "arn": arn, "role": role, "users": named, "container_token": CONTAINER_TOKEN,
            "web_token": WEB_TOKEN}


server = make_server("127.0.0.1", 0, host_of_aws, threaded=True, ssl_context=tls)
address = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
threading.Thread(target=server.serve_forever, daemon=True).start()
made = furnish()
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
ActionAuthenticatorMixin.request_count = 0
print(json.dumps(made), flush=True)
sys.stdin.read()
