"""The authorities of one sandbox directory, made once and kept.

Public certificates lie in the directory itself, where users look for them; private keys of
authorities lie in its folder `pki`. The certificates of the TLS server are made anew at each
start, so that a directory can be kept for years.
"""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509

import certs
import files
from certs import DAY, HOUR, Signer, Template

ORG = "p11enroll sandbox"
# name: (common name, issuer or None, key, --fast-keys key, path length, public file)
AUTHORITIES = {
    "root": ("Sandbox Root CA", None, "P-384", "P-256", None, "issuer-root.pem"),
    "intermediate": ("Sandbox OV Secure Server CA", "root", "RSA-3072", "P-256", 0,
                     "issuer-intermediate.pem"),
    "legacy": ("Sandbox Legacy Root", None, "P-256", "P-256", None, "pki/legacy.pem"),
    # A forger who copies the names of the real authorities, but has other keys:
    "false-root": ("Sandbox Root CA", None, "P-256", "P-256", None, "pki/false-root.pem"),
    "false-intermediate": ("Sandbox OV Secure Server CA", "false-root", "P-256", "P-256", 0,
                           "pki/false-intermediate.pem"),
    "tls": ("Sandbox TLS CA", None, "P-256", "P-256", 0, "tls-ca.pem"),
    "tls-unknown": ("Sandbox TLS CA Nobody Trusts", None, "P-256", "P-256", 0,
                    "pki/tls-unknown.pem"),
    "client": ("Sandbox Client CA", None, "P-256", "P-256", 0, "client-ca.pem"),
}
ROOT_LIFE = dt.timedelta(days=7300)
INTERMEDIATE_LIFE = dt.timedelta(days=3650)
# behaviour tls_cert: (issuer or None for self-signed, DNS names and addresses, days from, to)
SERVERS = {
    "good": ("tls", ["localhost", "127.0.0.1"], 0, 397),
    "expired": ("tls", ["localhost", "127.0.0.1"], -30, -1),
    "wrong-name": ("tls", ["scm.wrong-name.invalid", "127.255.255.254"], 0, 397),
    "unknown-ca": ("tls-unknown", ["localhost", "127.0.0.1"], 0, 397),
    "self-signed": (None, ["localhost", "127.0.0.1"], 0, 397),
}


def exists(directory: Path) -> bool:
    """Whether a directory has its authorities and all that was made with them."""
    return (directory / "pki" / "complete").exists()


class Pki:
    """All authorities of a directory."""

    def __init__(self, directory: Path, fast_keys: bool = False) -> None:
        self.directory = directory
        self.folder = directory / "pki"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if not exists(directory):
            self._make(fast_keys)
        self.signers = {name: self._load(name) for name in AUTHORITIES}
        self.cross = certs.load_cert((self.folder / "cross.pem").read_bytes())
        self._make_servers()

    def __getitem__(self, name: str) -> Signer:
        return self.signers[name]

    def mark_complete(self) -> None:
        """Note that everything of the first start lies there."""
        files.write(self.folder / "complete", "")

    def server_files(self, kind: str) -> tuple[Path, Path]:
        """Certificate and key of the TLS server of a kind."""
        return self.folder / f"server-{kind}.pem", self.folder / f"server-{kind}.key"

    def _make(self, fast_keys: bool) -> None:
        column = 3 if fast_keys else 2
        with ThreadPoolExecutor() as pool:
            keys = dict(zip(AUTHORITIES, pool.map(
                certs.new_key, [row[column] for row in AUTHORITIES.values()])))
        made: dict[str, Signer] = {}
        for name, row in AUTHORITIES.items():
            issuer = made[row[1]] if row[1] else None
            made[name] = Signer(self._authority(row, keys[name], issuer), keys[name])
            files.write(self.directory / row[5], made[name].pem(), 0o644)
            files.write(self.folder / f"{name}.key", certs.key_pem(keys[name]))
        self._make_cross(made["root"], made["legacy"])

    @staticmethod
    def _authority(row: tuple, key: certs.PrivateKey, issuer: Signer | None) -> x509.Certificate:
        start = certs.utcnow() - DAY
        name = certs.subject([("C", "GB"), ("O", ORG), ("CN", row[0])])
        life = INTERMEDIATE_LIFE if issuer else ROOT_LIFE
        eku = ("serverAuth", "clientAuth") if issuer else ()
        template = Template(name, key.public_key(), start, start + life, is_ca=True,
                            ca_depth=row[4], eku=eku)
        return certs.sign(template, issuer.key if issuer else key, issuer.cert if issuer else None)

    def _make_cross(self, root: Signer, legacy: Signer) -> None:
        """The root's key certified by an older root, as public CAs have it."""
        template = Template(root.cert.subject, root.cert.public_key(),
                            root.cert.not_valid_before, root.cert.not_valid_after, is_ca=True)
        cross = certs.sign(template, legacy.key, legacy.cert)
        files.write(self.folder / "cross.pem", certs.cert_pem(cross))

    def _load(self, name: str) -> Signer:
        cert = certs.load_cert((self.directory / AUTHORITIES[name][5]).read_bytes())
        return Signer(cert, certs.load_key((self.folder / f"{name}.key").read_bytes()))

    def _make_servers(self) -> None:
        for kind, (issuer, names, first, last) in SERVERS.items():
            key = certs.new_key("P-256")
            now = certs.utcnow()
            template = Template(certs.subject([("O", ORG), ("CN", names[0])]), key.public_key(),
                                now + first * DAY - HOUR, now + last * DAY - HOUR,
                                names=names, eku=("serverAuth",))
            signer = self.signers[issuer] if issuer else None
            cert = certs.sign(template, signer.key if signer else key,
                              signer.cert if signer else None)
            cert_file, key_file = self.server_files(kind)
            files.write(cert_file, certs.cert_pem(cert))
            files.write(key_file, certs.key_pem(key))
