"""Tar, 7z and compressed-stream writers with fixed times and owners."""

import bz2
import gzip
import io
import lzma
import tarfile
from unittest import mock

import py7zr
import zstandard
from py7zr.helpers import ArchiveTimestamp


def tar(files, special=()):
    """A USTAR archive of `files` ({name: bytes}) and `special` TarInfos, in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            data = data.encode() if isinstance(data, str) else data
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in special:
            archive.addfile(info)
    return buffer.getvalue()


def tar_entry(name, kind, target="", **fields):
    """A header-only tar entry: link, device or FIFO."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def gz(data):
    return gzip.compress(data, mtime=0)


COMPRESSORS = {"gz": gz, "bz2": bz2.compress, "xz": lzma.compress, "zst": lambda d: zstandard.compress(d, 3)}


def seven_zip(files, **options):
    """A 7z of `files` ({name: bytes}). py7zr always records the time; it is held still here."""
    fixed = ArchiveTimestamp(132_539_328_000_000_000)  # 2021-01-01
    buffer = io.BytesIO()
    with mock.patch.object(ArchiveTimestamp, "from_now", staticmethod(lambda: fixed)):
        with py7zr.SevenZipFile(buffer, "w", **options) as archive:
            for name, data in files.items():
                archive.writestr(data, name)
    return buffer.getvalue()
