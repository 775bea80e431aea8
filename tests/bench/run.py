#!/usr/bin/python3
"""Runs the benchmarks and prints their tables; scripts/bench builds first and calls this.

Every figure is measured beside what it is compared with, in turn, in one run: the ratio of each round is taken
before the median, so that a machine whose speed drifts says little about the ratio. Ratios say "times as long as";
1.00 is as fast as the raw token.

  run.py                       everything, about ten minutes
  run.py --record FILE         and puts the tables between the marks in FILE
  run.py --smoke               a few rounds on a small token: that it works, not how fast
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from p11e import BUILD, MODULES, P11ENROLL, PROVIDER, SOFTHSM, Token, clean_env, private_file, run  # noqa: E402

BENCH = BUILD / "tests" / "bench" / "p11bench"
ENGINE = MODULES.parent / "engines-3" / "pkcs11.so"
LABEL = "k-0"
MARK = "<!-- figures -->"


@dataclass
class Plan:
    sizes: list[int]
    rounds: int
    slice_ms: int
    cold_rounds: int


WHOLE = Plan(sizes=[1, 100, 1000, 10000], rounds=15, slice_ms=400, cold_rounds=15)
SMOKE = Plan(sizes=[1, 20], rounds=2, slice_ms=20, cold_rounds=2)


def spread(values: list[float], digits: int = 2) -> str:
    """Median, with the smallest and the largest in brackets."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


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
        self.env = clean_env(**self.token.env, P11ENROLL_PROVIDER_DIR=str(PROVIDER.parent),
                             P11ENROLL_PIN_SOURCE=f"file:{self.token.pin_file}")

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


def sign_table(bench: Bench, plan: Plan) -> list[str]:
    lines = ["| key | raw C_Sign, per second | through p11enroll.so | time, p11enroll.so : raw | time, pkcs11 engine : raw |",
             "|---|---|---|---|---|"]
    for kind, label in (("RSA-2048", "rsa"), ("P-256", LABEL)):
        rows = bench.p11bench("sign", label, "rsa" if label == "rsa" else "ec", plan.rounds, plan.slice_ms)
        peer = spread([raw / p for raw, _, p in rows]) if all(p for _, _, p in rows) else "not installed"
        lines.append(f"| {kind} | {spread([r[0] for r in rows], 0)} | {spread([r[1] for r in rows], 0)} | "
                     f"{spread([raw / ours for raw, ours, _ in rows])} | {peer} |")
    return lines


def size_tables(bench: Bench, plan: Plan) -> tuple[list[str], list[str]]:
    lookup = ["| key pairs on the token | raw search, ms | through p11enroll.so, ms | time, p11enroll.so : raw |",
              "|---|---|---|---|"]
    names = list(bench.cold())[1:]
    cold = ["| key pairs on the token | floor, ms | " + " | ".join(f"{n} : floor" for n in names) + " |",
            "|---|---|" + "---|" * len(names)]
    for size in plan.sizes:
        bench.grow(size)
        rows = bench.p11bench("lookup", LABEL, plan.rounds, plan.slice_ms)
        lookup.append(f"| {size} | {spread([1000 / r[0] for r in rows])} | {spread([1000 / r[1] for r in rows])} | "
                      f"{spread([raw / ours for raw, ours, _ in rows])} |")
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
    return lookup, cold


def machine() -> str:
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    versions = []
    for package in ("softhsm2", "openssl", "libengine-pkcs11-openssl"):
        done = run(["dpkg-query", "-W", "-f=${Version}", package], check=False)
        versions.append(f"{package} {done.stdout or 'not installed'}")
    return f"{cpu}, {os.cpu_count()} processors; {', '.join(versions)}"


def record(path: Path, text: str) -> None:
    head, _, tail = path.read_text().split(MARK)
    path.write_text(f"{head}{MARK}\n{text}\n{MARK}{tail}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, metavar="FILE")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    plan = SMOKE if args.smoke else WHOLE

    memory = Path("/dev/shm")
    base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    path = Path(tempfile.mkdtemp(prefix="p11enroll-bench-", dir=base))
    try:
        bench = Bench(path)
        bench.grow(plan.sizes[0])
        signatures = sign_table(bench, plan)
        lookup, cold = size_tables(bench, plan)
    finally:
        shutil.rmtree(path, ignore_errors=True)
    text = "\n".join([f"Measured on {machine()}; {plan.rounds} rounds, objects in {base}.", "",
                      "### Signatures", "", *signatures, "", "### Finding a key in a running process", "", *lookup, "",
                      "### A fresh process, from start to CSR", "", *cold])
    print(text)
    if args.record:
        record(args.record, text)


main()
