"""Makes key pairs that pkcs11-tool 0.23 cannot: p11keys.py MODULE TOKEN ID-HEX LABEL KIND, the PIN in the environment.

KIND is a curve that SoftHSM generates as an Edwards key (ed448, x25519, x448, as an OID), an RSA key that may do
nothing but PSS (rsa-pss:2048; CKA_ALLOWED_MECHANISMS) or that signs messages alone, which the token hashes
(rsa-hashed:2048), or rsa:2048 and p256 for everything that they can do, for a module that wants an argument for
C_Initialize (INIT_ARGS in the environment): NSS's. There the KIND init-pin sets the first PIN. Plain Cryptoki through
ctypes, so that it is nobody's code under test.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Any

ULONG = ctypes.c_ulong
RW_SESSION, SO, USER, OS_LOCKING = 0x6, 0, 1, 2
GENERATE_RSA, GENERATE_EC, GENERATE_EDWARDS = 0x0, 0x1040, 0x1055
P256 = bytes.fromhex("06082a8648ce3d030107")
PSS = [0x0D, 0x0E, 0x43, 0x44, 0x45, 0x47]  # CKM_RSA_PKCS_PSS and those with a hash
HASHED = [0x40, 0x41, 0x42, 0x43, 0x44, 0x45]  # CKM_SHA256_RSA_PKCS to CKM_SHA512_RSA_PKCS_PSS
OIDS = {"ed25519": 0x70, "ed448": 0x71, "x25519": 0x6E, "x448": 0x6F}
TRUE, FALSE = b"\1", b"\0"
(TOKEN, PRIVATE, LABEL, ID, SENSITIVE, ENCRYPT, DECRYPT, SIGN, VERIFY, DERIVE, MODULUS_BITS, EXPONENT, EXTRACTABLE,
 EC_PARAMS, ALLOWED) = (0x1, 0x2, 0x3, 0x102, 0x103, 0x104, 0x105, 0x108, 0x10A, 0x10C, 0x121, 0x122, 0x162, 0x180,
                        0x40000600)

# Where the functions stand in CK_FUNCTION_LIST, behind its version.
PLACES = {"C_Initialize": 0, "C_Finalize": 1, "C_GetSlotList": 4, "C_GetTokenInfo": 6, "C_InitPIN": 10,
          "C_OpenSession": 12, "C_Login": 18, "C_GenerateKeyPair": 59}


class Triple(ctypes.Structure):
    """CK_ATTRIBUTE and CK_MECHANISM look alike."""

    _fields_ = [("type", ULONG), ("value", ctypes.c_void_p), ("length", ULONG)]


class InitializeArgs(ctypes.Structure):
    _fields_ = [("mutexes", ctypes.c_void_p * 4), ("flags", ULONG), ("reserved", ctypes.c_char_p)]


class Module:
    """A module's functions; not all of them export more than C_GetFunctionList."""

    def __init__(self, path: str) -> None:
        self.loaded = ctypes.CDLL(path)
        table = ctypes.POINTER(ctypes.c_void_p)()
        check("C_GetFunctionList", self.loaded.C_GetFunctionList(ctypes.byref(table)))
        self.table = table

    def __getattr__(self, name: str) -> Any:
        return ctypes.CFUNCTYPE(ULONG)(self.table[PLACES[name] + 1])

    def initialize(self) -> None:
        args = InitializeArgs(flags=OS_LOCKING, reserved=os.environ.get("INIT_ARGS", "").encode() or None)
        check("C_Initialize", self.C_Initialize(ctypes.byref(args)))


def ulongs(*values: int) -> bytes:
    return struct.pack(f"@{len(values)}L", *values)


def template(attributes: dict[int, bytes]) -> tuple[ctypes.Array[Triple], list[object]]:
    buffers = [ctypes.create_string_buffer(v, max(len(v), 1)) for v in attributes.values()]
    made = (Triple * len(attributes))(*[Triple(t, ctypes.cast(b, ctypes.c_void_p), len(v))
                                        for (t, v), b in zip(attributes.items(), buffers)])
    return made, list(buffers)


def check(name: str, rv: int) -> None:
    if rv != 0:
        sys.exit(f"{name}: {rv:#x}")


def slot_of(module: Module, token: str) -> int:
    count = ULONG(64)
    slots = (ULONG * 64)()
    check("C_GetSlotList", module.C_GetSlotList(TRUE, slots, ctypes.byref(count)))
    for slot in slots[:count.value]:
        info = ctypes.create_string_buffer(512)
        check("C_GetTokenInfo", module.C_GetTokenInfo(ULONG(slot), info))
        if info.raw[:32].decode().strip() == token:
            return slot
    sys.exit(f"no token {token}")


def generate(module: Module, session: ULONG, key_id: bytes, label: str, kind: str) -> None:
    name = {TOKEN: TRUE, ID: key_id, LABEL: label.encode()}
    public, private = {**name, VERIFY: TRUE}, {**name, PRIVATE: TRUE, SENSITIVE: TRUE, EXTRACTABLE: FALSE, SIGN: TRUE}
    if kind.startswith("rsa-"):
        which, bits = kind.split(":")
        allowed = ulongs(*(PSS if which == "rsa-pss" else HASHED))
        mechanism = GENERATE_RSA
        public |= {MODULUS_BITS: ulongs(int(bits)), EXPONENT: b"\1\0\1", ALLOWED: allowed}
        private |= {ALLOWED: allowed}
    elif kind.startswith("rsa:"):
        mechanism = GENERATE_RSA
        public |= {MODULUS_BITS: ulongs(int(kind.split(":")[1])), EXPONENT: b"\1\0\1", ENCRYPT: TRUE}
        private |= {DECRYPT: TRUE}
    elif kind == "p256":
        mechanism = GENERATE_EC
        public |= {EC_PARAMS: P256}
        private |= {DERIVE: TRUE}
    else:
        mechanism = GENERATE_EDWARDS
        public |= {EC_PARAMS: bytes([0x06, 0x03, 0x2B, 0x65, OIDS[kind]])}
        private |= {DERIVE: TRUE}
    public_list, keep_public = template(public)
    private_list, keep_private = template(private)
    how, handles = Triple(mechanism, None, 0), (ULONG * 2)()
    check("C_GenerateKeyPair", module.C_GenerateKeyPair(
        session, ctypes.byref(how), public_list, ULONG(len(public_list)), private_list, ULONG(len(private_list)),
        ctypes.byref(handles, 0), ctypes.byref(handles, ctypes.sizeof(ULONG))))


def main() -> None:
    path, token, key_id, label, kind = sys.argv[1:]
    module = Module(path)
    session, pin = ULONG(), os.environ["PIN"].encode()
    module.initialize()
    check("C_OpenSession", module.C_OpenSession(ULONG(slot_of(module, token)), ULONG(RW_SESSION), None, None,
                                                ctypes.byref(session)))
    if kind == "init-pin":
        check("C_Login", module.C_Login(session, ULONG(SO), b"", ULONG(0)))
        check("C_InitPIN", module.C_InitPIN(session, pin, ULONG(len(pin))))
    else:
        check("C_Login", module.C_Login(session, ULONG(USER), pin, ULONG(len(pin))))
        generate(module, session, bytes.fromhex(key_id), label, kind)
    check("C_Finalize", module.C_Finalize(None))


main()
