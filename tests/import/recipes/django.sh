# What an application has before the recipe begins: a Django project whose accounts have sealed tokens.
cat >settings.py <<'PY'
import os

SECRET_KEY = "the secret key of the tests"
FERNET_KEYS = ["the new key of the tests", SECRET_KEY]
INSTALLED_APPS = ["accounts"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "USER": os.environ["PGUSER"],
        "HOST": os.environ["PGHOST"],
    }
}
PY
cat >manage.py <<'PY'
import sys

from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
PY
touch accounts/__init__.py
export DJANGO_SETTINGS_MODULE=settings
python manage.py makemigrations -v 0 accounts
python manage.py migrate -v 0
fill() {
    python - "$@" <<'PY'
import sys

import django

django.setup()
from django.conf import settings

settings.FERNET_KEYS = settings.FERNET_KEYS[int(sys.argv[3]) :]
from accounts.models import OAuthAccount

for i in range(int(sys.argv[1]), int(sys.argv[2])):
    OAuthAccount.objects.create(
        organization=f"org-{i}",
        provider="github",
        uid=f"user:{i}",
        access_token=f"gho_{i}",
        refresh_token=f"ghr_{i}",
        expires_at="2031-01-02T03:04:05+00:00",
        scopes="repo user",
    )
PY
}
fill 0 10 1
fill 10 20 0
