#!/usr/bin/env python3
"""Opens a vault without tokenkeep: the root key list, vault.json, snapshots and journal give back everything.

    python3 recover.py ROOT_KEY_FILE VAULT_JSON JOURNAL_DIRECTORY [CIPHERTEXTS] > recovered.jsonl

CIPHERTEXTS is a file of what /encrypt gave out, from the application's database: an org, a blank and a ciphertext a line.

The directory `snapshots` is looked for beside JOURNAL_DIRECTORY; without one the journal must reach back to its first record.

Needs `cryptography` (pip install cryptography) and nothing of tokenkeep. docs/recovery.md says each byte of what is
read here. What is printed is in clear: write it where only you can read, and destroy it afterwards.

Exit: 0 all of it, 1 something is missing, does not open, or is not where it belongs (stderr says what; the rest is
printed as it stood last).
"""
import base64
import hashlib
import hmac
import json
import pathlib
import struct
import sys

from cryptography.fernet import Fernet, InvalidToken

ORG, CONNECTION, SECRET, SECRET_VERSION, CIPHERTEXT_TABLE, GRANT = 1, 2, 3, 4, 7, 8  # tables
REVOCATION, AUTHORIZATION, CONSENT_TABLE, KEY_ROTATION = 20, 21, 22, 26  # tables, too
SYSTEM_KEY, INDEX_KEY, JOURNAL_KEY, ORG_KEY, METADATA = 1, 2, 3, 5, 6  # fields
ACCESS_TOKEN, REFRESH_TOKEN, PREVIOUS_REFRESH_TOKEN, ID_TOKEN, VALUE, CIPHERTEXT = 7, 8, 9, 10, 11, 14
CONSENT, FORMER_ORG_KEY, RETIRED_ORG_KEY, KEY_NOTE = 32, 40, 41, 42


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def key_id(text):
    return mac(b"tokenkeep key id, version 1".ljust(32, b"\0"), text)[:8].hex()


def read_keys(path):
    """One Fernet key a line; by id, because each sealed value names the key that opens it."""
    lines = [line.strip() for line in pathlib.Path(path).read_bytes().splitlines()]
    return {key_id(line): line for line in lines if line and not line.startswith(b"#")}


def open_sealed(key, token, vault, table, record, field):
    """Opens a Fernet token and checks that it belongs here. Gives the generation and the value."""
    frame = Fernet(key).decrypt(token)
    head = b"\1" + vault + bytes([table]) + record + bytes([field])
    if frame[:51] != head:
        raise ValueError("it opens, but belongs elsewhere")
    return struct.unpack(">Q", frame[51:59])[0], frame[59:]


class Vault:
    """vault.json: the vault's own keys, sealed under a root key and under the system key."""

    def __init__(self, path, root_keys):
        header = json.loads(pathlib.Path(path).read_text())
        if header["format"] != 1:
            raise SystemExit(f"vault.json has format {header['format']}, this program reads 1")
        self.id, self.root_keys = bytes.fromhex(header["vault_id"]), root_keys
        wrap = header["system_key"]
        if wrap["key_id"] not in root_keys:
            raise SystemExit(f"the root key list lacks key {wrap['key_id']}")

        def own(key, sealed, field):
            return open_sealed(key, sealed["sealed"], self.id, 0, bytes(32), field)[1]

        unwrapped = own(root_keys[wrap["key_id"]], wrap, SYSTEM_KEY)
        self.system_key, environment = unwrapped[:44], unwrapped[44:]
        if environment != header["environment"].encode():
            raise SystemExit("vault.json: the environment was changed by hand")
        self.index_key = own(self.system_key, header["index_key"], INDEX_KEY)
        self.journal_key = own(self.system_key, header["journal_key"], JOURNAL_KEY)
        tag = header.pop("tag", None)
        said = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if tag is not None and mac(mac(self.index_key, b"vault header"), b"header\0", said).hex() != tag:
            raise SystemExit("vault.json is not what was written")

    def blind(self, label, *parts):
        return mac(self.index_key, label + b"\0", *parts)[:16]


def read_snapshot(vault, path):
    """What the snapshot holds, and the mark after which the journal goes on. None where it is not whole."""
    key, data = mac(vault.journal_key, b"snapshot"), path.read_bytes()
    if len(data) < 224 or data[:8] != b"tkeepsnp" or data[16:32] != vault.id:
        return None
    chain = mac(key, data[:144])
    if chain != data[144:176] or struct.unpack_from("<I", data, 8) != (1,):
        return None
    store, at, count = {}, 180, 1
    while count and at + 44 <= len(data):
        length, count = struct.unpack_from("<II", data, at)
        block = data[at : at + length]
        chain = mac(key, chain, block[:-36])
        if len(block) != length or chain != block[-36:-4]:
            return None
        record = 8
        for _ in range(count):
            (size,) = struct.unpack_from("<I", block, record + 41)
            store[block[record : record + 33]] = block[record + 45 : record + 45 + size]
            record += 45 + size
        at += length
    (records,) = struct.unpack_from("<Q", data, 120)
    whole = count == 0 and at == len(data) and len(store) == records
    return (store, int.from_bytes(data[32:40], "little"), data[40:72], records) if whole else None


def read_base(vault, directory, first):
    """The newest snapshot that is whole and that a journal goes on after which begins with `first`; else nothing at all."""
    for path in sorted(pathlib.Path(directory).glob("[0-9]*.snapshot"), reverse=True):
        if int(path.name[:20]) + 1 >= first:
            if base := read_snapshot(vault, path):
                return base
            print(f"{path}: not a whole snapshot of this vault", file=sys.stderr)
    return {}, 0, bytes(32), 0


def read_journal(vault, directory):
    """Applies every change of every whole record beyond the newest snapshot, in order. Gives the store (bytes under
    33-byte keys), and whether the journal is without a gap."""
    head_key, record_key = mac(vault.journal_key, b"journal segment"), mac(vault.journal_key, b"journal record")
    segments = sorted(pathlib.Path(directory).glob("[0-9]*.journal"))
    first = int(segments[0].name[:20]) if segments else 1
    store, base, base_chain, count = read_base(vault, pathlib.Path(directory).parent / "snapshots", first)
    if not segments and not base:
        raise SystemExit(f"{directory}: no journal, and no snapshot beside it")
    if first > base + 1:
        raise SystemExit(f"{directory}: begins with record {first}, and no snapshot beside it holds those before")
    sequence, chain = (0, bytes(32)) if first == 1 else (None, None)
    for path in segments:
        segment = path.read_bytes()
        magic, form, owner, first, before = struct.unpack_from("<8sI4x16sQ32s", segment)
        if (magic, form, owner) != (b"tkeepjrn", 1, vault.id) or mac(head_key, segment[:72]) != segment[72:104]:
            raise SystemExit(f"{path}: not a segment of this vault's journal")
        if sequence is None:
            sequence, chain = first - 1, before
        if (first, before) != (sequence + 1, chain):
            print(f"{path}: goes on after record {first - 1}; only {sequence} could be read before it", file=sys.stderr)
            return store, False
        at = 4096
        while record := whole_record(record_key, chain, sequence + 1, segment, at):
            sequence, chain, at = sequence + 1, record[-36:-4], at + len(record)
            if sequence == base and chain != base_chain:
                raise SystemExit(f"{path}: record {base} is not the one that the snapshot holds")
            if sequence > base:
                apply(record, store)
                (count,) = struct.unpack_from("<Q", record, 60)
        if rest := segment[at:].rstrip(b"\0"):  # at the very end: what a crash leaves of a change nobody was told of
            print(f"{path}: the {len(rest)} bytes after record {sequence} are no whole record", file=sys.stderr)
    if segments and sequence < base:
        print(f"{directory}: ends with record {sequence}, and the snapshot holds record {base}", file=sys.stderr)
        return store, False
    if len(store) != count:
        raise SystemExit(f"{directory}: there are {len(store)} records where the journal says {count}")
    return store, True


def whole_record(key, chain, sequence, segment, at):
    """The record there, if its MAC holds. (The MAC covers more than the CRC32C behind it, so that goes unread.)"""
    length = int.from_bytes(segment[at : at + 4], "little")
    record = segment[at : at + length]
    if 128 <= length <= 1 << 20 and len(record) == length:
        in_order = int.from_bytes(record[4:12], "little") == sequence
        if in_order and hmac.compare_digest(mac(key, chain, record[:-36]), record[-36:-4]):
            return record
    return None


def apply(record, store):
    at = 88 + int.from_bytes(record[84:88], "little")  # behind the note
    (count,), at = struct.unpack_from("<I", record, at), at + 4
    for _ in range(count):
        put, key, at = record[at], record[at + 1 : at + 34], at + 34
        if not put:
            store.pop(key, None)
            continue
        length = int.from_bytes(record[at : at + 4], "little")
        store[key], at = record[at + 4 : at + 4 + length], at + 4 + length


def sections(record):
    """The clear header of a record: its generation, and by field the key id and the Fernet token."""
    generation, listed = all_sections(record)
    return generation, {field: section for field, section in listed}


def all_sections(record):
    """Likewise, in order: an org has one for each of its earlier keys."""
    version, generation, count = struct.unpack_from(">BQB", record)
    listed, at = [], 10 + 13 * count
    for entry in range(count):
        field, id, length = struct.unpack_from(">B8sI", record, 10 + 13 * entry)
        listed.append((field, (id.hex(), record[at : at + length])))
        at += length
    if version != 1 or at != len(record):
        raise ValueError("it is not a record")
    return generation, listed


class Org:
    """One org: its keys, unwrapped; what is under them opens with those and nothing else."""

    def __init__(self, vault, key, record):
        self.vault, (generation, found) = vault, sections(record)
        self.keys = {}  # by id, the current one first
        for field, (wrapped_by, wrap) in all_sections(record)[1]:
            if field not in (ORG_KEY, FORMER_ORG_KEY, RETIRED_ORG_KEY):
                continue
            if wrapped_by not in vault.root_keys:
                raise ValueError(f"the root key list lacks key {wrapped_by}")
            _, own = open_sealed(vault.root_keys[wrapped_by], wrap, vault.id, ORG, key[1:], field)
            self.keys[key_id(own)] = own
        self.metadata = json.loads(self.open(key, record)[METADATA])
        self.name = self.metadata["org"]
        if key[1:17] != vault.blind(b"org", self.name.encode()):
            raise ValueError("the org stands under another's name")

    def open(self, key, record):
        """Every section of a record but a wrapped key, by field."""
        generation, found = sections(record)
        opened = {}
        for field, (id, token) in found.items():
            if field in (ORG_KEY, FORMER_ORG_KEY, RETIRED_ORG_KEY, KEY_NOTE):
                continue
            if id not in self.keys:
                raise ValueError(f"field {field} was sealed with another key")
            sealed_with, opened[field] = open_sealed(self.keys[id], token, self.vault.id, key[0], key[1:], field)
            if sealed_with != generation:
                raise ValueError(f"field {field} is of another generation")
        return opened

    def connection(self, key, record):
        opened = self.open(key, record)
        about = json.loads(opened[METADATA])
        name = [part for text in (about["provider"], about["name"]) for part in (text.encode(), b"\0")]
        self.check(about, key, self.vault.blind(b"connection", key[1:17], *name))
        # Eight bytes say when the access token ends; behind them is the answer to a read.
        token = json.loads(opened[ACCESS_TOKEN][8:].removeprefix(b"!"))
        others = {"refresh_token": REFRESH_TOKEN, "previous_refresh_token": PREVIOUS_REFRESH_TOKEN, "id_token": ID_TOKEN}
        others = {name: opened[field].decode() for name, field in others.items() if field in opened}
        for inner in ("consented_at", "grant", "incarnation"):  # the vault's own, and worth nothing outside of it
            about.pop(inner, None)
        return about | token | others | {"generation": sections(record)[0]}

    def secret(self, key, record, store):
        about = json.loads(self.open(key, record)[METADATA])
        name = about["name"].encode() + b"\0"
        self.check(about, key, self.vault.blind(b"secret", key[1:17], name))
        versions = []
        for version in about["versions"]:
            number = struct.pack(">Q", version["version"])
            at = bytes([SECRET_VERSION]) + key[1:17] + self.vault.blind(b"secret version", key[1:17], name, number)
            if at not in store:
                raise ValueError(f"version {version['version']} is missing")
            versions.append(version | {"value": self.open(at, store.pop(at))[VALUE].decode()})
        return {"org": self.name, "secret": about["name"], "labels": about["labels"], "versions": versions}

    def ciphertext(self, token):
        record = self.vault.blind(b"org", self.name.encode()) + bytes(16)
        for own in self.keys.values():  # a ciphertext names no key: each is tried in turn
            try:
                _, value = open_sealed(own, token, self.vault.id, CIPHERTEXT_TABLE, record, CIPHERTEXT)
                break
            except InvalidToken:
                continue
        else:
            raise InvalidToken
        return {"org": self.name, "ciphertext": token, "plaintext": base64.b64encode(value).decode()}

    def check(self, about, key, blind):
        if about["org"] != self.name or key[17:] != blind:
            raise ValueError("it stands under another's name")


def read_ciphertexts(path, orgs):
    """Opens what stayed with the application. Gives how many did not open."""
    failures = 0
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        try:
            org, token = line.split()
            opened = orgs[org].ciphertext(token)
        except (InvalidToken, KeyError, ValueError) as why:
            failures += 1
            print(f"{path}:{number}: {type(why).__name__}", file=sys.stderr)
        else:
            print(json.dumps(opened))
    return failures


def main(root_key_file, vault_json, journal, ciphertexts=None):
    vault = Vault(vault_json, read_keys(root_key_file))
    store, whole = read_journal(vault, journal)
    orgs, failures = {}, 0
    for key in sorted(store):  # orgs come before what is theirs
        try:
            if key[0] in (GRANT, KEY_ROTATION):  # where a connection stands, which is found anyway; how far keys are replaced
                continue
            if key[0] == ORG:
                found = orgs[key[1:17]] = Org(vault, key, store[key])
                line = found.metadata
            elif key[1:17] not in orgs:
                raise ValueError("its org is missing, or did not open")
            elif key[0] == CONNECTION:
                line = orgs[key[1:17]].connection(key, store[key])
            elif key[0] == SECRET:
                line = orgs[key[1:17]].secret(key, store[key], store)
            elif key[0] == REVOCATION:  # its tokens are to be revoked, and worth nothing else
                line = {"revocation": json.loads(orgs[key[1:17]].open(key, store[key])[METADATA])}
            elif key[0] == CONSENT_TABLE:
                line = {"consent": json.loads(orgs[key[1:17]].open(key, store[key])[CONSENT])}
            elif key[0] == AUTHORIZATION:  # ten minutes old, or gone
                continue
            elif key in store:  # read with their secret, the versions are gone by now
                raise ValueError("a version of no secret")
            else:
                continue
        except (InvalidToken, KeyError, ValueError, struct.error) as why:
            failures += 1
            print(f"record {key.hex()}: {type(why).__name__}: {why}", file=sys.stderr)
        else:
            print(json.dumps(line, ensure_ascii=False))
    if ciphertexts:
        failures += read_ciphertexts(ciphertexts, {org.name: org for org in orgs.values()})
    return 0 if whole and not failures else 1


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
