#!/usr/bin/env python3
"""Shows that another SDK reads the keys that keyferry writes, and that keyferry reads the backup that the SDK makes.

    check.py RESTORE NAME COMMAND [ARGUMENT ...]

RESTORE is the program keyferry-restore, which is also a small homeserver. COMMAND is a program of the SDK with the commands
`import FILE PASSPHRASE`, which prints what its crypto store holds after an import, and `backup KEYS`, which prints a backup
that it has made and what is in it. Prints a row of the table in docs/clients.md. Fails if a key, its first index or its
history-sharing flag is lost or differs. Needs openssl.
"""
import base64
import hashlib
import hmac
import json
import subprocess
import sys
import tempfile
import time
import urllib.request

KEYS = 60
PASSPHRASE = "a pässphrase"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# SDKs without the flag have `null` for it.
WITHOUT_FLAG = {"trixnity"}


class Homeserver:
    """The small homeserver, until the end of a `with`."""

    def __init__(self, restore, keys):
        command = [restore, "--serve-demo", "--keys", str(keys), "--rooms", "3"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.account = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)

    def call(self, method, path, body):
        request = urllib.request.Request(
            self.account["homeserver_url"] + "/_matrix/client/v3" + path,
            json.dumps(body).encode(),
            {"Authorization": "Bearer " + self.account["access_token"], "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def restore(self, restore, recovery_key, folder):
        """Runs keyferry, and returns the path of the key export file."""
        file = folder + "/export.keys"
        account = self.account
        command = [
            restore, "--json", "--homeserver", account["homeserver_url"], "--user-id", account["user_id"], "--device-id",
            account["device_id"], "--data-dir", folder + "/vault", "--access-token", account["access_token"],
            "--recovery-key", recovery_key, "--export", file, "--export-passphrase", PASSPHRASE,
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if ended.returncode != 0:
            sys.exit(f"keyferry: {ended.stdout}{ended.stderr}")
        return file


def keys_of(file):
    """Decrypts a key export file, and returns its keys: room and session, to first index and flag."""
    lines = open(file, encoding="ascii").read().splitlines()
    data = base64.b64decode("".join(lines[1:-1]))
    body, mac = data[:-32], data[-32:]
    rounds = int.from_bytes(body[33:37], "big")
    derived = hashlib.pbkdf2_hmac("sha512", PASSPHRASE.encode(), body[1:17], rounds, 64)
    if not hmac.compare_digest(hmac.digest(derived[32:], body, "sha256"), mac):
        sys.exit("the file does not open with its passphrase")
    cipher = ["openssl", "enc", "-d", "-aes-256-ctr", "-K", derived[:32].hex(), "-iv", body[17:33].hex()]
    keys = json.loads(subprocess.run(cipher, input=body[37:], capture_output=True, check=True).stdout)
    return {(key["room_id"], key["session_id"]): (first_index(key), key["shared_history"]) for key in keys}


def first_index(key):
    return int.from_bytes(base64.b64decode(key["session_key"] + "==")[1:5], "big")


def recovery_key(decryption_key):
    data = b"\x8b\x01" + base64.b64decode(decryption_key)
    parity = 0
    for byte in data:
        parity ^= byte
    number, text = int.from_bytes(data + bytes([parity]), "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return text


def answer_of(command, *arguments):
    ended = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(command)} {arguments[0]}: {ended.stderr}")
    return json.loads(ended.stdout)


def held(entries, name):
    flag = (lambda entry: None) if name in WITHOUT_FLAG else (lambda entry: bool(entry["shared_history"]))
    return {(entry["room_id"], entry["session_id"]): (entry["first_known_index"], flag(entry)) for entry in entries}


def differing(ours, theirs, place):
    return [name for name in ours if name in theirs and ours[name][place] != theirs[name][place]]


def compare(what, expected, found):
    """Fails unless both have the same keys, with the same indexes and flags."""
    trouble = {
        "missing": sorted(expected.keys() - found.keys())[:3],
        "not expected": sorted(found.keys() - expected.keys())[:3],
        "with another index": differing(expected, found, 0)[:3],
        "with another flag": differing(expected, found, 1)[:3],
    }
    if any(trouble.values()):
        sys.exit(f"{what}: {trouble}")


def import_ours(restore, name, command):
    with Homeserver(restore, KEYS) as homeserver, tempfile.TemporaryDirectory() as folder:
        file = homeserver.restore(restore, homeserver.account["recovery_key"], folder)
        ours = keys_of(file)
        theirs = held(answer_of(command, "import", file, PASSPHRASE), name)
    if name in WITHOUT_FLAG:
        ours = {key: (index, None) for key, (index, _) in ours.items()}
    compare(f"{name} imports", ours, theirs)
    return len(theirs), sum(bool(flag) for _, flag in theirs.values())


def restore_theirs(restore, name, command):
    backup = answer_of(command, "backup", str(KEYS))
    expected = {key: (index, bool(flag)) for key, (index, flag) in held(backup["expected"], name).items()}
    with Homeserver(restore, 1) as homeserver, tempfile.TemporaryDirectory() as folder:
        info = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": backup["auth_data"]}
        version = homeserver.call("POST", "/room_keys/version", info)["version"]
        homeserver.call("PUT", f"/room_keys/keys?version={version}", {"rooms": backup["rooms"]})
        found = keys_of(homeserver.restore(restore, recovery_key(backup["decryption_key"]), folder))
    # The homeserver's own backup has one key, which the new version does not open.
    compare(f"keyferry restores {name}'s backup", expected, {key: found[key] for key in found if key in expected})
    late = sum(index > 0 for index, _ in expected.values())
    return len(expected), late, sum(flag for _, flag in expected.values())


def main(restore, name, *command):
    began = time.monotonic()
    imported, flags = import_ours(restore, name, list(command))
    restored, late, their_flags = restore_theirs(restore, name, list(command))
    flag = "no flag" if name in WITHOUT_FLAG else f"{flags} with the flag"
    their_flag = "no flag" if name in WITHOUT_FLAG else f"{their_flags} with the flag"
    print(f"| {name} | {imported} of {KEYS}, {flag} | {restored} of {KEYS}, {late} from a later index, {their_flag} |")
    print(f"{name} took {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
