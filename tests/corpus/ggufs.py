"""A GGUF writer that can be told to lie (GGUF specification v3)."""

import struct
from dataclasses import dataclass

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
F32_TENSOR = 0


@dataclass
class Kv:
    key: str | bytes
    type: int
    value: object = None
    raw: bytes | None = None


@dataclass
class Tensor:
    name: str | bytes
    shape: tuple = (4,)
    type: int = F32_TENSOR
    offset: int | None = None
    dims: int | None = None
    data: bytes | None = None


ARCHITECTURE = Kv("general.architecture", STRING, "llama")


def gguf(kvs=(ARCHITECTURE,), tensors=(Tensor("token_embd.weight"),), version=3, magic=b"GGUF", n_kv=None, n_tensors=None, order="<", alignment=32, cut=None, tail=b""):
    """The bytes of a GGUF file. Counts, offsets and dimensions follow the lists unless given."""
    count = "I" if version == 1 else "Q"
    out = bytearray(magic + struct.pack(order + "I", version & 0xFFFFFFFF))
    out += struct.pack(order + count, len(tensors) if n_tensors is None else n_tensors)
    out += struct.pack(order + count, len(kvs) if n_kv is None else n_kv)
    for kv in kvs:
        out += string(kv.key, order, count) + struct.pack(order + "I", kv.type & 0xFFFFFFFF)
        out += kv.raw if kv.raw is not None else value(kv.type, kv.value, order, count)
    data = bytearray()
    for tensor in tensors:
        content = tensor.data
        if content is None:
            elements = 1
            for extent in tensor.shape:
                elements *= max(extent, 0) if extent < 1 << 20 else 1
            content = bytes(4 * min(elements, 64))
        offset = len(data) if tensor.offset is None else tensor.offset
        out += string(tensor.name, order, count)
        out += struct.pack(order + "I", len(tensor.shape) if tensor.dims is None else tensor.dims)
        for extent in tensor.shape:
            out += struct.pack(order + count, extent & (2**64 - 1 if count == "Q" else 2**32 - 1))
        out += struct.pack(order + "I", tensor.type & 0xFFFFFFFF) + struct.pack(order + "Q", offset)
        data += content + bytes(-len(content) % alignment)
    out += bytes(-len(out) % alignment) + data + tail
    return bytes(out if cut is None else out[:cut])


def string(text, order="<", count="Q"):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(order + count, len(data)) + data


def array(item_type, items, order="<", count="Q", length=None):
    head = struct.pack(order + "I", item_type) + struct.pack(order + count, len(items) if length is None else length)
    return head + b"".join(value(item_type, item, order, count) for item in items)


def value(type_, item, order="<", count="Q"):
    if type_ == STRING:
        return string(item, order, count)
    if type_ == ARRAY:
        item_type, items = item
        return array(item_type, items, order, count)
    return struct.pack(order + "BbHhIif?..QqdX"[type_], item) if type_ < 8 else struct.pack(order + {U64: "Q", I64: "q", F64: "d"}[type_], item)
