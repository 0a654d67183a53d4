"""Protocol Buffers by hand: for messages whose library is not at hand, and for lies."""

import struct


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """One field: integers as varints, floats as fixed32, the rest length-delimited."""
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields):
    """A message from (number, value) pairs; a list value repeats the field."""
    out = b""
    for number, value in fields:
        for item in value if isinstance(value, list) else [value]:
            out += field(number, item)
    return out
