"""The client on tokens of several vendors: the same bodies on each, and one table of what a token cannot do.

What a token cannot do is a case as well: the error says so in the token's own words.
"""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from beds import BEDS, Bed, why_not
from p11e import Client, clean_env, run

Done = subprocess.CompletedProcess


@pytest.fixture(scope="module", params=BEDS)
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(reason)
    with BEDS[request.param](tmp_path_factory.mktemp("bed")) as made:
        yield made


def client_of(bed: Bed, path: Path) -> Client:
    client = Client(path / "client", bed, None, wrapper=bed.wrapper)  # type: ignore[arg-type]
    client.env["ASAN_OPTIONS"] = "detect_leaks=0"  # of the modules
    if bed.init_args is not None:
        client.set("token:main", init_args=bed.init_args)
    if bed.name == "tpm2-pkcs11":
        client.set("policy:tpm", more_usage="accept")  # its keys always decrypt
        client.set("profile:web", policy="tpm")
    return client


@pytest.fixture
def on_bed(bed: Bed, tmp_path: Path) -> Client:
    return client_of(bed, tmp_path)


@pytest.fixture
def to_make(bed: Bed, tmp_path: Path) -> Iterator[Client]:
    """For one key generation: what a TPM has begun and not ended leaves it no room for more."""
    if bed.name != "tpm2-pkcs11":
        yield client_of(bed, tmp_path)
        return
    with BEDS[bed.name](tmp_path) as fresh:
        yield client_of(fresh, tmp_path)


def request(client: Client, uri: str, name: str, status: int | None = 0) -> Done[str]:
    return client.run("csr", "create", uri, "--name", name, status=status)


def root(path: Path) -> None:
    """A CA that takes any key, Edwards curves as well."""
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Root",
         "-days", "365", "-keyout", str(path / "root.key"), "-out", str(path / "root.pem")], env=clean_env())


def sign(client: Client, csr: str, name: str, days: int) -> Path:
    """A certificate with the root beside it, to be put on the token as well."""
    path = client.dir / f"{name}-{days}.pem"
    (client.dir / "extensions").write_text(f"subjectAltName=DNS:{name}\n")
    run(["openssl", "x509", "-req", "-CA", str(client.dir / "root.pem"), "-CAkey", str(client.dir / "root.key"), "-days",
         str(days), "-set_serial", str(secrets.randbits(63)), "-extfile", str(client.dir / "extensions"), "-out", str(path)],
        env=clean_env(), input=csr, stdin=None)
    return path


def bind(client: Client, uri: str, name: str, days: int) -> Done[str]:
    """Requested and bound; what went wrong, if something did."""
    done = request(client, uri, name, status=None)
    if done.returncode != 0:
        return done
    if not (client.dir / "root.pem").exists():
        root(client.dir)
        client.set("profile:web", issuer_roots=str(client.dir / "root.pem"))
    cert = sign(client, done.stdout, name, days)
    return client.run("cert", "bind", "--key", uri, "--cert", str(cert), status=None)


def serials(client: Client, uri: str) -> list[str]:
    return [c["serial"] for c in client.json("key", "show", uri)["certificates"]]


# What is done with a key that somebody else's tool made


def show(client: Client, uri: str) -> Done[str]:
    return client.run("key", "show", uri, status=None)


def make_request(client: Client, uri: str) -> Done[str]:
    done = request(client, uri, "www.example.org", status=None)
    if done.returncode == 0:
        said = run(["openssl", "req", "-verify", "-noout"], env=clean_env(), input=done.stdout, stdin=None)
        assert "verify OK" in said.stderr + said.stdout
    return done


def bind_and_renew(client: Client, uri: str) -> Done[str]:
    """The second certificate takes the first one's place."""
    done = bind(client, uri, "www.example.org", 80)
    if done.returncode != 0:
        return done
    first = serials(client, uri)
    done = bind(client, uri, "www.example.org", 81)
    if done.returncode == 0:
        assert len(serials(client, uri)) == 1 and serials(client, uri) != first
        again = client.json("cert", "bind", "--key", uri, "--cert", str(client.dir / "www.example.org-81.pem"))
        assert again["already_there"] is True
    return done


ACTS: dict[str, Callable[[Client, str], Done[str]]] = {"show": show, "request": make_request, "bind": bind_and_renew}
KINDS = {"rsa:2048": "RSA-2048", "ec:P-256": "EC P-256", "ec:P-384": "EC P-384", "ed25519": "Ed25519"}

NO_MECHANISM = "cannot make a .* key.*: C_GenerateKeyPair: CKR_MECHANISM_INVALID"
NO_SIGNATURE = r"key 'ed' on token 'bed' .*C_SignInit: CKR_MECHANISM_INVALID"

# What a token cannot do, and how the error says it.
CANNOT = {
    # p11-kit 0.24 lets through only the mechanisms whose parameters it knows
    ("p11-kit client", "request ed"): NO_SIGNATURE,
    ("p11-kit client", "bind ed"): NO_SIGNATURE,
    ("p11-kit client", "generate ed25519"): NO_MECHANISM,
    ("NSS softokn", "generate ed25519"): NO_MECHANISM,
    ("tpm2-pkcs11", "generate ed25519"): NO_MECHANISM,
    # Debian's build makes RSA keys alone
    ("opencryptoki", "generate ec:P-256"): NO_MECHANISM,
    ("opencryptoki", "generate ec:P-384"): NO_MECHANISM,
    ("opencryptoki", "generate ed25519"): NO_MECHANISM,
}


def has_edwards(client: Client) -> bool:
    """What NSS can do since 3.99."""
    return any(m["mechanism"] == "EdDSA" for m in client.json("token", "info")["mechanisms"])


def judge(bed: Bed, what: str, done: Done[str], client: Client) -> bool:
    """True if it worked, and should have."""
    sentence = CANNOT.get((bed.name, what))
    if (bed.name, what) == ("NSS softokn", "generate ed25519") and has_edwards(client):
        sentence = None
    if sentence is None:
        assert done.returncode == 0, f"{bed.name}, {what}: {done.stderr}"
        return True
    assert done.returncode > 0 and re.search(sentence, done.stderr), f"{bed.name}, {what}: {done.returncode} {done.stderr}"
    return False


def test_info(bed: Bed, on_bed: Client) -> None:
    said = on_bed.json("token", "info")
    assert said["label"] == bed.label and said["serial"]


def test_list(bed: Bed, on_bed: Client) -> None:
    labels = [k["label"] for k in on_bed.json("key", "list")["keys"]]
    assert set(bed.keys.values()) <= set(labels)


@pytest.mark.parametrize("role", ["rsa", "ec", "ed"])
@pytest.mark.parametrize("act", ACTS)
def test_key_of_another_tool(bed: Bed, on_bed: Client, role: str, act: str) -> None:
    if role not in bed.keys:
        pytest.skip(f"{bed.name} has no {role} keys")
    judge(bed, f"{act} {role}", ACTS[act](on_bed, f"pkcs11:object={bed.keys[role]}"), on_bed)


@pytest.mark.parametrize("kind", KINDS)
def test_key_of_ours(bed: Bed, to_make: Client, kind: str) -> None:
    """Made, listed, requested with, bound and renewed."""
    label = "new-" + kind.replace(":", "-")
    done = to_make.run("key", "generate", "--label", label, "--type", kind, status=None)
    if not judge(bed, f"generate {kind}", done, to_make):
        listed = to_make.run("key", "list", status=None)
        assert label not in listed.stdout
        return
    made = next(k for k in to_make.json("key", "list")["keys"] if k["label"] == label)
    assert made["type"] == KINDS[kind]
    judge(bed, f"request {kind}", make_request(to_make, made["uri"]), to_make)
    judge(bed, f"bind {kind}", bind_and_renew(to_make, made["uri"]), to_make)
