"""Lets a tool that only knows TCP reach a Unix socket: a port of its own, each connection passed through as it is.

Only for tests: whoever reaches the port is who the forwarder is.
"""

import socket
import threading


class Forwarder:
    def __init__(self, path):
        self._path = str(path)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self._listener.accept()
            # An answer that comes in two pieces would wait for the other side's acknowledgement otherwise.
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._path)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source, target):
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # A side that has answered and hung up takes no more; what it answered still comes through the other pump.
        pass
