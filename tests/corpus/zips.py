"""A ZIP writer that can be told to lie. Field names follow APPNOTE.TXT 4.3.

Every `Member` field left at `None` is written honestly, so the same code makes
reproducible honest archives (fixed 1980 timestamps) and each single trick.
"""

import struct
import zlib
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
DOS_DATE = (1 << 5) | 1  # 1980-01-01


@dataclass
class Member:
    name: str | bytes
    data: bytes
    method: int = STORED
    flags: int = 0
    local_name: str | bytes | None = None
    local_method: int | None = None
    crc: int | None = None
    stored_size: int | None = None
    real_size: int | None = None
    local_size: int | None = None
    external_attributes: int = 0o100644 << 16
    offset: int | None = None
    write_local: bool = True
    comment: bytes = b""


def archive(members, prefix=b"", suffix=b"", comment=b"", entry_count=None, shift_offsets=True):
    """The bytes of a ZIP. `members` are `Member`s, or (name, data) pairs."""
    members = [m if isinstance(m, Member) else Member(m[0], _bytes(m[1])) for m in members]
    out = bytearray(prefix)
    base = 0 if shift_offsets else len(prefix)
    central = bytearray()
    for m in members:
        payload = _packed(m)
        crc = zlib.crc32(m.data) if m.crc is None else m.crc
        packed = len(payload) if m.stored_size is None else m.stored_size
        size = len(m.data) if m.real_size is None else m.real_size
        offset = len(out) - base if m.offset is None else m.offset
        if m.write_local:
            local_name = _bytes(m.name if m.local_name is None else m.local_name)
            method = m.method if m.local_method is None else m.local_method
            local_size = size if m.local_size is None else m.local_size
            out += struct.pack(
                "<IHHHHHIIIHH", 0x04034B50, 20, m.flags, method, 0, DOS_DATE,
                crc, packed, local_size, len(local_name), 0,
            ) + local_name + payload
        name = _bytes(m.name)
        central += struct.pack(
            "<IHHHHHHIIIHHHHHII", 0x02014B50, 0x0314, 20, m.flags, m.method, 0, DOS_DATE,
            crc, packed, size, len(name), 0, len(m.comment), 0, 0, m.external_attributes, offset,
        ) + name + m.comment
    count = len(members) if entry_count is None else entry_count
    start = len(out) - base
    out += central
    out += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(central), start, len(comment))
    return bytes(out) + comment + suffix


def rewritten(data, replace=None, drop=()):
    """An honest ZIP re-written with fixed timestamps; `replace` maps names to new bytes."""
    import io
    import zipfile

    replace = replace or {}
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        names = [n for n in source.namelist() if n not in drop]
        members = [
            Member(n, _bytes(replace.get(n, source.read(n))), DEFLATED if len(source.read(n)) > 512 else STORED)
            for n in names
        ]
    members += [Member(n, _bytes(d)) for n, d in replace.items() if n not in names]
    return archive(members)


def _packed(m):
    if m.method != DEFLATED:
        return m.data
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(m.data) + deflate.flush()


def _bytes(value):
    return value.encode() if isinstance(value, str) else value
