"""What the pytest suites stand on: the build, tokens, the sandbox CA, and a runner for the client."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("P11ENROLL_BUILD", ROOT / "build" / "dev"))
P11ENROLL = BUILD / "p11enroll"
PROVIDER = BUILD / "provider" / "p11enroll.so"
SHIM = BUILD / "support" / "p11shim.so"
PYTHON = "/usr/bin/python3"
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
MODULES = Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH")) / "pkcs11"
P11KIT_CLIENT = MODULES / "p11-kit-client.so"
TPM2_MODULE = MODULES / "libtpm2_pkcs11.so"

# Exhaustive loops run whole with scripts/test --full, and sampled otherwise.
FULL = os.environ.get("P11ENROLL_FULL") == "1"

# The sandbox writes what it is asked and what it answers into the directory that this names; see tests/contract.
EXCHANGES = "P11ENROLL_EXCHANGES"

# The environment of this machine must not decide what a test sees.
SUPPORT = Path(__file__).resolve().parent
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")


def sample(points: list[Any], keep: int) -> list[Any]:
    """All points with --full; else about `keep` of them, evenly spread, the same each time."""
    if FULL or len(points) <= keep:
        return points
    return [points[i * len(points) // keep] for i in range(keep)]


def is_sanitized() -> bool:
    """Whether this is a build with AddressSanitizer."""
    return PROVIDER.exists() and b"__asan_init" in PROVIDER.read_bytes()


SANITIZED = is_sanitized()


def clean_env(**extra: str) -> dict[str, str]:
    env = {name: os.environ[name] for name in KEPT if name in os.environ}
    if SANITIZED:
        env.setdefault("LSAN_OPTIONS", f"suppressions={SUPPORT / 'lsan.supp'}:print_suppressions=0")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.update(extra)
    return env


def sanitizer_preload() -> dict[str, str]:
    """What a program that is not ours needs to load our sanitized provider."""
    if not SANITIZED:
        return {}
    libs = [subprocess.run(["gcc", f"-print-file-name={name}"], text=True, capture_output=True, check=True).stdout.strip()
            for name in ("libasan.so", "libubsan.so")]
    return {"LD_PRELOAD": ":".join([*libs, str(BUILD / "support" / "nodlclose.so")])}


def private_file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@dataclass
class Token:
    """A SoftHSM token in a directory of its own."""

    dir: Path
    label: str = "t1"
    pin: str = field(default_factory=lambda: secrets.token_hex(8))
    so_pin: str = field(default_factory=lambda: secrets.token_hex(8))
    more_env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dir.mkdir(parents=True, exist_ok=True)
        (self.dir / "tokens").mkdir(exist_ok=True)
        self.conf = self.dir / "softhsm2.conf"
        self.conf.write_text(
            f"directories.tokendir = {self.dir}/tokens\nobjectstore.backend = file\n"
            "log.level = ERROR\nslots.removable = false\n"
        )
        self.pin_file = private_file(self.dir / "pin", self.pin + "\n")
        self.so_pin_file = private_file(self.dir / "so-pin", self.so_pin + "\n")

    @property
    def env(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.conf), **self.more_env}

    def has_edwards_keys(self) -> None:
        """SoftHSM leaks with them, and only whole stacks tell that it does (lsan.supp); they take time."""
        if SANITIZED:
            options = [os.environ.get("ASAN_OPTIONS"), "fast_unwind_on_malloc=0"]
            self.more_env["ASAN_OPTIONS"] = ":".join(o for o in options if o)

    @property
    def module(self) -> Path:
        return SOFTHSM

    @property
    def uri(self) -> str:
        return f"pkcs11:token={self.label}"

    def init(self) -> Token:
        self.add(self.label)
        return self

    def add(self, label: str) -> None:
        """Another token in the same directory, with the same PINs."""
        run(["softhsm2-util", "--init-token", "--free", "--label", label,
             "--so-pin", self.so_pin, "--pin", self.pin], env=clean_env(**self.env))

    def tool(self, *args: str, label: str | None = None) -> str:
        """pkcs11-tool, logged in."""
        return run(["pkcs11-tool", "--module", str(SOFTHSM), "--token-label", label or self.label,
                    "--login", "--pin", self.pin, *args], env=clean_env(**self.env)).stdout

    def tokens(self) -> list[str]:
        """The directories of the tokens that there are."""
        return sorted(p.name for p in (self.dir / "tokens").iterdir())

    def make_key(self, kind: str, id_hex: str, name: str) -> None:
        """A key pair made by somebody else's tool: kind is RSA:2048 or EC:prime256v1."""
        self.tool("--keypairgen", "--key-type", kind, "--id", id_hex, "--label", name)
        if "edwards" in kind:
            self.has_edwards_keys()

    def make_special_key(self, kind: str, id_hex: str, name: str) -> None:
        """A key pair that pkcs11-tool cannot make: ed448, x25519, x448, rsa-pss:2048."""
        run([PYTHON, str(SUPPORT / "p11keys.py"), str(SOFTHSM), self.label, id_hex, name, kind],
            env=clean_env(**self.env, PIN=self.pin))
        if not kind.startswith("rsa"):
            self.has_edwards_keys()

    def objects(self) -> list[dict[str, str]]:
        """What is on the token, as pkcs11-tool sees it: kind, label, ID."""
        found: list[dict[str, str]] = []
        for line in self.tool("-O").splitlines():
            if line and not line[0].isspace() and "Object" in line:
                found.append({"kind": line.split("Object")[0].strip()})
            elif ":" in line and found:
                name, value = line.strip().split(":", 1)
                found[-1].setdefault(name.strip(), value.strip())
        return found

    def snapshot(self) -> str:
        """Everything a command could have changed, for comparing."""
        return "\n".join(sorted(json.dumps(o, sort_keys=True) for o in self.objects()))


def run(args: list[str], check: bool = True, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    kwargs.setdefault("timeout", 120)
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([str(a) for a in args], text=True, capture_output=True, check=False, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f"{args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Sandbox:
    """The sandbox CA as a process of its own, stopped by its process id."""

    def __init__(self, path: Path, exchanges: Path | None = None) -> None:
        """exchanges: where it writes down what is asked and answered (default: as the environment says)."""
        recorded = str(exchanges) if exchanges is not None else os.environ.get(EXCHANGES, "")
        self.dir = path
        self.process = subprocess.Popen(
            [PYTHON, str(ROOT / "tests/sandbox/sandbox.py"), "--dir", str(path), "--fast-keys"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True,
            env=clean_env(**{EXCHANGES: recorded}))
        assert self.process.stdout is not None
        ready = self.process.stdout.readline().split()
        assert ready and ready[0] == "ready", f"the sandbox did not start: {ready}"
        self.url, self.control = ready[1], ready[3]
        self.earlier: set[str] = set()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        import urllib.request

        request = urllib.request.Request(
            self.control + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")

    def reset(self) -> None:
        self.ask("DELETE", "/behaviours")
        self.ask("DELETE", "/requests")
        self.earlier = {str(o["id"]) for o in self.all_orders()}

    def set(self, **behaviours: Any) -> None:
        self.ask("POST", "/behaviours", behaviours)

    def once(self, method: str, path_regex: str, times: int = 1, **fault: Any) -> None:
        self.ask("POST", "/behaviours/once",
                 [{"match": {"method": method, "path_regex": path_regex}, "fault": fault, "times": times}])

    def all_orders(self) -> list[dict[str, Any]]:
        found = self.ask("GET", "/orders")
        return found["orders"] if isinstance(found, dict) else found

    def orders(self) -> list[dict[str, Any]]:
        """The orders of this test."""
        return [o for o in self.all_orders() if str(o["id"]) not in self.earlier]

    def requests(self) -> list[dict[str, Any]]:
        found = self.ask("GET", "/requests")
        return found["requests"] if isinstance(found, dict) else found

    def posts(self) -> int:
        return sum(r["method"] == "POST" and "enroll" in r["path"] for r in self.requests())

    def client_cert(self, csr: str, **more: Any) -> dict[str, Any]:
        return self.ask("POST", "/client-cert", {"csr": csr, "bind": True, "eku": ["clientAuth"], **more})

    def sign(self, csr: str, names: list[str], **more: Any) -> dict[str, Any]:
        return self.ask("POST", "/sign", {"csr": csr, "names": names, "days": 90, **more})

    def password_file(self, name: str) -> Path:
        return self.dir / name


@dataclass
class Client:
    """The client with a configuration file; one per test."""

    dir: Path
    token: Token
    sandbox: Sandbox | None
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    wrapper: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dir.mkdir(parents=True, exist_ok=True)
        self.state = self.dir / "state"
        self.conf = self.dir / "p11enroll.conf"
        self.set("p11enroll", state_dir=str(self.state), lock_dir=str(self.dir / "locks"))
        self.set("token:main", module=str(self.token.module), uri=self.token.uri,
                 pin_source=f"file:{self.token.pin_file}")
        self.set("profile:web", product="1013", term="199", key_type="ec:P-256")
        if self.sandbox is not None:
            s = self.sandbox
            self.set("profile:web", issuer_roots=str(s.dir / "issuer-root.pem"))
            self.set("ca:sandbox", url=s.url, auth="cert", customer_uri="sandbox",
                     login="sandbox-admin", client_cert=str(s.dir / "client.p12"),
                     client_alias="admin", org_id="103", trust=str(s.dir / "tls-ca.pem"),
                     client_password_source=f"file:{s.dir / 'client-password.txt'}",
                     poll_scale="2", poll_deadline="20s", connect_timeout="5s", timeout="10s")

    def set(self, section: str, **values: str | None) -> None:
        current = self.settings.setdefault(section, {})
        for name, value in values.items():
            if value is None:
                current.pop(name, None)
            else:
                current[name] = value

    def write(self) -> None:
        lines = []
        for section, values in self.settings.items():
            lines.append(f"[{section}]")
            lines += [f"{name} = {value}" for name, value in values.items()]
        text = "\n".join(lines) + "\n"
        if not self.conf.exists() or self.conf.read_text() != text:
            fresh = self.conf.with_suffix(".new")  # processes of this test may be reading it
            fresh.write_text(text)
            fresh.rename(self.conf)

    def full_env(self) -> dict[str, str]:
        return clean_env(**self.token.env, **self.env)

    def command(self, *args: str) -> list[str]:
        self.write()
        words = list(args)
        return [*self.wrapper, str(P11ENROLL), *words, "--config", str(self.conf)]

    def run(self, *args: str, status: int | None = 0, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        done = run(self.command(*args), check=False, env=self.full_env(), **kwargs)
        if status is not None:
            assert done.returncode == status, (
                f"{args} ended with {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, *args: str, status: int | None = 0, **kwargs: Any) -> dict[str, Any]:
        done = self.run(*args, "--json", status=status, **kwargs)
        return json.loads(done.stdout)

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*args), env=self.full_env(), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def rules(self, *rules: str, **more: str) -> Path:
        """Puts the misbehaving module between the client and its token; returns the log of calls."""
        log = self.dir / f"calls-{secrets.token_hex(4)}.log"
        self.env["P11SHIM_MODULE"] = str(self.token.module)
        self.env["P11SHIM_RULES"] = ",".join(rules)
        self.env["P11SHIM_LOG"] = str(log)
        self.env.update(more)
        self.set("token:main", module=str(SHIM))
        return log

    def no_rules(self) -> None:
        for name in [n for n in self.env if n.startswith("P11SHIM_")]:
            del self.env[name]
        self.set("token:main", module=str(self.token.module))


def calls(log: Path, name: str | None = None) -> list[str]:
    """The calls that the shim wrote down."""
    if not log.exists():
        return []
    names = [line.split()[0] for line in log.read_text().splitlines()]
    return [n for n in names if name is None or n == name]


class P11KitServer:
    """SoftHSM in a process of its own, as a stand-in for an HSM on the network."""

    def __init__(self, token: Token, path: Path) -> None:
        self.token, self.socket = token, path
        self.start()

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["p11-kit", "server", "--foreground", "--provider", str(SOFTHSM), "--name", str(self.socket),
             "pkcs11:"],
            env=clean_env(**self.token.env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 10
        while not self.socket.exists():
            assert time.monotonic() < deadline and self.process.poll() is None, "p11-kit server"
            time.sleep(0.02)

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> P11KitServer:
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        return {"P11_KIT_SERVER_ADDRESS": f"unix:path={self.socket}"}

    def stop(self) -> None:
        """Kills it, and with it the process that it has for each client."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)


def need(*programs: str) -> str | None:
    """The reason for a skip: which program is missing; None if all are there."""
    missing = [p for p in programs if shutil.which(p) is None and not Path(p).exists()]
    return f"not installed: {', '.join(missing)}" if missing else None
