"""Fetching published files once and keeping them: checksums, mirrors, a cache folder."""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlp_scratch.errors import ArgumentError, DownloadError

SCHEMES = ("https", "http", "file")


def cache_folder() -> Path:
    """Where downloads are kept: `MLP_SCRATCH_CACHE` if that is set, else the operating system's cache folder."""
    if folder := os.environ.get("MLP_SCRATCH_CACHE"):
        return Path(folder)
    import pooch  # costs 0.1 s and is needed by few

    return Path(pooch.os_cache("mlp-scratch"))


def fetch(name: str, *, sha256: str, base_urls: Sequence[str], folder: Path, mend: str = "") -> Path:
    """The path of file `name` in `folder`, downloaded from the first of `base_urls` that has it, if not there yet.

    Args:
        name: of the file, the same here and there.
        sha256: the checksum, in hexadecimal. A file in `folder` with another one is fetched again; a download with
            another one is thrown away. The file appears under its name when it is complete and right, not before.
        base_urls: folders of the web (https, http) or of this machine (file), tried in turn.
        folder: made if it is not there.
        mend: what the user can do where this fails, for the message; putting the file there by hand is always named.

    Raises `DownloadError` where no URL gave the file, with the reason for each, or `folder` can't be written; and
    `ArgumentError` for URLs of another kind.
    """
    import pooch

    path = folder / name
    if path.is_file() and pooch.file_hash(str(path)) == sha256:
        return path
    _make_writable(folder)
    failures = []
    outside = sys.exception()
    for base_url in base_urls:
        url = f"{base_url.rstrip('/')}/{name}"
        if urlsplit(url).scheme not in SCHEMES:
            raise ArgumentError(
                "mirror", given=repr(base_url), expected="a URL", mend="start it with https://, http:// or file://"
            )
        downloader = _copy_file if urlsplit(url).scheme == "file" else _download
        try:
            pooch.retrieve(url, known_hash=sha256, fname=name, path=folder, downloader=downloader)
        except OSError as error:  # those of the network are among them
            failures.append(f"{url} ({_one_line(_cause(error, outside))})")
        except ValueError as error:
            failures.append(f"{url} (wrong checksum: {_one_line(error)})")
        else:
            return path
    raise DownloadError(
        f"{name}: could not be fetched from {' nor from '.join(failures)}; "
        + (f"{mend}, or " if mend else "")
        + f"put the file into {folder} by hand"
    )


def _make_writable(folder: Path) -> None:
    """Make `folder` and write a file there, so that a full or forbidden disk isn't taken for a network error."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DownloadError(
            f"{folder}: got {error.strerror or error!r}, expected a folder that can be written, to keep downloads in; "
            "set MLP_SCRATCH_CACHE to another folder"
        ) from error


def _copy_file(url: str, output_file: str, _: object) -> None:
    """A downloader for file:// URLs, which pooch (1.9) has none for."""
    from urllib.request import urlopen  # brings the web and costs 20 ms

    with urlopen(url) as source, open(output_file, "wb") as copy:
        shutil.copyfileobj(source, copy)


def _download(url: str, output_file: str, _: object) -> None:
    """pooch's downloader for http and https, with a progress bar on a terminal and none in a pipe."""
    import pooch
    from rich.console import Console
    from rich.progress import Progress

    quiet = not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as progress:
        pooch.HTTPDownloader(progressbar=_Bar(progress, url))(url, output_file, None)


class _Bar:
    """The progress bar that pooch asks for, drawn by rich.

    pooch sets `total` (bytes) first and ends with `reset`, `update(total)` and `close`.
    """

    def __init__(self, progress: Any, description: str) -> None:
        self._progress, self._task = progress, progress.add_task(description, total=None)
        self._total: int | None = None

    @property
    def total(self) -> int | None:
        """The size in bytes, none where the server does not say."""
        return self._total

    @total.setter
    def total(self, n_bytes: int) -> None:
        self._total = n_bytes or None
        self._progress.update(self._task, total=self._total)

    def update(self, n_bytes: int) -> None:
        self._progress.advance(self._task, n_bytes)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()


def _cause(error: BaseException, outside: BaseException | None) -> BaseException:
    """The innermost error: "connection refused" rather than the five layers that pass it on.

    `outside` is the error that our caller was handling when it called us, if any; the chain is ours up to there.
    """
    while (inner := error.__cause__ or error.__context__) not in (None, outside):
        error = inner
    return error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
