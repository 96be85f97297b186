"""The JSON files that commands leave behind: written whole or not at all, and read with suspicion."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlp_scratch.errors import ArgumentError, DataFileError
from mlp_scratch.files import replacing

SCHEMA = 1


def check_writable(argument: str, path: Path) -> None:
    """Raise where `path` can't be written, before there is anything to lose."""
    place = Path(os.path.realpath(path))  # unlike Path.resolve, it takes links that lead to themselves
    try:
        if place.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        if os.path.lexists(place) and not place.is_file():  # a device or a pipe, or a link that leads to itself
            raise FileExistsError(None, "not a regular file")
        with tempfile.TemporaryFile(dir=place.parent):
            pass
    except OSError as error:
        raise ArgumentError(
            argument, given=f"{str(path)!r} ({error.strerror})", expected="a file that can be written"
        ) from None


def write_json(path: Path, contents: Mapping[str, Any]) -> None:
    """Write `contents` and the schema; a reader finds the old file or the new one, never half of one.

    Of a link, what it leads to is written.
    """
    text = json.dumps({"schema": SCHEMA, **contents}, indent=1, allow_nan=False)
    with replacing(path) as file:
        file.write(f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote, without the schema.

    Raises:
        DataFileError: for a file that is missing, no JSON, of another schema, or without records.
    """
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _foreign(path, error.strerror or str(error)) from None
    except ValueError as error:
        raise _foreign(path, f"no JSON: {error}") from None
    if not isinstance(contents, dict) or "schema" not in contents or "records" not in contents:
        raise _foreign(path, "JSON of something else")
    if (schema := contents.pop("schema")) != SCHEMA:
        raise _foreign(path, f"schema {schema}")
    return contents


def _foreign(path: Path, given: str) -> DataFileError:
    return DataFileError(f"{path}: got {given}, expected a record of `mlp-bench`, schema {SCHEMA}; measure it again")
