"""What the programs of openssl(1) do with a token key: authorities, requests, mail, time of day; checked by plain openssl."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from p11e import Token, clean_env, run
from peers import Authority, wrap
from support import AUTHORITY, ORDERS, OpenSSL, plain

KEYS = {"rsa": "RSA:2048", "p256": "EC:prime256v1", "p384": "EC:secp384r1"}
EACH = pytest.mark.parametrize("name", KEYS)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("keys")).init()
    for n, (name, kind) in enumerate(KEYS.items()):
        token.make_key(kind, f"{n + 1:02x}", name)
    return token


@pytest.fixture
def openssl(keys: Token, tmp_path: Path) -> OpenSSL:
    (tmp_path / "message").write_bytes(os.urandom(5000))
    return OpenSSL(tmp_path, keys)


def leaf_request(path: Path) -> None:
    plain("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "leaf.key", "-subj", "/CN=leaf", "-out",
          "leaf.csr", cwd=path)


def root(openssl: OpenSSL, name: str) -> None:
    openssl("req", "-x509", "-key", openssl.uri(name), "-subj", "/CN=token authority", "-out", "root.pem",
            "-days", "2", *AUTHORITY)


@EACH
@ORDERS
def test_x509_signs_with_a_ca_key_in_the_token(keys: Token, tmp_path: Path, name: str, first: bool) -> None:
    openssl = OpenSSL(tmp_path, keys, first=first)
    root(openssl, name)
    leaf_request(tmp_path)
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", openssl.uri(name), "-out", "leaf.pem",
            "-days", "2")
    assert plain("verify", "-CAfile", "root.pem", "leaf.pem", cwd=tmp_path).stdout == "leaf.pem: OK\n"


@EACH
def test_x509_self_signs(openssl: OpenSSL, name: str) -> None:
    openssl("x509", "-new", "-force_pubkey", "/dev/null", "-subj", "/CN=x", status=1)  # no key: an error, no crash
    openssl("req", "-new", "-key", openssl.uri(name), "-subj", "/CN=self", "-out", "self.csr")
    openssl("x509", "-req", "-in", "self.csr", "-key", openssl.uri(name), "-out", "self.pem", "-days", "2")
    assert plain("verify", "-CAfile", "self.pem", "self.pem", cwd=openssl.dir).stdout == "self.pem: OK\n"


def write_ca_section(openssl: OpenSSL, name: str) -> None:
    with openssl.conf.open("a") as conf:
        conf.write(f"[ca]\ndefault_ca = token_ca\n[token_ca]\ndatabase = {openssl.dir}/index\n"
                   f"new_certs_dir = {openssl.dir}\nserial = {openssl.dir}/serial\ncertificate = root.pem\n"
                   f"private_key = {openssl.uri(name)}\ndefault_md = sha256\ndefault_days = 2\npolicy = any\n"
                   "default_crl_days = 2\n[any]\ncommonName = supplied\n")
    (openssl.dir / "index").write_text("")
    (openssl.dir / "serial").write_text("01\n")


@EACH
def test_ca_issues_and_revokes(openssl: OpenSSL, name: str) -> None:
    """A small CA whose key, named in the configuration by its URI, is in the token: certificates and a CRL."""
    root(openssl, name)
    leaf_request(openssl.dir)
    write_ca_section(openssl, name)
    openssl("ca", "-batch", "-in", "leaf.csr", "-out", "leaf.pem", "-notext")
    assert plain("verify", "-CAfile", "root.pem", "leaf.pem", cwd=openssl.dir).stdout == "leaf.pem: OK\n"
    openssl("ca", "-batch", "-revoke", "leaf.pem")
    openssl("ca", "-gencrl", "-out", "crl.pem")
    done = run(["openssl", "verify", "-CAfile", "root.pem", "-CRLfile", "crl.pem", "-crl_check", "leaf.pem"],
               check=False, env=clean_env(), cwd=openssl.dir)
    assert done.returncode != 0 and "certificate revoked" in done.stderr


@EACH
@pytest.mark.parametrize("options", [(), ("-nodetach",), ("-noattr",)],
                         ids=["detached", "opaque", "no attributes"])
def test_cms_signature(openssl: OpenSSL, name: str, options: tuple[str, ...]) -> None:
    root(openssl, name)
    openssl("cms", "-sign", "-binary", "-in", "message", "-signer", "root.pem", "-inkey", openssl.uri(name),
            "-outform", "PEM", "-out", "signed", *options)
    verify = ["cms", "-verify", "-binary", "-in", "signed", "-inform", "PEM", "-CAfile", "root.pem", "-purpose", "any"]
    content = [] if "-nodetach" in options else ["-content", "message"]
    plain(*verify, *content, "-out", "seen", cwd=openssl.dir)
    openssl(*verify, *content, "-out", "seen2")
    message = (openssl.dir / "message").read_bytes()
    assert (openssl.dir / "seen").read_bytes() == message and (openssl.dir / "seen2").read_bytes() == message


@EACH
def test_ocsp_responder_with_a_token_signer(openssl: OpenSSL, name: str) -> None:
    """From a file to a file: a responder of openssl(1) that listens does so on every interface."""
    root(openssl, name)
    leaf_request(openssl.dir)
    write_ca_section(openssl, name)
    openssl("ca", "-batch", "-in", "leaf.csr", "-out", "leaf.pem", "-notext")
    plain("ocsp", "-issuer", "root.pem", "-cert", "leaf.pem", "-no_nonce", "-reqout", "request", cwd=openssl.dir)
    openssl("ocsp", "-index", "index", "-reqin", "request", "-rsigner", "root.pem", "-rkey", openssl.uri(name),
            "-CA", "root.pem", "-respout", "response")
    done = plain("ocsp", "-issuer", "root.pem", "-cert", "leaf.pem", "-respin", "response", "-CAfile", "root.pem", "-no_nonce",
                 cwd=openssl.dir)
    assert "leaf.pem: good" in done.stdout and "Response verify OK" in done.stderr


@EACH
def test_time_stamp(openssl: OpenSSL, name: str) -> None:
    """ts reads its key with the PEM functions and knows no URIs, so the key is a file that carries one."""
    authority = Authority(openssl.dir / "ca")
    openssl("req", "-new", "-key", openssl.uri(name), "-subj", "/CN=stamps", "-out", "ts.csr")
    (openssl.dir / "ts.ext").write_text("extendedKeyUsage=critical,timeStamping\n")
    plain("x509", "-req", "-in", "ts.csr", "-CA", str(authority.cert), "-CAkey", str(authority.key), "-out", "ts.pem",
          "-days", "2", "-extfile", "ts.ext", cwd=openssl.dir)
    with openssl.conf.open("a") as conf:
        conf.write("[tsa]\ndefault_tsa = one\n[one]\nserial = tsserial\nsigner_digest = sha256\ndefault_policy = 1.2.3\n"
                   "digests = sha256\nsigner_cert = ts.pem\nordering = no\n")
    (openssl.dir / "key.pem").write_text(wrap(openssl.uri(name)))
    openssl("ts", "-query", "-data", "message", "-sha256", "-cert", "-out", "q")
    openssl("ts", "-reply", "-queryfile", "q", "-inkey", "key.pem", "-signer", "ts.pem", "-out", "reply")
    done = plain("ts", "-verify", "-queryfile", "q", "-in", "reply", "-CAfile", str(authority.cert), cwd=openssl.dir)
    assert "Verification: OK" in done.stdout


@EACH
def test_spkac(openssl: OpenSSL, name: str) -> None:
    openssl("spkac", "-key", openssl.uri(name), "-digest", "sha256", "-out", "spkac")
    done = plain("spkac", "-in", "spkac", "-verify", "-noout", cwd=openssl.dir)
    assert "Signature OK" in done.stdout + done.stderr


@EACH
def test_certificate_from_the_token_beside_its_key(tmp_path: Path, name: str) -> None:
    """-signer and -CA take certificates out of the token by URI, too."""
    token = Token(tmp_path / "t").init()
    token.make_key(KEYS[name], "01", "k")
    openssl = OpenSSL(tmp_path, token)
    root(openssl, "k")
    plain("x509", "-in", "root.pem", "-outform", "DER", "-out", "root.der", cwd=tmp_path)
    token.tool("--write-object", str(tmp_path / "root.der"), "--type", "cert", "--id", "01", "--label", "k")
    leaf_request(tmp_path)
    cert = f"pkcs11:token={token.label};object=k;type=cert"
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", cert, "-CAkey", openssl.uri("k"), "-out", "leaf.pem",
            "-days", "2", "-CAcreateserial", "-CAserial", "serial")
    assert plain("verify", "-CAfile", "root.pem", "leaf.pem", cwd=tmp_path).stdout == "leaf.pem: OK\n"


def test_pkcs12_refuses_to_take_the_key_out(openssl: OpenSSL) -> None:
    root(openssl, "p256")
    done = openssl("pkcs12", "-export", "-in", "root.pem", "-inkey", openssl.uri("p256"), "-passout", "pass:x",
                   "-out", "out.p12", status=1)
    assert "does not leave token 't1'" in done.stderr
