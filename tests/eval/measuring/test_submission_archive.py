"""Archives that are whole, and those that a copy has cut or damaged."""

import gzip
import io
import tarfile

import pytest

from eval.measuring.submission_archive import is_whole

BLOCK = 512


@pytest.fixture
def tar() -> bytes:
    """Two files of two blocks each behind a header of one; then the tar's end."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name in ("layer", "manifest.json"):
            member = tarfile.TarInfo(name)
            member.size = 2 * BLOCK
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return held.getvalue()


def whole(path, content: bytes) -> bool:
    path.write_bytes(content)
    return is_whole(path)


def test_a_whole_archive(tmp_path, tar):
    assert whole(tmp_path / "a.tar", tar)
    assert whole(tmp_path / "a.tar.gz", gzip.compress(tar))


@pytest.mark.parametrize(
    "blocks", [pytest.param(blocks, id=f"{blocks} blocks") for blocks in (1, 2, 2.5, 3, 3.5, 4, 5, 6)]
)
def test_a_cut_tar(tmp_path, tar, blocks):
    """After 3 and 6 blocks no file is cut, and the tar alone lacks its end."""
    assert not whole(tmp_path / "a.tar", tar[: int(blocks * BLOCK)])
    assert not whole(tmp_path / "a.tar.gz", gzip.compress(tar[: int(blocks * BLOCK)]))


def test_a_cut_or_damaged_gzip(tmp_path, tar):
    packed = gzip.compress(tar)
    for content in (packed[: len(packed) // 2], packed[:-1], packed[:-8] + bytes(8)):
        assert not whole(tmp_path / "a.tar.gz", content)


def test_an_empty_file(tmp_path):
    assert not whole(tmp_path / "a.tar.gz", b"")


def test_other_files_are_for_docker_to_judge(tmp_path):
    """Zstandard, for one, which docker unpacks too."""
    assert whole(tmp_path / "a.tar", b"\x28\xb5\x2f\xfd and more")
