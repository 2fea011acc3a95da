"""Sends the example of every operation to the daemon, and holds each answer against the document: its status, its header
fields, its form, its shape. The examples in the document that the daemon did not write are held against it too.
"""

import json
import urllib.parse

import jsonschema_rs

# What comes to be before what is there, before what goes; an org before what is in it, and goes after.
ORDER = ["put", "post", "get", "delete"]


# What this daemon refuses, as its document says: it has no webhook, no client of ours at a provider, no backups, and no key
# but those in use.
REFUSED = {
    "testAlerts": 404,
    "beginAuthorization": 400,
    "completeAuthorization": 404,
    "listBackups": 404,
    "createBackup": 404,
    "drillBackup": 404,
    "verifyBackups": 404,
    "retireKey": 404,
}


def hold(path, line, over_tls):
    document = json.loads(path.read_text())
    held = Holder(document, over_tls)
    held.its_own_examples()
    operations = [
        (template, method, item[method], item.get("parameters", []))
        for template, item in document["paths"].items()
        for method in ORDER
        if method in item
    ]
    operations.sort(key=lambda known: (ORDER.index(known[1]), known[0].count("/")))
    # Twice what comes to be: created, then replaced.
    puts = [known for known in operations if known[1] == "put"]
    for template, method, operation, parameters in puts + operations:
        for accept in held.forms(operation):
            target = fill(template, parameters, operation)
            headers = {"Accept": accept}
            answer = line.send(method.upper(), target, headers, body_of(operation))
            held.answer(f"{method.upper()} {target} as {accept}", operation, accept, answer)


def fill(template, parameters, operation):
    for parameter in parameters:
        value = urllib.parse.quote(parameter["example"], safe="")
        template = template.replace("{" + parameter["name"] + "}", value)
    return template


def body_of(operation):
    content = operation.get("requestBody", {}).get("content")
    return content["application/json"]["examples"]["usual"]["value"] if content else None


class Holder:
    def __init__(self, document, over_tls):
        self._document = document
        self._over_tls = over_tls

    def forms(self, operation):
        """The media types that a success can have; an operation without a body takes any."""
        successes = [answer for status, answer in operation["responses"].items() if status < "300"]
        return sorted({form for answer in successes for form in answer.get("content", {"*/*": None})})

    def answer(self, what, operation, accept, answer):
        status, headers, body = answer
        known = operation["responses"].get(str(status))
        refused = REFUSED.get(operation["operationId"])
        assert known and (status < 300 if refused is None else status == refused), f"{what}: {status} {body}"
        known = self._resolve(known)
        for name, field in known["headers"].items():
            field = self._resolve(field)
            value = headers.get(name.lower())
            assert value or not field.get("required"), f"{what}: no {name}"
            if value:
                value = json.loads(value) if field["schema"].get("type") == "integer" else value
                self._shape(f"{what}: {name}", field["schema"], value)
        assert ("strict-transport-security" in headers) == self._over_tls, f"{what}: {headers}"
        content = known.get("content")
        if content is None:
            assert body == b"", f"{what}: {body}"
            return
        form = headers["content-type"].split(";")[0]
        assert form == (accept if refused is None else "application/problem+json"), f"{what}: {form}"
        value = json.loads(body) if form.endswith("json") else body.decode()
        self._shape(what, content[form]["schema"], value)

    def its_own_examples(self):
        """Every example in the document is one of its schema."""
        for node in walk(self._document):
            if "schema" in node and "examples" in node:
                for name, example in node["examples"].items():
                    self._shape(f"example {name}", node["schema"], self._resolve(example)["value"])
            elif "schema" in node and "example" in node:
                self._shape("example", node["schema"], node["example"])

    def _shape(self, what, schema, value):
        schema = {**schema, "components": self._document["components"]}
        errors = [f"{error.instance_path}: {error.message}" for error in validator(schema).iter_errors(value)]
        assert not errors, f"{what}: {errors} in {value}"

    def _resolve(self, node):
        while "$ref" in node:
            here = self._document
            for part in node["$ref"].removeprefix("#/").split("/"):
                here = here[part]
            node = here
        return node


def validator(schema):
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def walk(node):
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from walk(child)
