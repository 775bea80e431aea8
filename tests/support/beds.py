"""Tokens of several vendors, each set up in directories of its own: what the table in docs/provider.md is tested with.

A bed is a token that exists, with the keys that it can make: rsa (2048 bits, signs and decrypts), ec (P-256, signs and
derives, where the token lets one key do both; else ecdh derives), ed (Ed25519).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from p11e import (MODULES, P11KIT_CLIENT, PYTHON, SANITIZED, SOFTHSM, SUPPORT, TPM2_MODULE, P11KitServer, Token, clean_env, need,
                  private_file, run)

SOFTOKN = MODULES.parent / "libsoftokn3.so"
OPENCRYPTOKI = MODULES / "libopencryptoki.so"
PIN = "12345678"


@dataclass
class Bed:
    """What support.OpenSSL wants to know of a token, and which keys are on it."""

    name: str
    dir: Path
    label: str
    module: Path
    env: dict[str, str] = field(default_factory=dict)
    settings: list[str] = field(default_factory=list)  # lines for the provider's section
    wrapper: list[str] = field(default_factory=list)  # a command in front of every program
    keys: dict[str, str] = field(default_factory=dict)  # role to label

    def __post_init__(self) -> None:
        self.pin_file = private_file(self.dir / "bed-pin", PIN + "\n")

    @property
    def uri(self) -> str:
        return f"pkcs11:token={quote(self.label)}"

    @property
    def init_args(self) -> str | None:
        """What the module wants to be initialised with."""
        return self.settings[0].split(" = ", 1)[1] if self.settings else None

    def tool(self, *args: str) -> None:
        run([*self.wrapper, "pkcs11-tool", "--module", str(self.module), "--token-label", self.label, "--login",
             "--pin", PIN, *args], env=clean_env(**self.env))

    def make(self, label: str, kind: str, key_id: str, *usage: str) -> None:
        self.tool("--keypairgen", "--key-type", kind, "--id", key_id, "--label", label, *usage)


def softhsm_token(path: Path) -> Token:
    token = Token(path, label="bed", pin=PIN).init()
    token.tool("--keypairgen", "--key-type", "RSA:2048", "--id", "01", "--label", "rsa", "--usage-sign", "--usage-decrypt")
    token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "02", "--label", "ec", "--usage-sign",
               "--usage-derive")
    token.tool("--keypairgen", "--key-type", "EC:edwards25519", "--id", "03", "--label", "ed", "--usage-sign")
    return token


ALL = {"rsa": "rsa", "ec": "ec", "ecdh": "ec", "ed": "ed"}


@contextlib.contextmanager
def softhsm(path: Path) -> Iterator[Bed]:
    token = softhsm_token(path)
    yield Bed("SoftHSM2", path, token.label, SOFTHSM, env=token.env, keys=ALL)


@contextlib.contextmanager
def p11kit(path: Path) -> Iterator[Bed]:
    """SoftHSM in another process, which p11-kit talks to: not all mechanisms get through."""
    token = softhsm_token(path)
    with P11KitServer(token, Path("/tmp") / f"p11e-{secrets.token_hex(4)}.sock") as server:
        yield Bed("p11-kit client", path, token.label, P11KIT_CLIENT, env=server.env, keys=ALL)
        server.socket.unlink(missing_ok=True)


@contextlib.contextmanager
def nss(path: Path) -> Iterator[Bed]:
    """NSS's softokn, loaded directly; OpenSSL takes quotes away from a setting, so there are none."""
    args = f"configDir=sql:{path} certPrefix= keyPrefix= secmod=secmod.db flags="
    bed = Bed("NSS softokn", path, "NSS Certificate DB", SOFTOKN, settings=[f"module-init-args = {args}"],
              keys={"rsa": "rsa", "ec": "ec", "ecdh": "ec"})
    for number, (label, kind) in enumerate([("pin", "init-pin"), ("rsa", "rsa:2048"), ("ec", "p256")]):
        run([PYTHON, str(SUPPORT / "p11keys.py"), str(SOFTOKN), bed.label, f"{number:02x}", label, kind],
            env=clean_env(PIN=PIN, INIT_ARGS=args))
    yield bed


@contextlib.contextmanager
def tpm(path: Path) -> Iterator[Bed]:
    """A TPM 2.0 in software (swtpm). It holds three keys at a time: one is made per process."""
    base = Path("/tmp") / f"p11e-tpm-{secrets.token_hex(4)}"  # a socket path has 107 bytes at most
    (base / "state").mkdir(parents=True)
    (base / "store").mkdir()
    socket = base / "swtpm.sock"
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={base / 'state'}", "--server", f"type=unixio,path={socket}",
         "--ctrl", f"type=unixio,path={socket}.ctrl", "--flags", "not-need-init,startup-clear"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < end and process.poll() is None, "swtpm did not start"
            time.sleep(0.02)
        bed = Bed("tpm2-pkcs11", path, "bed", TPM2_MODULE, keys={"rsa": "rsa", "ec": "ec", "ecdh": "ec"},
                  env={"TPM2_PKCS11_TCTI": f"swtpm:path={socket}", "TPM2_PKCS11_STORE": str(base / "store"),
                       "TPM2_PKCS11_LOG_LEVEL": "0", "TSS2_LOG": "all+NONE"})
        tool = ["pkcs11-tool", "--module", str(TPM2_MODULE)]
        run([*tool, "--slot-index", "0", "--init-token", "--label", bed.label, "--so-pin", "87654321"],
            env=clean_env(**bed.env))
        run([*tool, "--token-label", bed.label, "--init-pin", "--so-pin", "87654321", "--pin", PIN],
            env=clean_env(**bed.env))
        bed.make("rsa", "RSA:2048", "01", "--usage-sign", "--usage-decrypt")
        bed.make("ec", "EC:prime256v1", "02", "--usage-sign", "--usage-derive")
        yield bed
    finally:
        process.terminate()
        process.wait(timeout=10)
        run(["rm", "-rf", str(base)])


# opencryptoki's places are fixed, so it lives in a namespace in which they are somebody else's: mounts, shared memory,
# processes. All of it ends with the first process in there.
NAMESPACE = """
set -e
for d in /run /var/lib/opencryptoki /var/log; do mount -t tmpfs tmpfs $d; done
mkdir -p /run/lock /run/lock/opencryptoki/swtok /var/lib/opencryptoki/swtok/TOK_OBJ /var/log/opencryptoki
chgrp -R pkcs11 /run/lock/opencryptoki /var/lib/opencryptoki
printf 'version opencryptoki-3.1\\nslot 3\\n{\\nstdll = libpkcs11_sw.so\\n}\\n' >/run/opencryptoki.conf
mount --bind /run/opencryptoki.conf /etc/opencryptoki/opencryptoki.conf
pkcsslotd
echo ready
exec sleep 3600
"""


@contextlib.contextmanager
def opencryptoki(path: Path) -> Iterator[Bed]:
    holder = subprocess.Popen(
        ["unshare", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
         "sh", "-c", NAMESPACE],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean_env())
    try:
        assert holder.stdout is not None
        said = holder.stdout.readline()
        assert said == "ready\n", f"opencryptoki's namespace: {said}{holder.stdout.read()}"
        first = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0]
        bed = Bed("opencryptoki", path, "bed", OPENCRYPTOKI, keys={"rsa": "rsa"},
                  wrapper=["nsenter", "--target", first, "--mount", "--ipc", "--pid"])
        tool = [*bed.wrapper, "pkcs11-tool", "--module", str(OPENCRYPTOKI), "--slot", "3"]
        run([*tool, "--init-token", "--label", bed.label, "--so-pin", "87654321"], env=clean_env())
        run([*tool, "--init-pin", "--login", "--login-type", "so", "--so-pin", "87654321", "--new-pin", PIN],
            env=clean_env())
        bed.make("rsa", "RSA:2048", "01", "--usage-sign", "--usage-decrypt")
        yield bed
    finally:
        holder.kill()  # and with it, by --kill-child, all that is in there
        holder.wait(timeout=10)


def can_unshare() -> bool:
    return os.geteuid() == 0 and run(["unshare", "--mount", "--ipc", "--pid", "--fork", "true"],
                                     check=False).returncode == 0


def why_not(name: str) -> str | None:
    """Why a bed cannot be set up here; None if it can."""
    if name == "opencryptoki" and SANITIZED:
        return "under AddressSanitizer a process with opencryptoki's module may take more than two minutes"
    if name == "opencryptoki":
        return need("pkcsslotd", str(OPENCRYPTOKI)) or (
            None if can_unshare() else "opencryptoki has fixed places, and namespaces of its own take root")
    wanted = {"p11-kit client": ["p11-kit", str(P11KIT_CLIENT)], "NSS softokn": [str(SOFTOKN)],
              "tpm2-pkcs11": ["swtpm", str(TPM2_MODULE)]}
    return need(*wanted.get(name, []))


BEDS = {"SoftHSM2": softhsm, "p11-kit client": p11kit, "NSS softokn": nss, "tpm2-pkcs11": tpm,
        "opencryptoki": opencryptoki}
