"""Model files: named arrays and a JSON header in the safetensors format, written atomically, read with suspicion.

Any safetensors reader can open one, and a model's parameters carry the names that PyTorch's `nn.Sequential` uses.
The header travels as text in the format's metadata, beside a checksum of everything: the format has none.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ModelFileError
from mlp_scratch.files import replacing

FORMAT = "mlp-scratch-1"


def write(path: str | os.PathLike[str], arrays: Mapping[str, Array], header: Mapping[str, Any]) -> None:
    """Write `arrays` and `header` to `path`, in the way and with the errors of `replacing`."""
    from safetensors.numpy import save

    text = json.dumps(header, allow_nan=False)
    # np.ascontiguousarray would give an axis to a number that has none.
    contents = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    data = save(contents, {"format": FORMAT, "header": text, "sha256": _checksum(contents, text)})
    with replacing(path) as file:
        file.write(data)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the header that `write` left at `path`.

    Raises:
        OSError: as the operating system says, where there is no such file or it may not be read.
        ModelFileError: for a truncated, corrupt or foreign file.
    """
    from safetensors import SafetensorError, safe_open

    source = checks.path("path", path)
    if source.is_dir():
        raise ModelFileError(f"{path}: got a folder, expected a model file that model.save wrote; add its name")
    with open(source, "rb"):  # for the errors of the operating system: Safetensors' own name no file
        pass
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
