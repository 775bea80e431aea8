"""The commands of certificates on the tokens of several vendors: the same steps on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from beds import BEDS, Bed, why_not
from p11e import Client, Sandbox, Token
from test_bind import bound, certificate


class BedToken(Token):
    """A bed, as the client's configuration wants a token."""

    def __init__(self, bed: Bed) -> None:  # noqa: super().__init__ would make a SoftHSM token
        self.bed, self.dir, self.label, self.pin_file = bed, bed.dir, bed.label, bed.pin_file

    @property
    def env(self) -> dict[str, str]:
        return self.bed.env

    @property
    def module(self) -> Path:
        return self.bed.module

    @property
    def uri(self) -> str:
        return f"pkcs11:token={quote(self.label)}"


@pytest.fixture(scope="module", params=BEDS)
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    if reason := why_not(request.param):
        pytest.skip(reason)
    with BEDS[request.param](tmp_path_factory.mktemp("bed")) as made:
        yield made


@pytest.fixture
def user(bed: Bed, sandbox: Sandbox, tmp_path: Path) -> Iterator[Client]:
    client = Client(tmp_path / "client", BedToken(bed), sandbox, wrapper=bed.wrapper)
    for line in bed.settings:
        if line.startswith("module-init-args = "):
            client.set("token:main", init_args=line.split(" = ", 1)[1])
    yield client
    for found in client.json("cert", "list")["certificates"]:  # the token is for the next test as well
        client.run("cert", "remove", found["uri"], "--serial", found["serial"], "--yes")


KEY = "pkcs11:object=rsa;type=private"


def test_bound_certificate_is_found_and_fits(user: Client) -> None:
    cert = certificate(user, KEY, "www.example.org")
    assert user.json("cert", "bind", "--key", KEY, "--cert", str(cert))["issuers_written"] == 1
    assert user.json("cert", "bind", "--key", KEY, "--cert", str(cert))["already_there"] is True
    listed = {c["label"]: c["key"] for c in user.json("cert", "list")["certificates"]}
    assert listed["rsa"] == "yes" and sorted(listed.values()) == ["no", "yes"]
    shown = user.json("cert", "show", "pkcs11:object=rsa;type=cert")
    assert shown["issuers"] == 1 and shown["names"] == "www.example.org"
    assert user.run("cert", "export", shown["uri"]).stdout.strip() in cert.read_text()
    found = user.json("cert", "check", status=None)["findings"]
    assert {f["problem"] for f in found} <= {"key-without-certificate"} and "rsa" not in {f["label"] for f in found}


def test_replaced_put_back_and_removed(user: Client) -> None:
    user.run("cert", "bind", "--key", KEY, "--cert", str(certificate(user, KEY, "www.example.org")))
    old = bound(user, KEY)
    renewed = user.json("cert", "bind", "--key", KEY, "--cert", str(certificate(user, KEY, "www.example.org", 200)))
    assert bound(user, KEY) == [renewed["serial"]] != old
    user.run("cert", "undo", KEY)
    assert bound(user, KEY) == old
    user.run("cert", "remove", "pkcs11:object=rsa;type=cert", "--yes")
    assert bound(user, KEY) == []
