"""Files that are written whole or not at all: a crash at any moment leaves the old file or the new one."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mlp_scratch import checks
from mlp_scratch.errors import ArgumentError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, that is at `path` once the block has ended without an error.

    A link stays, and what it points at is written. A new file takes over the permissions of the old one.

    Raises:
        ArgumentError: for a folder, a device, and a file in a folder that does not exist.
        OSError: as the operating system says, for a folder that cannot be written or a full disk.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "note")
    >>> with replacing(path) as file:
    ...     count = file.write(b"kept")
    ...     print(path.exists())
    False
    >>> path.read_bytes()
    b'kept'
    """
    target = _target(path)
    old = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    temporary = _beside(target)
    try:
        with open(temporary, "xb", opener=partial(os.open, mode=0o666 if old is None else old)) as file:
            if old is not None:
                os.chmod(temporary, old)  # what the umask has taken away
            yield file
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the name points at them
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(target)  # not the temporary one, which nobody has heard of, or none
        raise
    _sync_folder(target.parent)


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Raise the error that `replacing` would begin with; a file that is at `path` is left as it is.

    Only trying tells: a file that can be written may be in a folder where there can be no other.
    """
    target = _target(path)
    temporary = _beside(target)
    try:
        with open(temporary, "xb", opener=os.open):
            pass
        temporary.unlink()
    except OSError as error:
        error.filename = str(target)
        raise


def _target(path: str | os.PathLike[str]) -> Path:
    """The file that is to be written: of a link, what it points at."""
    target = checks.new_file("path", path)
    if target.is_symlink():
        target = checks.new_file("path", os.path.realpath(target))
    if target.exists() and not target.is_file():
        raise ArgumentError("path", given=f"{target}, a device or pipe", expected="a file", mend="choose another name")
    return target


def _beside(target: Path) -> Path:
    """A name in the same folder, so that a rename never crosses a file system; short whatever the target's name is."""
    return target.with_name(f".mlp-scratch-{os.urandom(8).hex()}.tmp")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, on systems that can open a folder."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
