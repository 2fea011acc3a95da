"""S3 for the tests: moto with signatures and rights checked, on a port of its own.

    s3.py LOG_FILE

It makes a bucket, a user who may use it and one who may not; prints what it made as one line of JSON; and serves until
its standard input ends. `POST /_fault` with {"times", "method", "status" | "cut" | "drop"} makes the next answers to that
method something else: a status, an answer that breaks off after so many bytes, a connection that is closed when the
request was read, or nothing ("drop": "never") until `POST /_go_on`. Every request is a line of LOG_FILE.
"""
import json
import os
import sys
import threading

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "1000"
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]

import boto3  # noqa: E402
from moto import settings  # noqa: E402
from moto.core.responses import ActionAuthenticatorMixin  # noqa: E402
from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

REGION = "eu-central-1"
BUCKET = "tokenkeep-backups"
log = open(sys.argv[1], "a", buffering=1)
backends = DomainDispatcherApplication(create_backend_app)
faults = []
going_on = threading.Event()


def read(environ):
    return environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def shut(environ):
    environ["werkzeug.socket"].shutdown(2)
    return []


def application(environ, start):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    log.write(json.dumps({
        "method": method, "path": path, "query": environ["QUERY_STRING"],
        "condition": environ.get("HTTP_IF_NONE_MATCH"), "checksum": "HTTP_X_AMZ_CHECKSUM_SHA256" in environ,
        "range": environ.get("HTTP_RANGE"),
    }) + "\n")
    if path == "/_fault":
        faults.append(json.loads(read(environ)))
        start("200 OK", [("Content-Length", "0")])
        return []
    if path == "/_go_on":
        going_on.set()
        start("200 OK", [("Content-Length", "0")])
        return []
    if faults and faults[0]["method"] == method:
        fault = faults[0]
        fault["times"] -= 1
        if fault["times"] <= 0:
            faults.pop(0)
        if "status" in fault:
            read(environ)
            start(f"{fault['status']} Said", [("Content-Length", "0")])
            return []
        if fault.get("drop") == "never":
            going_on.wait()
            return backends(environ, start)
        if fault.get("drop") == "before":
            read(environ)
            return shut(environ)
        if fault.get("drop") == "after":
            # Done, and the answer is lost.
            b"".join(backends(environ, start))
            return shut(environ)
        return cut(environ, start, fault["cut"])
    return backends(environ, start)


def cut(environ, start, length):
    whole = b"".join(backends(environ, start))
    yield whole[:length]
    shut(environ)


def client(service):
    return boto3.client(
        service, region_name=REGION, endpoint_url=address, aws_access_key_id="set-up", aws_secret_access_key="set-up",
    )


def furnish():
    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    iam = client("iam")
    users = {}
    for user in ["keeper", "stranger"]:
        iam.create_user(UserName=user)
        keys = iam.create_access_key(UserName=user)["AccessKey"]
        users[user] = {"id": keys["AccessKeyId"], "secret": keys["SecretAccessKey"]}
    actions = ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="keeper", PolicyName="backups", PolicyDocument=policy)
    return {"address": address, "bucket": BUCKET, "users": users}


server = make_server("127.0.0.1", 0, application, threaded=True)
address = f"http://127.0.0.1:{server.server_port}"
threading.Thread(target=server.serve_forever, daemon=True).start()
made = furnish()
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
ActionAuthenticatorMixin.request_count = 0
print(json.dumps(made), flush=True)
sys.stdin.read()
