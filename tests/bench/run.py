#!/usr/bin/python3
"""Runs the benchmarks and prints their tables; scripts/bench builds first and calls this.

Every figure is measured beside what it is compared with, in turn, in one run: the ratio of each round is taken
before the median, so that a machine whose speed drifts says little about the ratio. Ratios say "times as long as";
1.00 is as fast as the raw token.

  run.py                       everything, about ten minutes
  run.py --record FILE         and puts the tables between the marks in FILE
  run.py --many 1000000        and watches the memory of one process over so many signatures
  run.py --smoke               a few rounds on a small token: that it works, not how fast
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import orders  # noqa: E402
import tools  # noqa: E402
from p11e import BUILD, MODULES, P11ENROLL, PROVIDER, SHIM, SOFTHSM, Token, clean_env, private_file, run  # noqa: E402

BENCH = BUILD / "tests" / "bench" / "p11bench"
ENGINE = MODULES.parent / "engines-3" / "pkcs11.so"
LABEL = "k-0"
PEER = os.environ.get("P11BENCH_PEER", "")  # the path of pkcs11-provider's pkcs11.so; scripts/bench finds it
MARK = "<!-- figures -->"


@dataclass
class Plan:
    sizes: list[int]
    rounds: int
    slice_ms: int
    cold_rounds: int
    tool_sizes: list[int]  # of `sizes`, those at which the client is put beside other tools
    tool_rounds: int
    orders: int  # how many are waited for at a time
    order_rounds: int


WHOLE = Plan(sizes=[1, 100, 1000, 10000], rounds=15, slice_ms=400, cold_rounds=15, tool_sizes=[100, 10000], tool_rounds=7,
             orders=1000, order_rounds=7)
SMOKE = Plan(sizes=[1, 20], rounds=2, slice_ms=20, cold_rounds=2, tool_sizes=[20], tool_rounds=2,
             orders=10, order_rounds=2)


spread = tools.spread


class Bench:
    """A token whose object files are kept in memory, so that no disk is measured."""

    def __init__(self, path: Path) -> None:
        self.token = Token(path / "hsm", label="bench").init()
        self.dir = path
        self.pairs = 0
        self.conf = path / "p11enroll.conf"
        self.conf.write_text(
            f"[p11enroll]\nstate_dir = {path}/state\nlock_dir = {path}/locks\n"
            f"[token:bench]\nmodule = {SOFTHSM}\nuri = pkcs11:token=bench\n"
            f"pin_source = file:{self.token.pin_file}\n")
        self.openssl_conf = path / "openssl.cnf"
        self.openssl_conf.write_text(
            "openssl_conf = init\n[init]\nproviders = p\n[p]\ndefault = d\np11enroll = e\n[d]\nactivate = 1\n"
            f"[e]\nmodule = {PROVIDER}\nmodule-path = {SOFTHSM}\n"
            f"pin-source = file:{self.token.pin_file}\nactivate = 1\n"
            "[req]\ndistinguished_name = dn\n[dn]\n")
        self.engine_conf = path / "engine.cnf"
        private_file(self.engine_conf,
            "openssl_conf = init\n[init]\nengines = e\n[e]\npkcs11 = p\n"
            f"[p]\nengine_id = pkcs11\nMODULE_PATH = {SOFTHSM}\nPIN = {self.token.pin}\ninit = 1\n"
            "[req]\ndistinguished_name = dn\n[dn]\n")
        self.peer_conf = path / "peer.cnf"
        self.peer_conf.write_text(
            "openssl_conf = init\n[init]\nproviders = p\n[p]\ndefault = d\npkcs11 = e\n[d]\nactivate = 1\n"
            f"[e]\nmodule = {PEER}\npkcs11-module-path = {SOFTHSM}\n"
            f"pkcs11-module-token-pin = file:{self.token.pin_file}\n"
            "pkcs11-module-quirks = no-deinit\nactivate = 1\n"  # without it, it crashes at exit over SoftHSM
            "[req]\ndistinguished_name = dn\n[dn]\n")
        self.env = clean_env(**self.token.env, P11ENROLL_PROVIDER_DIR=str(PROVIDER.parent),
                             P11ENROLL_PIN_SOURCE=f"file:{self.token.pin_file}")
        if PEER:
            self.env["P11BENCH_PEER_CONF"] = str(self.peer_conf)

    def p11bench(self, mode: str, *args: object) -> list[list[float]]:
        done = run([str(BENCH), mode, str(SOFTHSM), "bench", *[str(a) for a in args]], env=self.env,
                   stdin=None, input=self.token.pin + "\n", timeout=3600)
        return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]

    def grow(self, pairs: int) -> None:
        self.p11bench("populate", self.pairs, pairs)
        self.pairs = pairs

    def cold(self) -> dict[str, tuple[list[str], dict[str, str]]]:
        """The commands that a fresh process is measured with; the floor first."""
        uri = f"pkcs11:token=bench;object={LABEL};type=private"
        req = ["openssl", "req", "-new", "-subj", "/CN=bench", "-out", str(self.dir / "out.csr")]
        ways: dict[str, tuple[list[str], dict[str, str]]] = {
            "floor": ([str(BENCH), "floor", str(SOFTHSM), "bench", LABEL], {}),
            "`p11enroll csr create`": (
                [str(P11ENROLL), "csr", "create", "--config", str(self.conf), f"pkcs11:object={LABEL}", "--token", "bench",
                 "--name", "bench.example", "--out", str(self.dir / "ours.csr")], {}),
            "`openssl req`, p11enroll.so": ([*req, "-key", uri], {"OPENSSL_CONF": str(self.openssl_conf)}),
        }
        if PEER:
            ways["`openssl req`, pkcs11-provider"] = ([*req, "-key", uri], {"OPENSSL_CONF": str(self.peer_conf)})
        if ENGINE.exists():
            ways["`openssl req`, pkcs11 engine"] = (
                [*req, "-engine", "pkcs11", "-keyform", "engine", "-key", uri],
                {"OPENSSL_CONF": str(self.engine_conf)})
        return ways

    def time_once(self, command: list[str], env: dict[str, str]) -> float:
        start = time.perf_counter()
        done = subprocess.run(command, env={**self.env, **env}, input=self.token.pin + "\n", text=True,
                              capture_output=True, check=False)
        took = time.perf_counter() - start
        if done.returncode != 0:
            raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr}")
        return took


NAMES = ["raw", "raw, session copy", "p11enroll.so, context kept", "p11enroll.so", "pkcs11-provider", "pkcs11 engine"]
COPY = 1


def sign_table(bench: Bench, plan: Plan) -> list[str]:
    """Of each way: signatures per second beside the session copy's in the same round, and processor time beyond it."""
    lines = ["| key, threads | way | rate : session copy | processor time, us | beyond the session copy, us |",
             "|---|---|---|---|---|"]
    for kind, label in (("P-256", LABEL), ("RSA-2048", "rsa")):
        for threads in (1, 2):
            rows = bench.p11bench("sign", label, "rsa" if label == "rsa" else "ec", plan.rounds, plan.slice_ms, threads)
            for way, name in enumerate(NAMES):
                rate = [row[2 * way] for row in rows]
                cpu = [row[2 * way + 1] for row in rows]
                if not all(rate):
                    lines.append(f"| {kind}, {threads} | {name} | absent | | |")
                    continue
                ratio = [a / row[2 * COPY] for a, row in zip(rate, rows, strict=True)]
                more = [a - row[2 * COPY + 1] for a, row in zip(cpu, rows, strict=True)]
                lines.append(f"| {kind}, {threads} | {name} | {spread(ratio)} | {spread(cpu, 1)} | {spread(more, 1)} |")
    return lines


def call_table(bench: Bench) -> list[str]:
    """The calls into the module that one request costs, counted by the shim under all of them."""
    lines = ["| way | calls | of which searches |", "|---|---|---|"]
    for name, (command, env) in bench.cold().items():
        if name == "floor":
            continue
        log = bench.dir / "calls"
        log.unlink(missing_ok=True)
        shim = {"P11SHIM_MODULE": str(SOFTHSM), "P11SHIM_LOG": str(log)}
        for variable in ("OPENSSL_CONF",):
            if variable in env:
                conf = bench.dir / "shim.cnf"
                private_file(conf, Path(env[variable]).read_text().replace(str(SOFTHSM), str(SHIM)))
                env = {**env, variable: str(conf)}
        if "p11enroll csr" in name:
            conf = bench.dir / "shim.conf"
            conf.write_text(bench.conf.read_text().replace(str(SOFTHSM), str(SHIM)))
            command = [str(conf) if word == str(bench.conf) else word for word in command]
        bench.time_once(command, {**env, **shim})
        names = [line.split()[0] for line in log.read_text().splitlines()]
        lines.append(f"| {name} | {len(names)} | {names.count('C_FindObjectsInit')} |")
    return lines


def phase_table(bench: Bench, plan: Plan) -> list[str]:
    """What a fresh process spends its time on: each row does more than the one before."""
    key, conf = bench.dir / "software.pem", bench.dir / "none.cnf"
    conf.write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key)], env=bench.env)
    ways = bench.cold()
    req, env = ways["`openssl req`, p11enroll.so"]
    software = [str(key) if word.startswith("pkcs11:") else word for word in req]
    rows: dict[str, tuple[list[str], dict[str, str]]] = {
        "floor: load, initialise, log in, find key and public half, sign": ways["floor"],
        "`openssl version`": (["openssl", "version"], {"OPENSSL_CONF": str(conf)}),
        "`openssl req` with a software key": (software, {"OPENSSL_CONF": str(conf)}),
        "the same, p11enroll.so loaded and not used": (software, env),
        "`openssl req` with the token key": (req, env),
    }
    took: dict[str, list[float]] = {name: [] for name in rows}
    for round_ in range(2 * plan.cold_rounds + 1):
        for name, (command, more) in rows.items():
            seconds = bench.time_once(command, more)
            if round_ > 0:
                took[name].append(1000 * seconds)
    return ["| process | ms |", "|---|---|", *[f"| {name} | {spread(ms)} |" for name, ms in took.items()]]


def many_table(bench: Bench, count: int) -> list[str]:
    lines = ["| signatures so far | resident memory, kB |", "|---|---|"]
    return lines + [f"| {int(done)} | {int(kb)} |" for done, kb in bench.p11bench("many", LABEL, count)]


@dataclass
class SizeTables:
    lookup: list[str]
    cold: list[str]
    listing: list[str]
    client_list: list[str]
    client_find: list[str]


def size_tables(bench: Bench, plan: Plan) -> SizeTables:
    lookup = ["| key pairs on the token | raw search, ms | through p11enroll.so, ms | time, p11enroll.so : raw |",
              "|---|---|---|---|"]
    names = list(bench.cold())[1:]
    listing = ["| keys on the token | raw, ms | p11enroll.so: the first, ms | all, ms | all : raw | memory, kB more |",
               "|---|---|---|---|---|---|"]
    cold = ["| key pairs on the token | floor, ms | " + " | ".join(f"{n} : floor" for n in names) + " |",
            "|---|---|" + "---|" * len(names)]
    client_list, client_find = list(tools.HEAD), list(tools.HEAD)
    for size in plan.sizes:
        bench.grow(size)
        rows = bench.p11bench("lookup", LABEL, plan.rounds, plan.slice_ms)
        lookup.append(f"| {size} | {spread([1000 / r[0] for r in rows])} | {spread([1000 / r[1] for r in rows])} | "
                      f"{spread([raw / ours for raw, ours, _ in rows])} |")
        raw, raw_ms, count, first, total, grown = bench.p11bench("list", "-")[0]
        if raw != count:
            raise SystemExit(f"the token has {raw} keys, and the provider lists {count}")
        listing.append(f"| {count:.0f} | {raw_ms:.1f} | {first:.1f} | {total:.1f} | {total / raw_ms:.2f} | {grown:.0f} |")
        ways = bench.cold()
        took: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(plan.cold_rounds + 1):  # the first is the warm-up
            for name, (command, env) in ways.items():
                seconds = bench.time_once(command, env)
                if round_ > 0:
                    took[name].append(seconds)
        ratios = [spread([a / b for a, b in zip(took[name], took["floor"], strict=True)]) for name in names]
        cold.append(f"| {size} | {spread([1000 * s for s in took['floor']], 1)} | " + " | ".join(ratios) + " |")
        print(lookup[-1], cold[-1], sep="\n", file=sys.stderr, flush=True)
        if size in plan.tool_sizes:
            listed, found = tools.tables(size, bench.conf, bench.token.pin, bench.env, plan.tool_rounds)
            client_list += listed
            client_find += found
    return SizeTables(lookup, cold, listing, client_list, client_find)


def machine() -> str:
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    versions = []
    for package in ("softhsm2", "openssl", "libp11-3", "libengine-pkcs11-openssl", "opensc", "gnutls-bin"):
        done = run(["dpkg-query", "-W", "-f=${Version}", package], check=False)
        versions.append(f"{package} {done.stdout or 'not installed'}")
    versions.append(f"pkcs11-provider {os.environ.get('P11BENCH_PEER_VERSION') or 'not installed'}")
    return f"{cpu}, {os.cpu_count()} processors; {', '.join(versions)}"


def record(path: Path, text: str) -> None:
    head, _, tail = path.read_text().split(MARK)
    path.write_text(f"{head}{MARK}\n{text}\n{MARK}{tail}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, metavar="FILE")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--many", type=int, metavar="COUNT", help="also watch the memory over so many signatures")
    args = parser.parse_args()
    plan = SMOKE if args.smoke else WHOLE

    memory = Path("/dev/shm")
    base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    path = Path(tempfile.mkdtemp(prefix="p11enroll-bench-", dir=base))
    try:
        bench = Bench(path)
        bench.grow(plan.sizes[0])
        signatures = sign_table(bench, plan)
        calls = call_table(bench)
        phases = phase_table(bench, plan)
        many = many_table(bench, args.many) if args.many else []
        waiting = orders.table(path, plan.orders, plan.order_rounds)
        sized = size_tables(bench, plan)
    finally:
        shutil.rmtree(path, ignore_errors=True)
    text = "\n".join([f"Measured on {machine()}; {plan.rounds} rounds, objects in {base}.", "",
                      "### Signatures", "", *signatures, "", "### Finding a key in a running process", "", *sized.lookup, "",
                      "### Listing a token", "", *sized.listing, "",
                      "### Listing private keys with the client, beside other tools", "", *sized.client_list, "",
                      "### Finding one key with the client, beside another tool", "", *sized.client_find, "",
                      "### A fresh process, from start to CSR", "", *sized.cold, "", "### What a fresh process spends its time on, at one key pair", "", *phases, "",
                      "### Calls into the module for that", "", *calls,
                      "", f"### Asking about {plan.orders} orders, once each", "", *waiting,
                      *(["", "### Memory over many signatures", "", *many] if many else [])])
    print(text)
    if args.record:
        record(args.record, text)


main()
