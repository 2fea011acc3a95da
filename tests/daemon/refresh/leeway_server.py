"""A second provider for the tests of refreshing: django-oauth-toolkit, on a free loopback port, in memory.

It rotates, a spent refresh token still works for REFRESH_TOKEN_GRACE_PERIOD_SECONDS and gives the same tokens again, and one
that is shown after that ends the whole family (REFRESH_TOKEN_REUSE_PROTECTION). What it says is its own; here answers are
thrown away, and requests noted.

Usage: leeway_server.py CLIENT_SECRET. Prints its port. Takes a JSON object a line, and answers each with one:
{"do": "issue"} gives a refresh token, {"do": "drop", "kill": pid or null} throws the next answer away and kills that process
in that moment, {"do": "grace", "seconds": n} sets the leeway, {"do": "log"} gives each request so far: what was shown,
hashed, the status, and whether the answer was thrown away.
"""

import hashlib
import io
import json
import os
import secrets
import signal
import socket
import sys
import threading
import urllib.parse
import uuid
from datetime import timedelta
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

SCOPES = {"read": "read", "offline_access": "offline"}
settings.configure(
    ALLOWED_HOSTS=["*"],
    # Named and shared: the requests run on one thread, the tests' wishes on another.
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:leeway?mode=memory&cache=shared"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 60,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "ROTATE_REFRESH_TOKEN": True,
        "SCOPES": SCOPES,
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402
from oauth2_provider.models import AccessToken, Application, RefreshToken  # noqa: E402
from oauth2_provider.settings import oauth2_settings  # noqa: E402
from oauth2_provider.views import TokenView  # noqa: E402

urlpatterns = [path("o/token/", TokenView.as_view())]
log, drops = [], []


class Handler(WSGIRequestHandler):
    def get_environ(self):
        return {**super().get_environ(), "tests.connection": self.connection}

    def log_message(self, *_):
        pass


def noted(application):
    def answer(environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        shown = urllib.parse.parse_qs(body.decode()).get("refresh_token", [""])[0]
        environ["wsgi.input"] = io.BytesIO(body)
        statuses = []

        def start(status, headers, *rest):
            statuses.append(int(status[:3]))
            return start_response(status, headers, *rest)

        said = list(application(environ, start))
        drop = drops.pop() if drops else None
        hashed = hashlib.sha256(shown.encode()).hexdigest()[:16]
        log.append({"token": hashed, "status": statuses[0], "lost": drop is not None})
        if drop is not None:
            if drop["kill"]:
                os.kill(drop["kill"], signal.SIGKILL)
            environ["tests.connection"].shutdown(socket.SHUT_RDWR)
        return said

    return answer


def issue(client):
    user, _ = User.objects.get_or_create(username="jane")
    access = AccessToken.objects.create(
        application=client,
        expires=timezone.now() + timedelta(hours=1),
        scope=" ".join(SCOPES),
        token=secrets.token_urlsafe(),
        user=user,
    )
    token = secrets.token_urlsafe()
    RefreshToken.objects.create(
        access_token=access, application=client, token=token, token_family=uuid.uuid4(), user=user
    )
    return token


def main():
    call_command("migrate", verbosity=0)
    client = Application.objects.create(
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        client_id="leeway",
        client_secret=sys.argv[1],
        client_type=Application.CLIENT_CONFIDENTIAL,
        hash_client_secret=False,
        redirect_uris="https://app.example/callback",
    )
    server = make_server("127.0.0.1", 0, noted(get_wsgi_application()), handler_class=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        answer = {}
        if wish["do"] == "issue":
            answer = {"token": issue(client)}
        elif wish["do"] == "drop":
            drops.append(wish)
        elif wish["do"] == "grace":
            oauth2_settings.REFRESH_TOKEN_GRACE_PERIOD_SECONDS = wish["seconds"]
        elif wish["do"] == "log":
            answer = log
        print(json.dumps(answer), flush=True)


main()
