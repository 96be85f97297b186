"""Files that commands write: whether they can is settled before the work, so that none of it is lost."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlp_scratch.errors import ArgumentError, MissingDependencyError
from mlp_scratch.files import check_replaceable, replacing
from mlp_scratch.standard_json import standard


def check_outputs(outputs: Mapping[str, str | None], *, inputs: Sequence[str | None] = ()) -> None:
    """Raise unless every file of `outputs`, by option, can be written and none would destroy another or an input."""
    taken = {os.path.realpath(path) for path in inputs if path is not None}
    for option, path in outputs.items():
        if path is None:
            continue
        place = os.path.realpath(path)  # unlike Path.resolve, it takes links that lead to themselves
        if place in taken:
            raise ArgumentError(option, given=repr(path), expected="a file of its own", mend="choose another name")
        taken.add(place)
        _check_writable(option, Path(path))


def _check_writable(option: str, target: Path) -> None:
    def refuse(reason: str) -> ArgumentError:
        return ArgumentError(
            option,
            given=f"{str(target)!r} ({reason})",
            expected="a file that can be written",
            mend="choose another place, or create the folder",
        )

    if target.exists() and not target.is_file():
        raise refuse("not a regular file")
    new = not target.exists()
    try:
        with open(target, "ab"):  # only trying tells for certain; appending nothing leaves a file as it is
            pass
        if new:
            os.unlink(os.path.realpath(target))  # of a link, what it leads to
        check_replaceable(target)
    except OSError as error:
        raise refuse(error.strerror or str(error)) from error


def check_image(option: str, path: str) -> None:
    """Raise unless matplotlib is installed and knows the kind of image that `path` names."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise MissingDependencyError(
            f"--{option}: got no matplotlib, expected it installed; pip install 'mlp-scratch[studies]'"
        ) from error
    if Path(path).suffix.lower().removeprefix(".") not in FigureCanvasBase.get_supported_filetypes():
        raise ArgumentError(
            option, given=repr(path), expected="an image's file name", mend="end it in .png, .svg or .pdf"
        )


def write_json(path: str, record: Mapping[str, Any]) -> None:
    """Write `record`; NaN and infinities, which JSON does not have, become the texts "NaN" and "Infinity"."""
    text = json.dumps(standard(record), indent=1, allow_nan=False)
    with replacing(path) as file:
        file.write(f"{text}\n".encode())
