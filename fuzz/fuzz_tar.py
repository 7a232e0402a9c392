"""Fuzzes the tar codec and the formats that tars are packed in, with atheris.

    python fuzz/fuzz_tar.py [CORPUS] [-max_total_time=60] [-rss_limit_mb=512] [-timeout=10]

Nothing but ArchiveError may come out, no input may take long or much memory, every path is clean,
and an entry that was read and can be written is read the same again. The first byte chooses what
the rest is: a tar as a file, a tar as a pipe, a row of header blocks whose checksums are made
right, or something packed.
"""

from __future__ import annotations

import io
import itertools
import sys

import atheris

with atheris.instrument_imports(include=["genoci"]):
    from genoci.errors import ArchiveError
    from genoci.layer import tar
    from genoci.layer.compress import open_reader
    from genoci.layer.entry import Entry, Kind

MOST_CHUNKS = 4  # a hole of 8 EiB is legal, and takes time
MOST_UNPACKED = 4 << 20


class Pipe(io.RawIOBase):
    """Can't seek, and gives odd pieces."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._stream.read(min(len(buffer), 777))
        buffer[: len(piece)] = piece
        return len(piece)


def summed(data: bytes) -> bytes:
    """Blocks that pass for headers, since no mutation guesses a checksum."""
    blocks = []
    for at in range(0, len(data), 512):
        block = bytearray(data[at : at + 512].ljust(512, b"\0"))
        if any(block):
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
        blocks.append(bytes(block))
    return b"".join(blocks)


def read(stream: io.IOBase) -> None:
    for member in tar.read(stream, name="fuzz", verified=True):  # type: ignore[arg-type]
        entry = member.entry
        assert entry.path == tar.clean(entry.path), entry
        assert b".." not in entry.path.split(b"/"), entry
        assert entry.size >= 0 and 0 <= entry.mode <= 0o7777, entry
        for chunk in itertools.islice(member.chunks(), MOST_CHUNKS):
            assert 0 < len(chunk) <= 1 << 20
        if entry.size < 1 << 20 and entry.kind is not Kind.SOCKET:
            again(entry)


def again(entry: Entry) -> None:
    try:
        header = tar.write_header(entry)
    except ArchiveError:
        return  # more xattrs than fit
    archive = header + bytes(entry.size) + tar.padding(entry.size) + tar.END
    (found,) = tar.read(io.BytesIO(archive), name="again")
    assert found.entry == entry, (found.entry, entry)


def test_one_input(data: bytes) -> None:
    choice, data = data[:1], data[1:]
    try:
        if choice == b"p":
            read(Pipe(data))
        elif choice == b"s":
            read(io.BytesIO(summed(data)))
        elif choice == b"z":
            with open_reader(io.BytesIO(data), name="fuzz") as stream:
                size = 0
                while size < MOST_UNPACKED and (piece := stream.read(1 << 16)):
                    size += len(piece)
        else:
            read(io.BytesIO(data))
    except ArchiveError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
