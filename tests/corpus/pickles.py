"""A small pickle assembler: writes opcode streams without importing, calling or
loading what they name. See CPython's `pickletools` for every opcode used here.
"""

import struct
from dataclasses import dataclass, field

MARK, STOP, POP, POP_MARK, DUP = b"(", b".", b"0", b"1", b"2"
REDUCE, BUILD, TUPLE, EMPTY_TUPLE = b"R", b"b", b"t", b")"
EMPTY_LIST, EMPTY_DICT, APPEND, APPENDS = b"]", b"}", b"a", b"e"
SETITEM, SETITEMS, NONE, MEMOIZE = b"s", b"u", b"N", b"\x94"
STACK_GLOBAL, NEWOBJ, NEWOBJ_EX, OBJ = b"\x93", b"\x81", b"\x92", b"o"
TUPLE1, TUPLE2, TUPLE3, BINPERSID = b"\x85", b"\x86", b"\x87", b"Q"


@dataclass(frozen=True)
class Global:
    """`module.name`, imported when the pickle is loaded."""

    module: str
    name: str


@dataclass(frozen=True)
class Call:
    """`function(*args)`, called when the pickle is loaded."""

    function: object
    args: tuple = ()


@dataclass(frozen=True)
class Build:
    """`target` with `state` applied by BUILD."""

    target: object
    state: object


@dataclass(frozen=True)
class Raw:
    """Opcodes taken as they are."""

    opcodes: bytes = field(default=b"")


def call(module, name, *args, protocol=4):
    """A whole pickle that calls `module.name(*args)`."""
    return dump(Call(Global(module, name), args), protocol)


def dump(value, protocol=4):
    """A whole pickle of `value`, framed from protocol 4 on."""
    return seal(push(value, protocol), protocol)


def seal(opcodes, protocol):
    """PROTO, FRAME and STOP around `opcodes`, as the protocol wants."""
    body = opcodes + STOP
    if protocol < 2:
        return body
    head = b"\x80" + bytes([protocol])
    if protocol >= 4:
        head += b"\x95" + struct.pack("<Q", len(body))
    return head + body


def push(value, protocol=4):
    """Opcodes that leave `value` on the stack."""
    if isinstance(value, Raw):
        return value.opcodes
    if isinstance(value, Global):
        return global_(value.module, value.name, protocol)
    if isinstance(value, Call):
        return push(value.function, protocol) + push(tuple(value.args), protocol) + REDUCE
    if isinstance(value, Build):
        return push(value.target, protocol) + push(value.state, protocol) + BUILD
    if value is None:
        return NONE
    if isinstance(value, bool):
        return (b"\x88" if value else b"\x89") if protocol >= 2 else b"I01\n" if value else b"I00\n"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value) if protocol >= 1 else f"I{value}\n".encode()
    if isinstance(value, str):
        return text(value, protocol)
    if isinstance(value, bytes):
        return binary(value, protocol)
    if isinstance(value, tuple):
        return MARK + b"".join(push(item, protocol) for item in value) + TUPLE
    if isinstance(value, list):
        items = b"".join(push(item, protocol) for item in value)
        return MARK + b"l" + b"".join(push(i, protocol) + APPEND for i in value) if protocol == 0 else (
            EMPTY_LIST + MARK + items + APPENDS
        )
    if isinstance(value, dict):
        if protocol == 0:
            pairs = (push(k, 0) + push(v, 0) + SETITEM for k, v in value.items())
            return MARK + b"d" + b"".join(pairs)
        pairs = (push(k, protocol) + push(v, protocol) for k, v in value.items())
        return EMPTY_DICT + MARK + b"".join(pairs) + SETITEMS
    raise TypeError(f"no opcode for {type(value).__name__}")


def global_(module, name, protocol=4):
    """GLOBAL up to protocol 3, STACK_GLOBAL from 4 on."""
    if protocol >= 4:
        return text(module, protocol) + text(name, protocol) + STACK_GLOBAL
    return f"c{module}\n{name}\n".encode()


def text(value, protocol=4):
    """The string opcode a real pickler of `protocol` would use."""
    data = value.encode("utf-8", "surrogatepass")
    if protocol == 0:
        return b"V" + value.encode("raw-unicode-escape") + b"\n"
    if protocol >= 4 and len(data) < 256:
        return b"\x8c" + bytes([len(data)]) + data
    return b"X" + struct.pack("<I", len(data)) + data


def binary(value, protocol=4):
    """Bytes; before protocol 3 through `_codecs.encode`, as CPython does."""
    if protocol < 3:
        arguments = (value.decode("latin-1"), "latin1")
        return push(Call(Global("_codecs", "encode"), arguments), protocol)
    if len(value) < 256:
        return b"C" + bytes([len(value)]) + value
    return b"B" + struct.pack("<I", len(value)) + value


def put(index, protocol=2):
    """BINPUT or PUT of the top of the stack."""
    return b"q" + bytes([index]) if protocol >= 1 else f"p{index}\n".encode()


def get(index, protocol=2):
    """BINGET or GET."""
    return b"h" + bytes([index]) if protocol >= 1 else f"g{index}\n".encode()


class Reducer:
    """An object that real picklers serialise as a call of `function(*args)`.

    Pickling it only names the function; nothing is called until someone loads it,
    and the corpus never loads anything it makes.
    """

    def __init__(self, function, *args):
        self._call = (function, args)

    def __reduce__(self):
        return self._call
