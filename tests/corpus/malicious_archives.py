"""Archives that hide, escape, explode, or carry a malicious member."""

import gzip
import tarfile

import pickles as P
import zips
from archives import COMPRESSORS, seven_zip, tar, tar_entry
from corpus import BAD, DAMAGED, Corpus
from malicious_pickle import evil
from malicious_torch import torch_zip
from markers import PYTHON_FILE, SCRIPT, elf, macho, pe
from zips import DEFLATED, STORED, Member

SYSTEM = "posix.system"
CLEAN = P.dump({"weights": [1, 2]}, 2)


def make(c: Corpus):
    _zip_tricks(c)
    _zip_paths(c)
    _zip_bombs(c)
    _nesting(c)
    _tar(c)
    _seven_zip(c)
    _executables(c)
    _damaged(c)


def _zip_tricks(c):
    """Each trick around the same torch zip with the same payload: loaders still load it."""
    bad = evil(2)
    root = "archive/"
    version = Member(root + "version", b"3\n")
    variants = {
        "local-name-differs": [Member(root + "data.pkl", bad, local_name=root + "README.md"), version],
        "central-name-differs": [Member(root + "README.md", bad, local_name=root + "data.pkl"), version],
        "local-name-longer": [Member(root + "data.pkl", bad, local_name=root + "data.pkl" + "x" * 30), version],
        "flag-encrypted": [Member(root + "data.pkl", bad, flags=0x1), version],
        "flag-patch-data": [Member(root + "data.pkl", bad, flags=0x20), version],
        "flag-strong-encryption": [Member(root + "data.pkl", bad, flags=0x40), version],
        "flag-masked-headers": [Member(root + "data.pkl", bad, flags=0x2000), version],
        "flag-data-descriptor-absent": [Member(root + "data.pkl", bad, flags=0x8), version],
        "crc-wrong": [Member(root + "data.pkl", bad, crc=0xDEADBEEF), version],
        "crc-zero": [Member(root + "data.pkl", bad, crc=0), version],
        "size-zero-in-local-header": [Member(root + "data.pkl", bad, local_size=0), version],
        "size-too-small-in-central": [Member(root + "data.pkl", bad, DEFLATED, real_size=4), version],
        "duplicate-last-evil": [Member(root + "data.pkl", CLEAN), Member(root + "data.pkl", bad), version],
        "duplicate-first-evil": [Member(root + "data.pkl", bad), Member(root + "data.pkl", CLEAN), version],
        "case-duplicate": [Member(root + "data.pkl", CLEAN), Member(root + "DATA.PKL", bad), version],
        "method-unknown-99": [Member(root + "data.pkl", bad, method=99), version],
        "method-differs-local": [Member(root + "data.pkl", bad, STORED, local_method=8), version],
        "extra-member-only-local": [Member(root + "data.pkl", CLEAN), version, Member(root + "hidden.pkl", bad)],
        "backslash-name": [Member("archive\\data.pkl", bad), version],
        "nul-in-name": [Member(b"archive/data.pkl\0.txt", bad), version],
        "directory-flag": [Member(root + "data.pkl", bad, external_attributes=0x10), version],
        "comment-holds-payload": [Member(root + "data.pkl", CLEAN, comment=bad), version],
        "deflated": [Member(root + "data.pkl", bad, DEFLATED), version],
    }
    alarm_only = {"flag-encrypted", "flag-strong-encryption", "method-unknown-99", "size-too-small-in-central", "method-differs-local", "case-duplicate",
                  "comment-holds-payload", "flag-masked-headers", "flag-patch-data", "extra-member-only-local", "directory-flag"}
    for name, members in variants.items():
        verdict = BAD if name in alarm_only else ("malicious",)
        if name == "comment-holds-payload":
            verdict = (*BAD, "clean")
        c.malicious(f"zip-tricks/{name}.pt", zips.archive(members), ["pytorch-zip"] if name not in ("backslash-name", "nul-in-name", "central-name-differs") else [],
                    SYSTEM if verdict == ("malicious",) else None, "CVE-2025-1944/-1945/-10156 family: the loader reads what the scanner skips", verdict)
    hidden = zips.archive([Member(root + "data.pkl", CLEAN), version, Member(root + "hidden.pkl", bad)])
    cut = hidden.rindex(b"PK\x01\x02")
    end = hidden.rindex(b"PK\x05\x06")
    shorter = hidden[:cut] + hidden[end : end + 8] + b"\x02\0\x02\0" + (cut - hidden.index(b"PK\x01\x02")).to_bytes(4, "little") + hidden[end + 16 :]
    c.malicious("zip-tricks/local-entry-not-in-directory.pt", shorter, ["pytorch-zip"], None, "a member that only a streaming reader sees", BAD)
    base = torch_zip(bad)
    c.malicious("zip-tricks/prefix-offsets-not-adjusted.pt", torch_zip(bad, prefix=b"#!/bin/sh\n" * 4, shift_offsets=False), [], SYSTEM, "prefix; zip readers repair the offsets")
    c.malicious("zip-tricks/suffix-64k.pt", torch_zip(CLEAN, suffix=b"x" * 20000), ["pytorch-zip"], None, "20,000 bytes after the end record", (*BAD, "unknown", "clean"))
    c.malicious("zip-tricks/two-archives-first-evil.pt", base + torch_zip(CLEAN), [], None, "readers disagree on which one counts", BAD)
    c.malicious("zip-tricks/two-archives-last-evil.pt", torch_zip(CLEAN) + base, [], SYSTEM, "readers take the last end record")
    c.malicious("zip-tricks/end-record-inside-comment.pt", torch_zip(CLEAN, comment=base[-300:]), [], None, "a second end record in the comment", BAD)
    c.malicious("zip-tricks/entry-count-lies.pt", torch_zip(bad, entry_count=1), ["pytorch-zip"], None, "the end record counts one of three", BAD)
    c.malicious("zip-tricks/entry-count-65535.pt", torch_zip(bad, entry_count=0xFFFF), ["pytorch-zip"], None, "count says zip64, no zip64 record", DAMAGED)
    c.malicious("zip-tricks/pickle-then-zip-polyglot.pt", evil(2) + torch_zip(CLEAN), [], SYSTEM, "a pickle and a zip in one file")
    c.malicious("zip-tricks/zip-without-end-record.pt", base[: base.rindex(b"PK\x05\x06")], [], None, "no end record; streaming readers still extract", BAD + ("unknown",))


def _zip_paths(c):
    names = {"parent": "../../tmp/weighbridge-marker", "absolute": "/tmp/weighbridge-marker", "drive": "C:\\weighbridge-marker", "unc": "\\\\example.invalid\\share\\marker",
             "backslash-parent": "..\\..\\weighbridge-marker", "middle": "a/../../../tmp/weighbridge-marker"}
    for name, path in names.items():
        c.malicious(f"zip-paths/{name}.zip", zips.archive([Member("model.bin", b"x"), Member(path, b"marker")]), [], None, "zip slip", BAD)
        c.malicious(f"zip-paths/{name}.pt", torch_zip(CLEAN, [Member(path, b"marker")]), ["pytorch-zip"], None, "zip slip in a model", BAD)
    link = Member("model.bin", b"/etc/hostname", external_attributes=0o120777 << 16)
    c.malicious("zip-paths/symlink.zip", zips.archive([link]), [], None, "a member that is a symbolic link", BAD)
    c.malicious("zip-paths/symlink-then-file-through-it.zip", zips.archive([Member("dir", b"/tmp", external_attributes=0o120777 << 16), Member("dir/weighbridge-marker", b"marker")]), [], None, "write through a link", BAD)
    c.malicious("zip-paths/setuid.zip", zips.archive([Member("run", elf(), external_attributes=0o104755 << 16)]), [], None, "setuid executable", BAD)


def _zip_bombs(c):
    import zlib

    zeros = bytes(8 << 20)
    c.malicious("bombs/zip/ratio.zip", zips.archive([Member("weights.bin", zeros, DEFLATED)]), [], None, "8 MiB of zeros, ratio 1000:1", BAD + ("unknown",))
    c.malicious("bombs/zip/ratio.pt", torch_zip(CLEAN, [Member("archive/data/0", zeros, DEFLATED)]), ["pytorch-zip"], None, "8 MiB of zeros in a storage", BAD + ("unknown",))
    c.malicious("bombs/zip/ratio-then-evil.pt", zips.archive([Member("archive/data/0", zeros, DEFLATED), Member("archive/data.pkl", evil(2)), Member("archive/version", b"3\n")]), ["pytorch-zip"], SYSTEM, "the bomb must not hide the payload")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = deflate.compress(bytes(1 << 20)) + deflate.flush()
    first = Member("0", b"", method=8, stored_size=len(kernel), real_size=1 << 20, crc=zlib.crc32(bytes(1 << 20)))
    overlapping = [first] + [Member(str(i), b"", 8, stored_size=len(kernel), real_size=1 << 20, crc=first.crc, offset=0, write_local=False) for i in range(1, 200)]
    data = zips.archive(overlapping)
    data = data[:31] + kernel + data[31:]
    start = int.from_bytes(data[-6:-2], "little") + len(kernel)
    c.malicious("bombs/zip/overlapping.zip", data[:-6] + start.to_bytes(4, "little") + data[-2:], [], None, "200 entries share one 1 MiB stream", BAD + ("unknown",))
    many = [Member(f"f{i}", b"") for i in range(400)]
    c.malicious("bombs/zip/size-claims-4gib.zip", zips.archive([Member("model.bin", b"x", real_size=0xFFFFFFFE, stored_size=0xFFFFFFFE)]), [], None, "sizes beyond the file", DAMAGED)
    c.malicious("bombs/zip/many-empty-then-evil.zip", zips.archive([*many, Member("model.pkl", evil(2))]), [], SYSTEM, "400 empty members first")
    layers = evil(2)
    for depth in range(12):
        layers = zips.archive([Member("model.pkl" if depth == 0 else "inner.zip", layers, DEFLATED)])
    c.malicious("bombs/zip/nested-12-deep.zip", layers, [], None, "deeper than any honest archive: say so, never clean", BAD + ("unknown",))
    bomb = bytes(10 << 20)
    for suffix, pack in COMPRESSORS.items():
        c.malicious(f"bombs/stream/zeros.bin.{suffix}", pack(bomb), [], None, "10 MiB of zeros", BAD + ("unknown", "clean"))
    c.malicious("bombs/stream/gz-in-gz-in-gz.gz", gzip.compress(gzip.compress(gzip.compress(bomb, mtime=0), mtime=0), mtime=0), [], None, "10 MiB of zeros in three layers", BAD + ("unknown",))


def _nesting(c):
    bad = evil(2)
    pt = torch_zip(bad)
    for name, data in {
        "pickle.zip": zips.archive([Member("model/weights.pkl", bad)]),
        "pickle-odd-name.zip": zips.archive([Member("model/weights.weird", bad)]),
        "pickle-wrong-suffix.zip": zips.archive([Member("model/README.md", bad)]),
        "torch.zip": zips.archive([Member("pytorch_model.bin", pt)]),
        "torch-deflated.zip": zips.archive([Member("pytorch_model.bin", pt, DEFLATED)]),
        "zip-in-zip.zip": zips.archive([Member("inner.zip", zips.archive([Member("weights.pkl", bad)]))]),
        "zip-in-zip-no-suffix.zip": zips.archive([Member("inner", zips.archive([Member("weights", bad)]), DEFLATED)]),
        "three-deep.zip": zips.archive([Member("a.zip", zips.archive([Member("b.zip", zips.archive([Member("weights.pkl", bad)]))]))]),
        "tar-gz-in-zip.zip": zips.archive([Member("model.tar.gz", gzip.compress(tar({"weights.pkl": bad}), mtime=0))]),
        "wheel.whl": zips.archive([Member("marker/__init__.py", b""), Member("marker/weights.pkl", bad), Member("marker-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\n")]),
    }.items():
        c.malicious(f"archive-nested/{name}", data, [], SYSTEM, "a malicious member of an archive")
    plain = tar({"model/config.json": "{}", "model/weights.pkl": bad})
    c.malicious("archive-nested/pickle.tar", plain, [], SYSTEM)
    c.malicious("archive-nested/torch.tar", tar({"pytorch_model.bin": pt}), [], SYSTEM)
    for suffix, pack in COMPRESSORS.items():
        c.malicious(f"archive-nested/pickle.tar.{suffix}", pack(plain), [], SYSTEM, "compressed tar")
    c.malicious("archive-nested/tgz-named-bin.bin", gzip.compress(plain, mtime=0), [], SYSTEM)
    c.malicious("archive-nested/two-tar-members-concatenated.tar.gz", gzip.compress(plain[:512], mtime=0) + gzip.compress(plain[512:], mtime=0), [], SYSTEM, "gzip members split inside the tar")


def _tar(c):
    t = tarfile
    entries = {
        "parent-path": ({"../../tmp/weighbridge-marker": "marker"}, ()),
        "absolute-path": ({"/tmp/weighbridge-marker": "marker"}, ()),
        "symlink-escape": ({}, [tar_entry("weights", t.SYMTYPE, "../../../etc/hostname")]),
        "symlink-absolute": ({}, [tar_entry("weights", t.SYMTYPE, "/etc/hostname")]),
        "hardlink-escape": ({}, [tar_entry("weights", t.LNKTYPE, "../../../etc/hostname")]),
        "character-device": ({}, [tar_entry("null", t.CHRTYPE, devmajor=1, devminor=3)]),
        "block-device": ({}, [tar_entry("disk", t.BLKTYPE, devmajor=8, devminor=0)]),
        "fifo": ({}, [tar_entry("pipe", t.FIFOTYPE)]),
        "setuid": ({}, [tar_entry("run", t.REGTYPE, mode=0o4755)]),
    }
    for name, (files, special) in entries.items():
        c.malicious(f"tar-paths/{name}.tar", tar({"model.bin": "x", **files}, special), [], None, "tar escape", BAD)
    through = tar({}, [tar_entry("dir", t.SYMTYPE, "/tmp")])[:512] + tar({"dir/weighbridge-marker": "marker"})
    c.malicious("tar-paths/write-through-symlink.tar", through, [], None, "write through a link", BAD)
    c.malicious("tar-paths/duplicate-last-evil.tar", tar({"model.pkl": CLEAN})[:1024] + tar({"model.pkl": evil(2)}), [], SYSTEM, "the last of two equal names wins")
    good = bytearray(tar({"model.pkl": evil(2)}))
    good[148:156] = b"0000000\0"
    c.malicious("tar-damaged/checksum-wrong.tar", bytes(good), [], None, "header checksum", DAMAGED)
    huge = bytearray(tar({"model.pkl": evil(2)}))
    huge[124:136] = b"77777777777\0"
    c.malicious("tar-damaged/size-8gib.tar", bytes(huge), [], None, "size beyond the file", DAMAGED)
    c.malicious("tar-damaged/long-name-chain.tar", tar({"a/" * 2000 + "model.pkl": evil(2)}), [], SYSTEM, "GNU long name of 4,000 characters", BAD)


def _seven_zip(c):
    c.malicious("seven-zip/pickle.7z", seven_zip({"model.pkl": evil(2)}), [], None, "7z with a malicious pickle")
    c.malicious("seven-zip/torch-in-7z.7z", seven_zip({"pytorch_model.bin": torch_zip(evil(2))}), [], None)
    c.malicious("seven-zip/named-pt.pt", seven_zip({"archive/data.pkl": evil(2)}), [], None, "nullifAI: a 7z where a torch zip is expected")
    # Written with copy coder through the library, then its header damaged.
    data = bytearray(seven_zip({"model.pkl": evil(2)}))
    data[8:12] = b"\0\0\0\0"
    c.malicious("seven-zip/header-crc-wrong.7z", bytes(data), [], None, "start header checksum", DAMAGED)


def _executables(c):
    contents = {"elf": ("helper", elf()), "windows-exe": ("helper.exe", pe()), "windows-dll": ("plugin.dll", pe()), "mach-o": ("helper", macho()), "shell-script": ("install.sh", SCRIPT.encode()),
                "python": ("loader.py", PYTHON_FILE.encode()), "pth": ("weighbridge.pth", b"import os; os.system('echo weighbridge-marker')\n"),
                "sitecustomize": ("sitecustomize.py", PYTHON_FILE.encode()), "shared-object": ("ops/custom_op.so", elf()), "batch": ("run.bat", b"@echo weighbridge-marker\r\n"),
                "powershell": ("run.ps1", b"Write-Output weighbridge-marker\r\n"), "autorun": ("autorun.inf", b"[autorun]\r\nopen=marker.exe\r\n")}
    for name, (member, data) in contents.items():
        c.malicious(f"archive-executables/{name}.zip", zips.archive([Member("model.safetensors", b"\x02\0\0\0\0\0\0\0{}"), Member(member, data)]), [], None, "code beside weights in an archive", BAD)
        c.malicious(f"archive-executables/{name}.tar", tar({"model.safetensors": b"\x02\0\0\0\0\0\0\0{}", member: data}), [], None, "code beside weights in an archive", BAD)


def _damaged(c):
    good = torch_zip(CLEAN, [Member("archive/data/0", bytes(100))])
    lfs = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0123456789abcdef' * 4}\nsize 4294967296\n"
    html = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form action='/login'><input name='user'></form></body></html>\n"
    names = ["model.safetensors", "pytorch_model.bin", "model.gguf", "model.onnx", "model.pkl", "model.h5", "model.keras"]
    for name in names:
        c.malicious(f"damaged/lfs-pointer/{name}", lfs, [], None, "a Git LFS pointer: not the model", DAMAGED)
        c.malicious(f"damaged/html-page/{name}", html, [], None, "a login page saved as a model", DAMAGED)
        c.malicious(f"damaged/empty/{name}", b"", [], None, "no bytes", DAMAGED)
        c.malicious(f"damaged/zeros/{name}", bytes(512), [], None, "only zeros", DAMAGED)
        c.malicious(f"damaged/ones/{name}", b"\xff" * 512, [], None, "only 0xFF", DAMAGED)
    for cut in (4, 30, 100, len(good) - 10):
        c.malicious(f"damaged/torch-zip/truncated-{cut}.pt", good[:cut], [], None, "truncated", DAMAGED)
    c.malicious("damaged/json-error/model.safetensors", '{"error": "Repository not found"}', [], None, "an API error saved as a model", DAMAGED)
