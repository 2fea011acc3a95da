"""OpenBao for the container: the stand-in of the daemon's tests, with a key list and a token that may read it.

    bao.py CERTIFICATE KEY KEY_LIST_FILE TOKEN_FILE ADDRESS_FILE
"""
import sys
import threading

import openbao_stand_in as bao

certificate, key, key_list, token, address = sys.argv[1:]
bao.state.sealed, bao.state.root = False, "none"
bao.state.secrets["tokenkeep/root"] = {"keys": open(key_list).read()}
with open(token, "w") as file:
    file.write(bao.state.token(["tokenkeep"]))
port = bao.start(certificate, key)
with open(address, "w") as file:
    file.write(f"https://localhost:{port}")
threading.Event().wait()
