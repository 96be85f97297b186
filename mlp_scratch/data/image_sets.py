"""MNIST and Fashion-MNIST: 28×28 grey images in ten classes, from a folder or from the web."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array, IntArray
from mlp_scratch.data._problems import bad_file
from mlp_scratch.data.dataset import Dataset
from mlp_scratch.data.download import cache_folder, fetch
from mlp_scratch.data.idx import read_idx
from mlp_scratch.data.scaler import Scaler
from mlp_scratch.data.splitting import test_size

IMAGE_SHAPE = (28, 28)


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """What is published about a set of images: its four files with their checksums, and where they are.

    Attributes:
        sha256: file name -> checksum of the compressed file.
        mirrors: URLs of the folders that hold the files.
    """

    name: str
    class_names: tuple[str, ...]
    sha256: Mapping[str, str]
    mirrors: tuple[str, ...]
    source: str
    licence: str


MNIST = ImageSet(
    name="mnist",
    class_names=tuple("0123456789"),
    # As published by torchvision and others, for the files of 1998.
    sha256={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    source="Y. LeCun, C. Cortes, C. Burges, 1998, http://yann.lecun.com/exdb/mnist/",
    licence="CC BY-SA 3.0",
)

FASHION_MNIST = ImageSet(
    name="fashion-mnist",
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ),
    source="H. Xiao, K. Rasul, R. Vollgraf, 2017, arXiv:1708.07747",
    licence="MIT",
)


def load_mnist(
    *, test_fraction: float = 0.2, seed: int = 0, folder: Path | str | None = None, mirror: str | None = None
) -> Dataset:
    """Handwritten digits: 60,000 images to train on and 10,000 to test on; see `load_image_set`.

    `seed` changes nothing, as nothing here is random; every loader takes one.
    """
    return load_image_set(MNIST, test_fraction=test_fraction, folder=folder, mirror=mirror)


def load_fashion_mnist(
    *, test_fraction: float = 0.2, seed: int = 0, folder: Path | str | None = None, mirror: str | None = None
) -> Dataset:
    """Pieces of clothing: 60,000 images to train on and 10,000 to test on; see `load_image_set`.

    `seed` changes nothing, as nothing here is random; every loader takes one.
    """
    return load_image_set(FASHION_MNIST, test_fraction=test_fraction, folder=folder, mirror=mirror)


def load_image_set(
    images: ImageSet, *, test_fraction: float = 0.2, folder: Path | str | None = None, mirror: str | None = None
) -> Dataset:
    """The images as (N, 784) uint8 rows with their class indices. Default scaling: pixels / 255.

    Args:
        images: which set.
        folder: where the files are, below a folder of the set's name (`FOLDER/mnist/`, `FOLDER/fashion-mnist/`);
            `MLP_SCRATCH_DATA` by default. Without either, the four files are downloaded once into `cache_folder()`.
        mirror: a URL that has such folders, to download from in place of the set's own mirrors;
            `MLP_SCRATCH_MIRROR` by default.
        test_fraction: used where the folder holds one part alone, such as `t10k-images-idx3-ubyte.gz` with its
            labels or a piece of it: its last `test_fraction`, in the order of the file, is the test part. Where both
            parts are there, the published split is kept.

    Raises `DataFileError` for files that are missing or damaged or don't belong together, and `DownloadError`.
    """
    checks.real("test_fraction", test_fraction, above=0, below=1)
    folder = folder or os.environ.get("MLP_SCRATCH_DATA") or None
    mirror = mirror or os.environ.get("MLP_SCRATCH_MIRROR") or None
    where = Path(folder) / images.name if folder else _downloaded(images, mirror)
    pairs = {part: _read_pair(*files, n_classes=len(images.class_names)) for part, files in _parts(where).items()}
    source = images.source
    if len(pairs) == 2:
        (X_train, y_train), (X_test, y_test) = pairs["train"], pairs["t10k"]
    else:
        ((part, (X, y)),) = pairs.items()
        n_train = len(X) - test_size(len(X), test_fraction)
        X_train, y_train, X_test, y_test = X[:n_train], y[:n_train], X[n_train:], y[n_train:]
        source += f" ({part!r} alone: the first {n_train} to train on, the other {len(X) - n_train} to test on)"
    return Dataset(
        name=images.name,
        task="classification",
        X_train=X_train,
        y_train=y_train,
        X_test=X_test,
        y_test=y_test,
        scaling=Scaler.by_range(0, 255),
        class_names=images.class_names,
        source=source,
        licence=images.licence,
    )


def _downloaded(images: ImageSet, mirror: str | None) -> Path:
    """The folder in the cache that holds all files of the set, fetched if need be."""
    folder = cache_folder() / images.name
    for name, sha256 in images.sha256.items():
        fetch(
            name,
            sha256=sha256,
            base_urls=[f"{mirror.rstrip('/')}/{images.name}"] if mirror else images.mirrors,
            folder=folder,
            mend=f"set MLP_SCRATCH_DATA to a folder that has the files in {images.name}/",
        )
    return folder


def _parts(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Part ("train", "t10k", ...) -> its images file and its labels file: both parts, or the only one there is."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise bad_file(
            folder,
            given=f"{error.strerror or error!r}",
            expected="a folder of IDX files",
            mend="correct MLP_SCRATCH_DATA, or unset it to download the files",
        ) from error
    parts: dict[str, tuple[Path, Path]] = {}
    for name in names:
        if match := re.fullmatch(r"(.+)-images-idx3-ubyte(\.gz)?", name):
            labels = f"{match[1]}-labels-idx1-ubyte"
            found = next((file for file in (labels, f"{labels}.gz") if file in names), None)
            if found is None:
                raise bad_file(folder / name, given="no labels", expected=f"{labels}.gz beside it")
            parts.setdefault(match[1], (folder / name, folder / found))
    if {"train", "t10k"} <= set(parts):
        return {part: parts[part] for part in ("train", "t10k")}
    if len(parts) != 1:
        raise bad_file(
            folder,
            given=", ".join(names[:8]) + (", ..." if names[8:] else "") or "an empty folder",
            expected="train-images-idx3-ubyte.gz and t10k-images-idx3-ubyte.gz, or one such part alone, with labels",
        )
    return parts


def _read_pair(images: Path, labels: Path, *, n_classes: int) -> tuple[Array, IntArray]:
    """The (N, 784) images of one file and their N labels from the other."""
    X, y = read_idx(images), read_idx(labels)
    if X.dtype != np.uint8 or X.shape[1:] != IMAGE_SHAPE or len(X) == 0:
        raise bad_file(images, given=f"shape {X.shape} of {X.dtype}", expected="shape (N, 28, 28) of uint8")
    if y.dtype != np.uint8 or y.ndim != 1:
        raise bad_file(labels, given=f"shape {y.shape} of {y.dtype}", expected="shape (N,) of uint8")
    if len(X) != len(y):
        raise bad_file(labels, given=f"{len(y)} labels", expected=f"{len(X)}, one for each image of {images.name}")
    if y.max() >= n_classes:
        raise bad_file(labels, given=f"label {y.max()}", expected=f"labels from 0 to {n_classes - 1}")
    return X.reshape(len(X), -1), y.astype(np.int64)
