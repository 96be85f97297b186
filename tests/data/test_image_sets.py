import hashlib
import shutil

import numpy as np
import pytest

from mlp_scratch.data import load_fashion_mnist, load_mnist
from mlp_scratch.data.image_sets import FASHION_MNIST, MNIST, ImageSet, load_image_set
from mlp_scratch.errors import ArgumentError, DataFileError, DownloadError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path, request):
    """Without the user's folders; downloads go to a cache of the test's own, and mirrors nowhere."""
    if "real_data" not in request.fixturenames:
        monkeypatch.delenv("MLP_SCRATCH_DATA", raising=False)
    monkeypatch.delenv("MLP_SCRATCH_MIRROR", raising=False)
    monkeypatch.setenv("MLP_SCRATCH_CACHE", str(tmp_path / "cache"))


def images(n, first=0):
    """n images whose first pixel counts from `first`."""
    pixels = np.zeros((n, 28, 28), np.uint8)
    pixels[:, 0, 0] = np.arange(first, first + n)
    pixels[:, 27, 27] = 255
    return pixels


def labels(n):
    return (np.arange(n) % 10).astype(np.uint8)


@pytest.fixture
def write_set(write_idx, tmp_path):
    """Writes the parts of a set, {name: size}, below tmp_path/data/mnist, and returns tmp_path/data."""

    def write(ending=".gz", **parts):
        for part, n in parts.items():
            part = part.replace("_", "-")
            write_idx(f"data/mnist/{part}-images-idx3-ubyte{ending}", images(n))
            write_idx(f"data/mnist/{part}-labels-idx1-ubyte{ending}", labels(n))
        return tmp_path / "data"

    return write


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_both_parts_are_kept_as_published(write_set, ending):
    data = load_mnist(folder=write_set(train=30, t10k=20, ending=ending), test_fraction=0.5)
    assert (data.name, data.task, data.n_features, data.n_outputs) == ("mnist", "classification", 784, 10)
    assert (len(data.X_train), len(data.X_test)) == (30, 20)
    assert data.X_train.dtype == np.uint8
    assert data.X_train[:, 0].tolist() == list(range(30))
    assert data.y_test.tolist() == [*range(10), *range(10)]
    assert data.y_test.dtype == np.int64
    assert data.scaling.transform(data.X_test).max() == 1
    assert data.source == MNIST.source


@pytest.mark.parametrize("part", ["t10k", "t10k_first4443", "train"])
def test_one_part_is_split_in_its_order(write_set, part):
    data = load_mnist(folder=write_set(**{part: 50}))
    assert data.X_train[:, 0].tolist() == list(range(40))
    assert data.X_test[:, 0].tolist() == list(range(40, 50))
    assert f"('{part.replace('_', '-')}' alone: the first 40 to train on, the other 10 to test on)" in data.source
    assert len(load_mnist(folder=write_set(**{part: 50}), test_fraction=0.5).X_test) == 25


def test_both_parts_go_before_pieces(write_set):
    folder = write_set(train=30, t10k=20, t10k_first4443=9)
    assert len(load_mnist(folder=folder).X_test) == 20


def test_the_environment_names_the_folder(write_set, monkeypatch):
    monkeypatch.setenv("MLP_SCRATCH_DATA", str(write_set(t10k=50)))
    assert len(load_mnist().X_train) == 40


def test_bad_pairs_are_named(write_set, write_idx):
    def message(**files):
        folder = write_set(t10k=20)
        for kind, array in files.items():
            dimensions = {"images": 3, "labels": 1}[kind]
            write_idx(f"data/mnist/t10k-{kind}-idx{dimensions}-ubyte.gz", array)
        with pytest.raises(DataFileError) as caught:
            load_mnist(folder=folder)
        text = str(caught.value)
        assert text.startswith(str(folder / "mnist" / "t10k-"))
        return text.removeprefix(str(folder / "mnist" / "t10k-"))

    assert message(labels=labels(19)) == (
        "labels-idx1-ubyte.gz: got 19 labels, expected 20, one for each image of t10k-images-idx3-ubyte.gz"
    )
    assert message(labels=labels(20) + 1) == "labels-idx1-ubyte.gz: got label 10, expected labels from 0 to 9"
    assert message(labels=images(20)) == (
        "labels-idx1-ubyte.gz: got shape (20, 28, 28) of uint8, expected shape (N,) of uint8"
    )
    assert message(images=labels(20)) == (
        "images-idx3-ubyte.gz: got shape (20,) of uint8, expected shape (N, 28, 28) of uint8"
    )
    assert message(images=np.zeros((20, 32, 32), np.uint8)).startswith("images-idx3-ubyte.gz: got shape (20, 32, 32)")
    assert message(images=images(0), labels=labels(0)).startswith("images-idx3-ubyte.gz: got shape (0, 28, 28)")


def test_a_truncated_file_is_named(write_set):
    folder = write_set(t10k=20)
    path = folder / "mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataFileError, match=r"t10k-images-idx3-ubyte\.gz: got a damaged gzip file"):
        load_mnist(folder=folder)


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({"train_a": 20, "train_b": 20}, "train-a-images-idx3-ubyte.gz, .*, train-b-labels-idx1-ubyte.gz"),
        ({"t10k": 20, "t10k_first9": 9}, "t10k-first9-images-idx3-ubyte.gz, "),
    ],
)
def test_a_folder_that_could_mean_several_things(write_set, parts, names):
    with pytest.raises(DataFileError, match=f"data/mnist: got {names}.*, expected train-images-idx3-ubyte.gz and t10k"):
        load_mnist(folder=write_set(**parts))


def test_folders_without_the_files(tmp_path, write_set):
    with pytest.raises(
        DataFileError, match=r"absent/mnist: got 'No such file or directory', expected a folder of IDX.*or unset it"
    ):
        load_mnist(folder=tmp_path / "absent")
    (tmp_path / "fashion-mnist").mkdir()
    with pytest.raises(DataFileError, match="fashion-mnist: got an empty folder, expected train-images"):
        load_fashion_mnist(folder=tmp_path)
    folder = write_set(t10k=20)
    (folder / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        DataFileError, match=r"t10k-images-idx3-ubyte\.gz: got no labels, expected t10k-labels-idx1-ubyte\.gz beside"
    ):
        load_mnist(folder=folder)


@pytest.mark.parametrize("fraction", [0.0, 1.0, float("nan")])
def test_a_bad_fraction_is_named_even_where_it_is_not_used(write_set, fraction):
    with pytest.raises(ArgumentError, match="test_fraction: got "):
        load_mnist(folder=write_set(train=30, t10k=20), test_fraction=fraction)


@pytest.fixture
def small_set(write_set):
    """A set of two small parts whose checksums are right, and its folder."""
    folder = write_set(train=30, t10k=20)
    small = ImageSet(
        name="mnist",
        class_names=MNIST.class_names,
        sha256={
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "mnist").iterdir())
        },
        mirrors=(),
        source="a test",
        licence="none",
    )
    return small, folder


def test_downloads_all_files_into_the_cache_and_reads_them_there(small_set, tmp_path):
    small, folder = small_set
    data = load_image_set(small, mirror=f"{folder.as_uri()}/")
    assert (len(data.X_train), len(data.X_test)) == (30, 20)
    assert sorted(path.name for path in (tmp_path / "cache" / "mnist").iterdir()) == sorted(small.sha256)
    shutil.rmtree(folder)
    assert len(load_image_set(small, mirror=folder.as_uri()).X_train) == 30


def test_the_environment_names_the_mirror(small_set, monkeypatch):
    small, folder = small_set
    monkeypatch.setenv("MLP_SCRATCH_MIRROR", folder.as_uri())
    assert len(load_image_set(small).X_train) == 30


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist])
def test_a_mirror_with_other_files_is_refused(small_set, load, tmp_path):
    _, folder = small_set
    shutil.copytree(folder / "mnist", folder / "fashion-mnist")
    with pytest.raises(DownloadError) as caught:
        load(mirror=folder.as_uri())
    message = str(caught.value)
    name = "mnist" if load is load_mnist else "fashion-mnist"
    assert message.startswith("train-images-idx3-ubyte.gz: could not be fetched from file://")
    assert f"/{name}/train-images-idx3-ubyte.gz (wrong checksum: " in message
    assert f"; set MLP_SCRATCH_DATA to a folder that has the files in {name}/, or put the file into " in message
    assert list((tmp_path / "cache" / name).iterdir()) == []


@pytest.mark.parametrize("images", [MNIST, FASHION_MNIST], ids=lambda images: images.name)
def test_what_is_published(images):
    assert len(images.class_names) == len(set(images.class_names)) == 10
    assert set(images.sha256) == {
        f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    }
    checksums = set(images.sha256.values())
    assert len(checksums) == 4
    assert all(len(bytes.fromhex(checksum)) == 32 for checksum in checksums)
    assert len(images.mirrors) >= 2


def test_the_real_mnist(real_data):
    data = load_mnist()
    everything = np.concatenate([data.X_train, data.X_test])
    if len(everything) == 10_000:  # the published test part alone
        assert (len(data.X_train), len(data.X_test)) == (8_000, 2_000)
        header = bytes([0, 0, 8, 3, 0, 0, 0x27, 0x10, 0, 0, 0, 28, 0, 0, 0, 28])
        assert hashlib.md5(header + everything.tobytes()).hexdigest() == "2646ac647ad5339dbf082846283269ea"
    assert set(data.y_train) == set(data.y_test) == set(range(10))


def test_the_real_fashion_mnist(real_data):
    data = load_fashion_mnist()
    assert data.X_train.shape[1] == 784
    assert set(data.y_train) == set(data.y_test) == set(range(10))
    if len(data.X_train) + len(data.X_test) == 4_443:
        assert (len(data.X_train), len(data.X_test)) == (3_554, 889)
