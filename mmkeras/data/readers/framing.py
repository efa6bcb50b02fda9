"""Where the records of a TFRecord file lie: length, its checksum, data, its checksum, again and again."""

import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, final

import numpy as np

_HEADER = struct.Struct("<QI")
_FOOTER = 4
# Shards that stay decompressed, so that a reader may go back and forth between two.
_OPEN_SHARDS = 2
_CHUNK = 1 << 16
# zlib's number for gzip with its widest window.
_GZIP = 31


def index_file(path: str) -> tuple[np.ndarray, str]:
    """Byte spans (record, 2) of an uncompressed file's records, and why reading stopped early, or an empty string."""
    if not os.path.getsize(path):
        return np.zeros((0, 2), dtype="int64"), ""
    return index(np.asarray(np.memmap(path, dtype="uint8", mode="r")))


def index(data) -> tuple[np.ndarray, str]:
    """Byte spans (record, 2) in a buffer, and why reading stopped early, or an empty string."""
    spans, place, size, reason = [], 0, len(data), ""
    while place < size and not reason:
        start = place + _HEADER.size
        if start > size:
            reason = "the file ends within the length of the record"
            break
        header = bytes(data[place:start])
        length, checksum = _HEADER.unpack(header)
        if _masked_crc32c(header[:8]) != checksum:
            reason = "the length of the record does not match its checksum"
        elif start + length + _FOOTER > size:
            reason = f"the file ends {start + length + _FOOTER - size} bytes too early"
        else:
            spans.append((start, start + length))
            place = start + length + _FOOTER
    return np.array(spans, dtype="int64").reshape(-1, 2), reason


def is_compressed(path: str) -> bool:
    """Whether a file is a gzip file rather than a plain TFRecord file, by its first bytes."""
    with open(path, "rb") as file:
        start = file.read(_HEADER.size)
    if len(start) == _HEADER.size and _masked_crc32c(start[:8]) == _HEADER.unpack(start)[1]:
        return False
    return start[:2] == b"\x1f\x8b"


def decompress(path: str) -> tuple[bytes, str]:
    """Content of a gzip file as far as it can be read, and why no further, or an empty string."""
    data, stream = bytearray(), zlib.decompressobj(wbits=_GZIP)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            while chunk:
                # One gzip file may follow another in one file.
                stream = zlib.decompressobj(wbits=_GZIP) if stream.eof else stream
                try:
                    data += stream.decompress(chunk)
                except zlib.error as error:
                    return bytes(data), f"the compressed file is damaged ({error})"
                chunk = stream.unused_data
    return bytes(data), "" if stream.eof else "the compressed file ends early"


@final
class CompressedShards(Sequence):
    """Records of gzip files; a file is decompressed as a whole when one of its records is asked for.

    Args:
        paths: the files.
        counts: number of records in each.
        parse: picklable function of a record's bytes and the path of its file.
    """

    def __init__(self, paths: Sequence[str], counts: Sequence[int], parse: Callable[[bytes, str], dict[str, Any]]):
        self.paths = list(paths)
        self.ends = np.cumsum(counts)
        self.parse = parse
        self._open = OrderedDict()
        self._lock = Lock()

    def __len__(self):
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, row):
        shard = int(np.searchsorted(self.ends, row, side="right"))
        data, spans = self._shard(shard)
        start, stop = spans[row - (int(self.ends[shard - 1]) if shard else 0)]
        return self.parse(data[start:stop], self.paths[shard])

    def _shard(self, shard):
        with self._lock:
            if shard not in self._open:
                while len(self._open) >= _OPEN_SHARDS:
                    self._open.popitem(last=False)
                data, _ = decompress(self.paths[shard])
                self._open[shard] = data, index(data)[0]
            self._open.move_to_end(shard)
            return self._open[shard]

    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key not in ("_open", "_lock")}

    def __setstate__(self, state):
        self.__dict__.update(state, _open=OrderedDict(), _lock=Lock())


def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc32c_table()


def _masked_crc32c(data):
    """CRC-32C as the format stores it: rotated by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
