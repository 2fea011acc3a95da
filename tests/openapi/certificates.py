"""A second door: certificates made for it by openssl, and the settings that open it to one client."""

import socket
import ssl
import subprocess

from line import Line

SAN = "spiffe://example/schemathesis"


class Door:
    def __init__(self, room):
        self._room = room
        # Asked of the kernel and given back: the daemon takes it a moment later.
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._authority("ca")
        self._certificate("server", "ca", "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth")
        self._certificate("client", "ca", f"subjectAltName=URI:{SAN}\nextendedKeyUsage=clientAuth")
        self.url = f"https://localhost:{self._port}"

    def settings(self):
        """What is added to a configuration of development."""
        file = self._file
        return (
            f'\n[[client]]\nname = "schemathesis"\nmtls = {{ san = "{SAN}" }}\n'
            'orgs = ["*"]\nproviders = ["*"]\nallow = ["*"]\n'
            f'\n[listen.mtls]\naddress = "127.0.0.1:{self._port}"\ncertificate = "{file("server.crt")}"\n'
            f'key = "{file("server.key")}"\nclient_ca = "{file("ca.crt")}"\n'
        )

    def line(self):
        context = ssl.create_default_context(cafile=self._file("ca.crt"))
        context.load_cert_chain(self._file("client.crt"), self._file("client.key"))
        return Line.tls(("localhost", self._port), context)

    def options(self):
        return [
            "--tls-verify", self._file("ca.crt"),
            "--request-cert", self._file("client.crt"),
            "--request-cert-key", self._file("client.key"),
        ]

    def _file(self, name):
        return str(self._room / name)

    def _authority(self, name):
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", self._file(f"{name}.key"), "-out", self._file(f"{name}.crt"),
        )

    def _certificate(self, name, issuer, extensions):
        (self._room / f"{name}.ext").write_text(extensions + "\n")
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", self._file(f"{name}.key"), "-out", self._file(f"{name}.csr"),
        )
        self._openssl(
            "x509", "-req", "-in", self._file(f"{name}.csr"), "-CA", self._file(f"{issuer}.crt"),
            "-CAkey", self._file(f"{issuer}.key"), "-days", "2", "-extfile", self._file(f"{name}.ext"),
            "-out", self._file(f"{name}.crt"),
        )

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, umask=0o077)
