"""Key agreement with EC keys in a token: the other side is openssl in software."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from p11e import Token
from support import ORDERS, OpenSSL, first_error, plain

CURVES = {"p256": "prime256v1", "p384": "secp384r1", "p521": "secp521r1"}
EACH_CURVE = pytest.mark.parametrize("name", CURVES)


@pytest.fixture(scope="module")
def ec(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("ec")).init()
    for n, (name, curve) in enumerate(CURVES.items()):
        token.tool("--keypairgen", "--key-type", f"EC:{curve}", "--id", f"{n + 1:02x}", "--label", name,
                   "--usage-derive", "--usage-sign")
    token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "09", "--label", "signs", "--usage-sign")
    # one whose public object has another name, and one that has none
    for key_id, label in ("0a", "renamed"), ("0b", "half"):
        token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", key_id, "--label", label, "--usage-derive")
    der = token.dir / "public.der"
    token.tool("--read-object", "--type", "pubkey", "--id", "0a", "--output-file", str(der))
    token.tool("--delete-object", "--type", "pubkey", "--id", "0a")
    token.tool("--delete-object", "--type", "pubkey", "--id", "0b")
    token.tool("--write-object", str(der), "--type", "pubkey", "--id", "0a", "--label", "another")
    return token


@pytest.fixture
def openssl(ec: Token, tmp_path: Path) -> OpenSSL:
    return OpenSSL(tmp_path, ec)


def make_peer(openssl: OpenSSL, curve: str, *opts: str) -> None:
    plain("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", *opts, "-out", "peer.pem",
          cwd=openssl.dir)
    plain("pkey", "-in", "peer.pem", "-pubout", "-out", "peer-pub.pem", cwd=openssl.dir)


def derive(openssl: OpenSSL, name: str, *opts: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    return openssl("pkeyutl", "-derive", "-inkey", openssl.uri(name), "-peerkey", "peer-pub.pem", "-out", "ours",
                   *opts, status=status)


def both_secrets(openssl: OpenSSL, name: str, *opts: str) -> tuple[bytes, bytes]:
    derive(openssl, name, *opts)
    openssl("pkey", "-in", openssl.uri(name), "-pubout", "-out", "pub.pem")
    plain("pkeyutl", "-derive", "-inkey", "peer.pem", "-peerkey", "pub.pem", "-out", "theirs", *opts, cwd=openssl.dir)
    return (openssl.dir / "ours").read_bytes(), (openssl.dir / "theirs").read_bytes()


@EACH_CURVE
@ORDERS
def test_pkeyutl_derive_is_the_peers_secret(ec: Token, tmp_path: Path, name: str, first: bool) -> None:
    mine = OpenSSL(tmp_path, ec, first=first)
    make_peer(mine, CURVES[name])
    ours, theirs = both_secrets(mine, name)
    assert ours == theirs and len(ours) == {"p256": 32, "p384": 48, "p521": 66}[name]


def test_derive_with_kdf_and_cofactor_mode(openssl: OpenSSL) -> None:
    make_peer(openssl, "P-256")
    ours, theirs = both_secrets(openssl, "p256", "-pkeyopt", "kdf-type:X963KDF", "-pkeyopt", "kdf-digest:SHA384",
                                "-pkeyopt", "kdf-outlen:80", "-pkeyopt", "hexkdf-ukm:616263",
                                "-pkeyopt", "ecdh_cofactor_mode:1")
    assert ours == theirs and len(ours) == 80


def test_peer_with_a_compressed_point(openssl: OpenSSL) -> None:
    make_peer(openssl, "P-256", "-pkeyopt", "point-format:compressed")
    plain("ec", "-in", "peer.pem", "-pubout", "-conv_form", "compressed", "-out", "peer-pub.pem", cwd=openssl.dir)
    ours, theirs = both_secrets(openssl, "p256")
    assert ours == theirs


def test_peer_on_another_curve_is_refused(openssl: OpenSSL) -> None:
    make_peer(openssl, "P-384")
    error = first_error(derive(openssl, "p256", status=1))
    assert "the peer's key is not on the curve of key 'p256'" in error


def test_peer_in_the_token_whose_public_half_is_searched(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("peer", "p256", openssl.uri("renamed"))
    assert errors == [] and results == {"load": 1, "peer": 1, "derive": 1}


def test_peer_without_a_public_half_is_told(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("peer", "p256", openssl.uri("half"))
    assert results["peer"] != 1
    assert "a key agreement needs the peer's public key" in errors[0]
    assert "the public half of key 'half' on token 't1'" in errors[0] and "is not known" in errors[0]


def test_key_for_signatures_alone_is_told(openssl: OpenSSL) -> None:
    make_peer(openssl, "P-256")
    error = first_error(derive(openssl, "signs", status=1))
    assert "not made for key agreement" in error and "CKR_KEY_FUNCTION_NOT_PERMITTED" in error
    assert "key 'signs' on token 't1'" in error


@ORDERS
@pytest.mark.parametrize("name", ["p256", "p521"])
def test_cms_decrypt(ec: Token, tmp_path: Path, name: str, first: bool) -> None:
    mine = OpenSSL(tmp_path, ec, first=first)
    mine("req", "-x509", "-key", mine.uri(name), "-subj", "/CN=x", "-out", "c.pem", "-days", "2")
    (tmp_path / "message").write_bytes(b"attack at dawn")
    plain("cms", "-encrypt", "-aes256", "-in", "message", "-out", "m.cms", "-binary", "-recip", "c.pem",
          "-keyopt", "ecdh_kdf_md:sha256", cwd=tmp_path)
    mine("cms", "-decrypt", "-in", "m.cms", "-out", "plain", "-inkey", mine.uri(name), "-recip", "c.pem")
    assert (tmp_path / "plain").read_bytes() == b"attack at dawn"


@ORDERS
def test_software_keys_stay_with_default_meanwhile(ec: Token, tmp_path: Path, first: bool) -> None:
    """While a key agreement with a token key is open, software keys agree, sign and verify in software."""
    results, errors = OpenSSL(tmp_path, ec, first=first).probe("agree", "p256")
    assert errors == []
    # a peer with its private half could be meant for anything, where OpenSSL asks us before "default"
    assert results == {"load": 1, "peer": 1, "derive": 1, "again": 1, "same": 1, "copy": 1, "software": 1,
                       "software-signs": 1, "peer-signs": 1, "peer-verifies": 1, "equal": 0, "other-equal": 1,
                       "pair": int(not first), "import": 0}
