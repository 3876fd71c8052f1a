"""From paths to texts: files, folders, tar archives and standard input, unpacked and decoded.

Windows writes UTF-16 with a byte order mark, collections of logs are compressed, and both are read.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pathlib
import re
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

STDIN = pathlib.Path("-")
_FORMS = (".yaml", ".yml", ".json", ".jsonl", ".ndjson")
_PACKED = ("", ".gz", ".bz2", ".xz", ".zst")
SUFFIXES = tuple(form + packed for packed in _PACKED for form in _FORMS)

_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
_ZSTD, _ZIP = b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_TAR, _TAR_AT = b"ustar", 257  # where the header of the first member says so
_MARK = re.compile("^\ufeff", re.MULTILINE)
_UNPACK = {_GZIP: gzip.decompress, _BZIP2: bz2.decompress, _XZ: lzma.decompress}


class FileText(NamedTuple):
    """The text of one file; `name` is how messages call it."""

    name: str
    text: str


class UnreadableError(Exception):
    """A file that holds no text that we can read; says what it is, and what to do."""


def find(paths: Sequence[pathlib.Path], missing: list[tuple[str, str]]) -> Iterator[pathlib.Path]:
    """The files named, and those in the folders named, in order; what is not there is `missing`.

    Hidden files in folders are left out, and files whose suffix is not one of ours.
    """
    for path in paths:
        if path == STDIN:
            yield path
        elif path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.name.endswith(SUFFIXES)
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
                and file.is_file()
            ]
            if not inside:
                missing.append((str(path), f"holds no file ending in {', '.join(_FORMS)}"))
            yield from inside
        elif path.exists():
            yield path
        else:
            missing.append((str(path), "no such file"))


def texts(path: pathlib.Path) -> Iterator[FileText | tuple[str, UnreadableError]]:
    """The text of a file, or of each file in a tar archive; each may be unreadable by itself."""
    name = "standard input" if path == STDIN else str(path)
    try:
        data = _unpacked(sys.stdin.buffer.read() if path == STDIN else path.read_bytes())
        if data[_TAR_AT:].startswith(_TAR):
            yield from _members(name, path, data)
            return
        yield FileText(name, _decoded(data))
    except OSError as error:
        yield name, UnreadableError(error.strerror or str(error))
    except UnreadableError as error:
        yield name, error


def _members(
    name: str, path: pathlib.Path, data: bytes
) -> Iterator[FileText | tuple[str, UnreadableError]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                if not member.isfile() or not member.name.endswith(SUFFIXES):
                    continue
                file = archive.extractfile(member)
                inner = f"{name}/{member.name.removeprefix('./')}"
                try:
                    yield FileText(inner, _decoded(_unpacked(file.read() if file else b"")))
                except UnreadableError as error:
                    yield inner, error
    except tarfile.TarError as error:
        yield str(path), UnreadableError(f"a tar archive that is damaged: {error}")


def _unpacked(data: bytes) -> bytes:
    for magic, unpack in _UNPACK.items():
        if data.startswith(magic):
            try:
                return unpack(data)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise UnreadableError(f"compressed, and damaged or cut short: {error}") from error
    if data.startswith(_ZSTD):
        raise UnreadableError("compressed by zstd: unpack it first, by `zstd -d`")
    if data.startswith(_ZIP):
        raise UnreadableError("a zip archive: unpack it, and give the folder")
    return data


def _decoded(data: bytes) -> str:
    """The text, by its byte order mark or else by its first bytes; every line ends in a newline."""
    encoding = json.detect_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"not {encoding.removesuffix('-sig').upper()} text: {error.reason} in line {line}"
        raise UnreadableError(f"{problem} (write it again as UTF-8)") from error
    if "\0" in text:
        raise UnreadableError("not text, but binary data")
    if "\ufeff" in text:  # also between files that were put one after the other
        text = _MARK.sub("", text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
