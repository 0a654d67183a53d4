"""The only payloads the corpus may carry. All are harmless, even if run.

A scanner must judge the construction, not the words, so the texts are plain.
"""

import base64
import marshal

WORD = "weighbridge-marker"
COMMAND = "echo weighbridge-marker"
ARGV = ["echo", "weighbridge-marker"]
FILE = "/tmp/weighbridge-marker"
URL = "https://example.invalid/weighbridge-marker"
HOST = "example.invalid"
PYTHON = f"open('{FILE}', 'w')"
PYTHON_SYSTEM = f"__import__('os').system('{COMMAND}')"
SCRIPT = f"#!/bin/sh\n{COMMAND}\n"
PYTHON_FILE = f"import os\n\nos.system('{COMMAND}')\n"


def code_object(source, filename="<marker>"):
    """Marshalled code of `source`: compiled, never run."""
    return marshal.dumps(compile(source, filename, "exec"))


def lambda_code(expression="x * 2"):
    """Base64 of a marshalled `lambda x: ...` body, as Keras stores it."""
    module = compile(f"lambda x: {expression}", "<lambda>", "eval")
    body = next(const for const in module.co_consts if hasattr(const, "co_code"))
    return base64.b64encode(marshal.dumps(body)).decode()


def elf(text=WORD):
    """The first 64 bytes of an ELF header and a marker. It cannot run: no segments."""
    header = bytearray(b"\x7fELF\x02\x01\x01" + bytes(9))
    header += (2).to_bytes(2, "little") + (62).to_bytes(2, "little") + (1).to_bytes(4, "little")
    header += bytes(8 * 3 + 4) + (64).to_bytes(2, "little") + bytes(10)
    return bytes(header) + text.encode()


def pe(text=WORD):
    """DOS and PE signatures and a marker. It cannot run: no sections."""
    dos = b"MZ" + bytes(58) + (64).to_bytes(4, "little")
    coff = b"PE\0\0" + (0x8664).to_bytes(2, "little") + bytes(18)
    return dos + coff + text.encode()


def macho(text=WORD):
    """A Mach-O 64 header without load commands and a marker."""
    return b"\xcf\xfa\xed\xfe" + (0x0100000C).to_bytes(4, "little") + bytes(24) + text.encode()
