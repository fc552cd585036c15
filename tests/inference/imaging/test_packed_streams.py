"""What unpacks images: all bytes of what zlib packed, and nothing of what is damaged."""

import gzip
import io
import zlib
from pathlib import Path

import pytest

from inference.errors import InputError
from inference.imaging.formats.packed_streams import ByteStream

DATA = bytes(range(256)) * 4000
SIZES = (100, 700_000, 323_900)
"""Of three reads: all of the data."""


def read(packed, compression="gzip"):
    stream = ByteStream(io.BytesIO(packed), Path("ct.nii.gz"), compression)
    return b"".join(stream.read(size) for size in SIZES), stream.rest(100)


@pytest.mark.parametrize(
    ("packed", "compression"),
    [
        (gzip.compress(DATA), "gzip"),
        (gzip.compress(DATA[:777]) + gzip.compress(DATA[777:], 1), "gzip"),
        (zlib.compress(DATA), "zlib"),
        (DATA, "none"),
    ],
    ids=["gzip", "two members", "zlib", "plain"],
)
def test_all_bytes_come_out(packed, compression):
    assert read(packed, compression) == (DATA, 0)


@pytest.mark.parametrize("at", [-5, -1], ids=["checksum", "length"])
def test_an_end_that_does_not_fit_is_refused(at):
    packed = bytearray(gzip.compress(DATA))
    packed[at] ^= 1
    with pytest.raises(InputError, match="compressed data are damaged"):
        read(bytes(packed))


def test_a_stream_that_is_cut_off_is_refused():
    with pytest.raises(InputError, match="is truncated"):
        read(gzip.compress(DATA)[:-2000])
