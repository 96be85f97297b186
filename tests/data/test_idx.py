import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlp_scratch.data import read_idx
from mlp_scratch.errors import DataFileError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
GOOD = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(6))


def as_idx(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@settings(deadline=None)
@given(
    array=st.sampled_from(sorted(CODES)).flatmap(
        lambda code: hnp.arrays(np.dtype(code), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    ),
    compressed=st.booleans(),
)
def test_reads_back_every_dtype_and_shape(tmp_path_factory, array, compressed):
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(as_idx(array)) if compressed else as_idx(array))
    back = read_idx(path)
    assert back.dtype == array.dtype
    assert back.dtype.isnative
    assert back.flags.writeable
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    ("content", "given_words", "expected_words"),
    [
        pytest.param(b"", "empty", "an IDX file", id="empty"),
        pytest.param(b"\x89PNG\r\n", "89 50 4e 47", "an IDX file", id="a picture"),
        pytest.param(b"<html>not found</html>", "3c 68 74 6d", "an IDX file", id="a web page"),
        pytest.param(bytes([0, 0, 0x0A, 1, 0, 0, 0, 0]), "00 00 0a 01", "an IDX file", id="no such type"),
        pytest.param(bytes([0, 0, 8, 0, 7]), "00 00 08 00", "number of dimensions", id="no dimensions"),
        pytest.param(GOOD[:7], "7 bytes", "a header of 12", id="truncated header"),
        pytest.param(GOOD[:-1], "17 bytes", "18 for the 2 x 3 uint8", id="truncated"),
        pytest.param(GOOD + b"!", "19 bytes", "18 for the 2 x 3 uint8", id="too long"),
        pytest.param(
            bytes([0, 0, 8, 4]) + b"\xff" * 16, "20 bytes", "for the 4294967295 x 4294967295", id="sizes overflow"
        ),
        pytest.param(
            bytes([0, 0, 8, 2, 0x80, 0, 0, 0, 0x80, 0, 0, 0]) + bytes([0, 0, 0, 4]),
            "16 bytes",
            "4611686018427387916 for the 2147483648 x 2147483648 uint8",
            id="huge sizes",
        ),
        pytest.param(
            bytes([0, 0, 8, 3, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4]),
            "16 bytes",
            "18446744073709551632 for",
            id="sizes whose product is 0 in 64 bits",
        ),
        pytest.param(
            bytes([0, 0, 8, 70]) + bytes([0, 0, 0, 1]) * 70 + b"!",
            "the sizes 1 x 1 x 1 x 1 x ... (70 dimensions)",
            "an array that NumPy can hold",
            id="too many dimensions",
        ),
        pytest.param(
            bytes([0, 0, 8, 3]) + bytes(4) + b"\xff" * 8,
            "the sizes 0 x 4294967295 x 4294967295",
            "an array that NumPy can hold",
            id="no numbers, of sizes that overflow",
        ),
        pytest.param(
            bytes([0, 0, 8, 255]) + b"\xff" * 4 * 255,
            "1024 bytes",
            "a number of 2457 digits for the 4294967295 x 4294967295 x 4294967295 x 4294967295 x ... (255 dimensions)",
            id="as many dimensions as there can be",
        ),
        pytest.param(gzip.compress(GOOD[:-1]), "17 bytes once unpacked", "18 for", id="truncated inside gzip"),
        pytest.param(gzip.compress(GOOD)[:-9], "a damaged gzip file", "a complete one", id="truncated gzip"),
        pytest.param(gzip.compress(GOOD)[:5], "a damaged gzip file", "a complete one", id="gzip magic alone"),
        pytest.param(gzip.compress(GOOD) + b"junk", "a damaged gzip file", "a complete one", id="junk after gzip"),
        pytest.param(b"\x1f\x8b" + b"\x00" * 30, "a damaged gzip file", "a complete one", id="no gzip after all"),
    ],
)
def test_bad_files_are_named_with_what_is_wrong(tmp_path, content, given_words, expected_words):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        read_idx(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: got ")
    got, expected = message.split(", expected ")
    assert given_words in got
    assert expected_words in expected
    assert message.endswith("; fetch the file again")
    assert len(message) < len(str(path)) + 200
    assert "\n" not in message


def test_every_flipped_bit_in_a_gzip_file_is_found_or_harmless(tmp_path):
    good = gzip.compress(GOOD)
    path = tmp_path / "file.gz"
    found = 0
    for i in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[i // 8] ^= 1 << i % 8
        path.write_bytes(damaged)
        try:
            array = read_idx(path)
        except DataFileError:
            found += 1
        else:  # a time stamp, say
            np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])
    assert found > 8 * len(GOOD)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_what_cannot_be_opened(tmp_path: Path, kind: str):
    path = tmp_path / "missing" if kind == "missing" else tmp_path
    with pytest.raises(DataFileError, match="expected a file that can be read; check the path") as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: got ")
