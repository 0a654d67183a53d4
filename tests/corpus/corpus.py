"""The book-keeper: writes sample files and remembers what is expected of each.

A sample module receives one `Corpus` and calls `benign(...)`, `malicious(...)`
or `companion(...)`. Nothing here knows any model format.
"""

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

BENIGN_TREE_BYTES_MAX = 4 << 20
BENIGN_FILE_BYTES_MAX = 100 << 10
MALICIOUS_TREE_BYTES_MAX = 3 << 20
MALICIOUS_FILE_BYTES_MAX = 50 << 10

MALICIOUS = ("malicious",)
SUSPICIOUS = ("suspicious",)
UNKNOWN = ("unknown",)
# A scanner may reasonably call these either way; both are an alarm.
BAD = ("malicious", "suspicious")
# Damaged beyond parsing: "unknown" is the minimum, an alarm is also right.
DAMAGED = ("unknown", "suspicious", "malicious")


class Corpus:
    """A directory of samples plus the expectations about them."""

    def __init__(self, root: Path):
        self.root = root
        self.rows: list[dict] = []
        self.skipped: list[str] = []
        self._paths: set[str] = set()

    def benign(self, path, data, formats=(), note="", verdict=("clean",)):
        """A sample that must raise no alarm."""
        self._add(f"benign/{path}", data, verdict, formats, None, note)

    def malicious(self, path, data, formats=(), evidence=None, note="", verdict=MALICIOUS):
        """A sample that must be flagged as one of `verdict`."""
        self._add(f"malicious/{path}", data, verdict, formats, evidence, note)

    def companion(self, path, data):
        """A file that belongs to a sample but about which nothing is asserted."""
        self._write(path, data)

    def symlink(self, path, target):
        """A symbolic link; `target` is stored as given and need not exist."""
        full = self._reserve(path)
        os.symlink(target, full)

    def expect(self, path, verdict, formats=(), evidence=None, note=""):
        """Expectation about something already written, such as a symlink."""
        self.rows.append(
            {
                "path": path,
                "verdict": list(verdict),
                "formats": list(formats),
                "evidence": evidence,
                "note": note,
            }
        )

    def skip(self, what, why):
        """Say that something could not be made. It is shown at the end."""
        self.skipped.append(f"{what}: {why}")

    def summary(self):
        """What `merge` of another process needs to know."""
        return {"rows": self.rows, "skipped": self.skipped, "paths": sorted(self._paths)}

    def merge(self, summary):
        twice = self._paths & set(summary["paths"])
        if twice:
            raise ValueError(f"two samples are called {sorted(twice)[0]}")
        self._paths |= set(summary["paths"])
        self.rows += summary["rows"]
        self.skipped += summary["skipped"]

    def write_expectations(self):
        rows = sorted(self.rows, key=lambda row: row["path"])
        text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (self.root / "expected.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")

    def check_sizes(self):
        """Sizes above the agreed limits, as sentences."""
        problems = []
        for tree, file_max, tree_max in (
            ("benign", BENIGN_FILE_BYTES_MAX, BENIGN_TREE_BYTES_MAX),
            ("malicious", MALICIOUS_FILE_BYTES_MAX, MALICIOUS_TREE_BYTES_MAX),
        ):
            total = 0
            for file in (self.root / tree).rglob("*"):
                if file.is_symlink() or not file.is_file():
                    continue
                size = file.stat().st_size
                total += size
                if size > file_max:
                    problems.append(f"{file.relative_to(self.root)} has {size} bytes, limit {file_max}")
            if total > tree_max:
                problems.append(f"{tree}/ has {total} bytes, limit {tree_max}")
        return problems

    def _add(self, path, data, verdict, formats, evidence, note):
        self._write(path, data)
        self.expect(path, verdict, formats, evidence, note)

    def _write(self, path, data):
        if isinstance(data, str):
            data = data.encode()
        self._reserve(path).write_bytes(data)

    def _reserve(self, path):
        if path in self._paths:
            raise ValueError(f"two samples are called {path}")
        self._paths.add(path)
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        return full


@contextmanager
def scratch():
    """A temporary directory for libraries that only write to paths."""
    directory = Path(tempfile.mkdtemp(prefix="weighbridge-corpus-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def saved(write, name="file"):
    """The bytes that `write(path)` leaves at `path`."""
    with scratch() as directory:
        path = directory / name
        write(str(path))
        return path.read_bytes()
