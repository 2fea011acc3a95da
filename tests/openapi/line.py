"""A plain HTTP/1.1 line to the daemon, over a Unix socket or TLS, that says what came and judges nothing."""

import http.client
import json
import socket


class Line:
    def __init__(self, connect):
        self._connect = connect

    @classmethod
    def unix(cls, path):
        def connect():
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(path))
            return far

        return cls(connect)

    @classmethod
    def tls(cls, address, context):
        return cls(lambda: context.wrap_socket(socket.create_connection(address), server_hostname=address[0]))

    def send(self, method, target, headers=None, body=None):
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = self._connect()
        headers = dict(headers or {})
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        came = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return came
