"""The IDX format of MNIST: a header of sizes, then the numbers of one array.

    byte 0, 1   zero
    byte 2      type of the numbers, see `_DTYPES`
    byte 3      number of dimensions, n
    then        n sizes, each an unsigned 32-bit big-endian integer
    then        the numbers, big-endian, last dimension fastest, and nothing after them

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.data._problems import bad_file, unreadable

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_MEND = "fetch the file again"


def read_idx(path: Path | str) -> Array:
    """The array of an IDX file, plain or compressed by gzip (told by its content, not its name).

    Raises `DataFileError` for a file that cannot be read, is no IDX file, or is longer or shorter than its header
    says.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "two-by-two.idx")
    >>> _ = path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 10, 20, 30, 40]))
    >>> read_idx(path)
    array([[10, 20], [30, 40]], dtype=uint8)
    """
    data = _content(checks.path("path", path))
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES or data[3] == 0:
        raise bad_file(
            path,
            given=f"a file that starts with the bytes {data[:4].hex(' ') or '(none: it is empty)'}",
            expected="an IDX file, which starts with 00 00, a type from 08 to 0e and the number of dimensions",
            mend=_MEND,
        )
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise bad_file(path, given=f"{len(data)} bytes", expected=f"a header of {header}", mend=_MEND)
    shape = tuple(int(size) for size in np.frombuffer(data[4:header], dtype=">u4"))
    dtype = np.dtype(_DTYPES[data[2]])
    # Python's integers: sizes from a damaged header may have a product that overflows 64 bits.
    expected = header + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise bad_file(
            path,
            given=f"{len(data)} bytes" + (" once unpacked" if _is_gzip(path) else ""),
            expected=f"{_short(expected)} for the {_sizes(shape)} {dtype.name} numbers that its header names",
            mend=_MEND,
        )
    try:
        array = np.frombuffer(data, dtype, offset=header).reshape(shape)
    except ValueError as error:  # too many dimensions; or one of size 0 among others too large
        raise bad_file(
            path, given=f"the sizes {_sizes(shape)}", expected="those of an array that NumPy can hold", mend=_MEND
        ) from error
    return array.astype(dtype.newbyteorder("="))


def _sizes(shape: tuple[int, ...]) -> str:
    """The sizes with crosses between them; the first few where a damaged header names many.

    >>> _sizes((60000, 28, 28)), _sizes((1,) * 70)
    ('60000 x 28 x 28', '1 x 1 x 1 x 1 x ... (70 dimensions)')
    """
    shown = " x ".join(map(str, shape[:4]))
    return shown if len(shape) <= 4 else f"{shown} x ... ({len(shape)} dimensions)"


def _short(number: int) -> str:
    """The number in digits, or how many they are.

    >>> _short(18), _short(10**30)
    ('18', 'a number of 31 digits')
    """
    digits = str(number)
    return digits if len(digits) <= 20 else f"a number of {len(digits)} digits"


def _content(path: Path | str) -> bytes:
    """All bytes of the file, unpacked where it is compressed."""
    try:
        with gzip.open(path) if _is_gzip(path) else open(path, "rb") as file:
            return file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise bad_file(path, given=f"a damaged gzip file ({error})", expected="a complete one", mend=_MEND) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _is_gzip(path: Path | str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == _GZIP_MAGIC
