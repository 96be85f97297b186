"""Model files: named arrays and a JSON header in the safetensors format, written atomically, read with suspicion.

Any safetensors reader can open one, and a model's parameters carry the names that PyTorch's `nn.Sequential` uses.
The header travels as text in the format's metadata, beside a checksum of everything: the format has none.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ModelFileError

FORMAT = "mlp-scratch-1"


def write(path: str | os.PathLike[str], arrays: Mapping[str, Array], header: Mapping[str, Any]) -> None:
    """Write `arrays` and `header` to `path`: a crash at any moment leaves the old file or the new one.

    A link stays, and what it points at is written. A new file takes over the permissions of the old one.

    Raises:
        ArgumentError: for a folder, a device, and a file in a folder that does not exist.
        OSError: as the operating system says, for a folder that cannot be written or a full disk.
    """
    from safetensors.numpy import save

    target = checks.new_file("path", path)
    if target.is_symlink():
        target = checks.new_file("path", os.path.realpath(target))
    old = target.stat().st_mode if target.exists() else None
    if old is not None and not stat.S_ISREG(old):
        raise ArgumentError("path", given=f"{target}, a device or pipe", expected="a file", mend="choose another name")
    text = json.dumps(header, allow_nan=False)
    # np.ascontiguousarray would give an axis to a number that has none.
    contents = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    data = save(contents, {"format": FORMAT, "header": text, "sha256": _checksum(contents, text)})
    # In the same folder, so that the final rename never crosses a file system, and short whatever the target's name is.
    temporary = target.with_name(f".mlp-scratch-{os.urandom(8).hex()}.tmp")
    mode = 0o666 if old is None else stat.S_IMODE(old)  # never more for a moment than in the end
    try:
        with open(temporary, "xb", opener=partial(os.open, mode=mode)) as file:
            if old is not None:
                os.chmod(temporary, mode)  # what the umask has taken away
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the name points at them
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the header that `write` left at `path`.

    Raises:
        FileNotFoundError: where there is no such file.
        ModelFileError: for a truncated, corrupt or foreign file.
    """
    from safetensors import SafetensorError, safe_open

    source = checks.path("path", path)
    if not source.exists():  # Safetensors' own error names no file
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
    if source.is_dir():
        raise ModelFileError(f"{path}: got a folder, expected a model file that model.save wrote; add its name")
    try:
        with safe_open(source, framework="numpy") as file:
            metadata = file.metadata() or {}
            ours = metadata.get("format") == FORMAT  # another program's numbers may be of types that NumPy has not
            arrays = {name: file.get_tensor(name) for name in file.keys()} if ours else {}  # noqa: SIM118  # not a dict
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path}: got a file that is not in the safetensors format or is cut short ({error}), expected a model "
            "written by model.save; copy it again or train anew"
        ) from error
    if not ours:
        raise ModelFileError(
            f"{path}: got a safetensors file of another program or version (format {metadata.get('format')!r}), "
            f"expected {FORMAT!r}; build the model and assign its parameters by name instead"
        )
    text = metadata.get("header", "")
    if metadata.get("sha256") != _checksum(arrays, text):
        raise ModelFileError(
            f"{path}: got contents that do not match their checksum, expected those that were written; the file was "
            "damaged: copy it again or train anew"
        )
    try:
        header: dict[str, Any] = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ModelFileError(
            f"{path}: got a header that is not JSON ({error}), expected a model written by model.save; train anew"
        ) from error
    return arrays, header


def _checksum(arrays: Mapping[str, Array], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, on systems that can open a folder."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
