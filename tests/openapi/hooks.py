"""What schemathesis cannot read from the documents.

Never makes a request valid that is not, nor the other way round, but for what OpenAPI has no words for.
"""

import schemathesis
from hypothesis import strategies as st


def moments():
    at = st.datetimes(min_value=_year(1970), max_value=_year(9999))
    return at.map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + "Z")


def _year(year):
    import datetime

    return datetime.datetime(year, 1, 1)


# The format is any zone's; the pattern beside it wants UTC. One strategy that serves both.
schemathesis.openapi.format("date-time", moments())


@schemathesis.hook
def map_headers(context, headers):
    # OpenAPI cannot say that two parameters exclude each other.
    if headers and "If-Match" in headers and "If-None-Match" in headers:
        del headers["If-None-Match"]
    return headers
