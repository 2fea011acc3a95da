"""What schemathesis cannot read from the documents.

Never makes a request valid that is not, nor the other way round, but for what OpenAPI has no words for.
"""

import itertools
import re

import schemathesis
from hypothesis import strategies as st


CALLS = itertools.count()
CONDITIONS = {"If-Match": r'"[0-9]+"', "If-None-Match": r"\*"}


def moments():
    at = st.datetimes(min_value=_year(1970), max_value=_year(9999))
    return at.map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + "Z")


def _year(year):
    import datetime

    return datetime.datetime(year, 1, 1)


# The format is any zone's; the pattern beside it wants UTC. One strategy that serves both.
schemathesis.openapi.format("date-time", moments())


@schemathesis.hook
def map_body(context, body):
    # To JSON Schema 7.0 is an integer; the daemon wants digits alone, and so does RFC 8259 leave it free to.
    return whole(body)


def whole(value):
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    # OpenAPI cannot say that two parameters exclude each other; and a condition that never holds would hide what lies
    # behind it, so most requests go without.
    headers = case.headers or {}
    sound = [name for name, form in CONDITIONS.items() if re.fullmatch(form, headers.get(name, ""))]
    if len(sound) == 2 or (sound and next(CALLS) % 4):
        for name in sound:
            del headers[name]
