"""A fault at every call into the token: nothing is lost, and the next run of the same command finishes the work.

Each loop visits every call that its command makes: with each of a handful of return codes, with the answer lost, with a
token that is gone from there on, and with the process killed before and after it. scripts/test samples the points and
prints how many there are.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import CODES, FAILURES, KILLS, Bench, Object, Point, visit
from p11e import P11KIT_CLIENT, SHIM, Client, need, sample

KEPT = 8  # points of a loop that are visited without --full
MORE_CODES = {**CODES, "CKR_USER_NOT_LOGGED_IN": 0x101}

GENERATE = ["key", "generate", "--label", "www", "--type", "ec:P-256"]


def sampled(points: list[Point]) -> list[Point]:
    return sample(points, KEPT)


@pytest.fixture(params=[FAILURES, KILLS], ids=["fails", "killed"])
def actions(request: pytest.FixtureRequest) -> list[str]:
    if request.param is KILLS and (reason := need("p11-kit", str(P11KIT_CLIENT))) is not None:
        pytest.skip(reason)
    return list(request.param)


def kinds(objects: list[Object]) -> list[str]:
    return [kind for kind, _, _ in objects]


def loop(client: Client, say: Callable[[str], None], name: str, args: list[str], actions: list[str],
         check: Callable[[Bench, Point], None]) -> None:
    total, points, visited = visit(client, args, actions, sampled, check)
    say(f"{name}: {total} calls, {visited} of {points} points visited ({', '.join(actions)})")
    assert total > 15 and visited >= min(points, KEPT)


def ended_well(done, point: Point) -> bool:  # noqa: ANN001
    """Whether the run succeeded in spite of the fault; if it did not, it has said why."""
    if point.action in KILLS:
        assert done.returncode == -9, f"{point}: {done.returncode} {done.stderr}"
    elif done.returncode != 0:
        assert done.returncode > 0 and "CKR_" in done.stderr, f"{point}: {done.returncode} {done.stderr}"
    return done.returncode == 0


def run_again(bench: Bench, args: list[str]) -> subprocess.CompletedProcess[str]:
    """The next run. Where the fault hit the login, what became of that PIN is not known: a person decides."""
    again = bench.run(args)
    if again.returncode == 23:
        assert "--try-pin-again" in again.stderr
        again = bench.run([*args, "--try-pin-again"])
    return again


def test_generate(offline: Client, actions: list[str], say: Callable[[str], None]) -> None:
    """A key pair, or nothing; after a kill perhaps a pair that nobody was told of, and the next run says so."""

    def check(bench: Bench, point: Point) -> None:
        done = bench.run(GENERATE, point)
        well = ended_well(done, point)
        left = bench.objects()
        if well:
            assert len(left) == 2, f"{point}: {left}"
        elif point.action not in KILLS and left:
            assert left[0][2] in done.stderr, f"{point}: {left} is left, and nobody was told: {done.stderr}"
        again = run_again(bench, GENERATE)
        now = bench.objects()
        assert kinds(now) == ["Private Key", "Public Key"], f"{point}: {now}"
        assert {o[1] for o in now} == {"www"} and len({o[2] for o in now}) == 1, f"{point}: {now}"
        if left:
            assert again.returncode == 27 and now == left, f"{point}: {again.stderr}"
            assert "labelled 'www' already" in again.stderr and "'key show' tells" in again.stderr
        else:
            assert again.returncode == 0, f"{point}: {again.stderr}"

    loop(offline, say, "key generate", GENERATE, actions, check)


@pytest.fixture
def keyed(client: Client) -> Client:
    client.run(*GENERATE)
    return client


def certificate(client: Client, days: int) -> Path:
    """A certificate for the key, with its chain."""
    assert client.sandbox is not None
    csr = client.run("csr", "create", "pkcs11:object=www", "--name", "www.example.org").stdout
    answer = client.sandbox.sign(csr, ["www.example.org"], days=days)
    path = client.dir / f"cert-{days}.pem"
    path.write_text(answer["cert"] + answer["chain"])
    return path


def bind(cert: Path) -> list[str]:
    return ["cert", "bind", "--key", "pkcs11:object=www", "--cert", str(cert)]


def bound(objects: list[Object]) -> int:
    """How many certificates have the key's id."""
    key = next(o for o in objects if o[0] == "Private Key")
    return sum(o[0] == "Certificate" and o[2] == key[2] for o in objects)


def finished(client: Client, args: list[str]) -> list[Object]:
    """What is on the token when nothing went wrong."""
    from faults import copy_of

    bench = copy_of(client, 100, behind_server=False)
    bench.client.run(*args)
    return bench.objects()


def check_bind(client: Client, args: list[str], before: int) -> Callable[[Bench, Point], None]:
    wanted = finished(client, args)

    def check(bench: Bench, point: Point) -> None:
        well = ended_well(bench.run(args, point), point)
        left = bench.objects()
        assert bound(left) >= before, f"{point}: the key lost its certificate: {left}"
        if well:
            assert left == wanted, f"{point}: {left}"
        again = run_again(bench, args)
        assert again.returncode == 0, f"{point}: {again.stderr}"
        assert bench.objects() == wanted, f"{point}: {bench.objects()}"

    assert bound(wanted) == 1
    return check


def test_first_bind(keyed: Client, actions: list[str], say: Callable[[str], None]) -> None:
    args = bind(certificate(keyed, 80))
    loop(keyed, say, "cert bind, the first", args, actions, check_bind(keyed, args, 0))


def test_bind_that_replaces(keyed: Client, actions: list[str], say: Callable[[str], None]) -> None:
    """The key has a certificate at any time."""
    keyed.run(*bind(certificate(keyed, 80)))
    args = bind(certificate(keyed, 81))
    loop(keyed, say, "cert bind, a renewed one", args, actions, check_bind(keyed, args, 1))


def check_delete(client: Client, args: list[str]) -> Callable[[Bench, Point], None]:
    wanted = finished(client, args)

    def check(bench: Bench, point: Point) -> None:
        before = bench.objects()
        well = ended_well(bench.run(args, point), point)
        left = bench.objects()
        if any(o[0] == "Private Key" for o in left):
            assert bound(left) == bound(before), f"{point}: the key lost its certificate: {left}"
        if well:
            assert left == wanted, f"{point}: {left}"
        again = run_again(bench, args)
        nothing_left = left == wanted
        assert again.returncode == (25 if nothing_left else 0), f"{point}: {again.returncode} {left} {again.stderr}"
        assert bench.objects() == wanted, f"{point}: {bench.objects()}"

    assert all(o[1] != "www" for o in wanted)
    return check


DELETE = ["key", "delete", "--yes", "pkcs11:object=www"]


def test_delete(keyed: Client, actions: list[str], say: Callable[[str], None]) -> None:
    """What is left of a key that was being deleted is found by the next run."""
    loop(keyed, say, "key delete", DELETE, actions, check_delete(keyed, DELETE))


def test_delete_with_certificates(keyed: Client, actions: list[str], say: Callable[[str], None]) -> None:
    """The key goes before its certificate."""
    args = [*DELETE, "--with-certificates"]
    keyed.run(*bind(certificate(keyed, 80)))
    loop(keyed, say, "key delete --with-certificates", args, actions, check_delete(keyed, args))


def test_init(offline: Client, actions: list[str], say: Callable[[str], None]) -> None:
    """The old token, or after the next run of the same command the new one: it is never left without its PINs."""
    args = ["token", "init", "--label", "new", "--erase", "--so-pin-source", f"file:{offline.token.so_pin_file}"]
    offline.run(*GENERATE)
    offline.set("token:main", uri="pkcs11:token=t1")

    def check(bench: Bench, point: Point) -> None:
        shutil.rmtree(bench.client.state, ignore_errors=True)
        bench.client.run("key", "list")  # the section knows its token
        done = bench.run([*args, "--token-timeout", "10s"], point)
        hung = done.returncode == 30  # libp11 waits for ever where it gets no session to log in with
        well = not hung and (ended_well(done, point) or "URI:" in done.stdout)  # killed when it had said all
        again = run_again(bench, args)
        # what is done has another name, and nothing more is erased
        assert again.returncode == 0 or (well and again.returncode == 21), f"{point}: {again.stderr}"
        seen = bench.client.run("key", "list", "--token-uri", "pkcs11:token=new", "--pin-source",
                                f"file:{bench.token.pin_file}", status=None)
        assert seen.returncode == 0 and "www" not in seen.stdout, f"{point}: {seen.stderr}"

    loop(offline, say, "token init --erase", args, actions, check)


# A call of each kind (hsm/cryptoki.h), and the command that makes it.
HANGS = {"C_GetTokenInfo": "generate", "C_Login": "generate", "C_FindObjects": "generate", "C_GenerateKeyPair": "generate",
         "C_Finalize": "generate", "C_Sign": "request", "C_CreateObject": "bind", "C_DestroyObject": "bind"}


@pytest.mark.parametrize("call", HANGS)
def test_hang_of_any_kind_ends_by_the_deadline(keyed: Client, call: str) -> None:
    """And the same command, when the token answers again, does its work."""
    args = ["key", "generate", "--label", "other", "--type", "ec:P-256"]
    if HANGS[call] == "request":
        args = ["csr", "create", "pkcs11:object=www", "--name", "www.example.org"]
    elif HANGS[call] == "bind":
        keyed.run(*bind(certificate(keyed, 80)))
        args = bind(certificate(keyed, 81))
    keyed.rules(f"{call}:1:hang")
    done = keyed.run(*args, "--token-timeout", "1s", status=30, timeout=60)
    assert "did not come back" in done.stderr and str(SHIM) in done.stderr
    keyed.no_rules()
    keyed.run(*args, status=27 if call == "C_Finalize" else 0)  # the key had been made


def test_what_libp11_was_answered_is_told(offline: Client) -> None:
    """libp11 initialises once more, after us."""
    offline.rules("C_Initialize:2:fail=0x30")
    done = offline.run("key", "list", status=20)
    assert "libp11 cannot load it: C_Initialize or C_GetInfo: CKR_DEVICE_ERROR" in done.stderr


@pytest.mark.parametrize("code", ["CKR_SESSION_HANDLE_INVALID", "CKR_USER_NOT_LOGGED_IN"])
def test_what_ended_a_login_is_told(offline: Client, code: str) -> None:
    """The client keeps no PIN, so a login that the token ended is not made again; the PIN is not what was missing."""
    offline.run(*GENERATE)
    offline.rules(f"C_SignInit:1:fail={MORE_CODES[code]:#x}")
    done = offline.run("csr", "create", "pkcs11:object=www", "--name", "www.example.org", status=29)
    assert f"the token ended the login ({code}), and a new one is needed" in done.stderr
