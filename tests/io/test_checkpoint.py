"""Writing is atomic, and reading trusts nothing: half a file or a flipped bit is an error and never a model."""

import os
import random
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from mlp_scratch import MLP, files, load
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, ModelFileError


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a trained model's file."""
    path = tmp_path_factory.mktemp("model") / "m"
    model = MLP([3, 4, 2], batch_norm=True, seed=0)
    model.fit(np.random.default_rng(0).normal(size=(10, 3)), np.arange(10) % 2, batch_size=5, epochs=1)
    model.metadata = {"note": "a note"}
    model.save(path)
    return path.read_bytes()


def assert_not_a_model(path):
    with pytest.raises(ModelFileError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: got ")
    assert "expected" in message
    assert "\n" not in message


def is_refused(path):
    try:
        load(path)
    except ModelFileError:
        return True
    return False


def test_truncated_at_any_byte(content, tmp_path):
    path = tmp_path / "m"
    for length in [*range(40), *range(40, len(content), 7), len(content) - 1]:
        path.write_bytes(content[:length])
        assert_not_a_model(path)


def test_a_file_that_is_too_long(content, tmp_path):
    path = tmp_path / "m"
    for tail in (b"\0", b"more", content):
        path.write_bytes(content + tail)
        assert_not_a_model(path)


def test_any_flipped_bit_is_noticed(content, tmp_path):
    """Every bit of the length, and one random bit of every second byte: header, names, numbers, checksum alike."""
    path = tmp_path / "m"
    rng = random.Random(0)
    bits = [*range(64), *(8 * byte + rng.randrange(8) for byte in range(8, len(content), 2))]
    for bit in bits:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert is_refused(path), f"bit {bit} flipped unnoticed at {content[bit // 8 - 20 : bit // 8 + 20]}"


def test_swapped_halves_of_the_numbers(content, tmp_path):
    path = tmp_path / "m"
    start = 8 + int.from_bytes(content[:8], "little")
    data = content[start:]
    path.write_bytes(content[:start] + data[len(data) // 2 :] + data[: len(data) // 2])
    assert_not_a_model(path)


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"\0" * 8,
        b"{}",
        b"PK\x03\x04" + b"\0" * 60,
        b"\x93NUMPY\x01\0" + b" " * 100,
        b"\xff" * 100,
        b"a,b\n1,2\n",
        (2).to_bytes(8, "little") + b"{}",
        (1 << 62).to_bytes(8, "little") + b"{}",
    ],
)
def test_files_of_other_formats(foreign, tmp_path):
    path = tmp_path / "m"
    path.write_bytes(foreign)
    assert_not_a_model(path)


def test_a_foreign_file_of_numbers_that_numpy_does_not_have(tmp_path):
    header = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    path = tmp_path / "m"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    with pytest.raises(ModelFileError, match="another program or version"):
        load(path)


def test_a_folder_is_not_a_model(tmp_path):
    assert_not_a_model(tmp_path)
    with pytest.raises(ModelFileError, match="got a folder, expected a model"):
        load(tmp_path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load(tmp_path / "none")
    assert caught.value.filename == str(tmp_path / "none")


def test_a_file_that_may_not_be_read_is_no_damaged_one(tmp_path, content, monkeypatch):
    (tmp_path / "m").write_bytes(content)

    def locked(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", locked)  # who runs the tests may read everything
    with pytest.raises(PermissionError, match=r"Permission denied: '.*m'"):
        load(tmp_path / "m")


@pytest.mark.parametrize("path", [None, 3, ["m"]])
def test_what_is_no_path_is_named(path):
    for call in (MLP([2, 1]).save, load):
        with pytest.raises(ArgumentTypeError, match=r"^path: got .*, expected the path of a file"):
            call(path)


def test_saving_into_a_folder_that_does_not_exist(tmp_path):
    path = tmp_path / "none" / "m"
    with pytest.raises(ArgumentError, match=r"^path: got .*none/m, expected a file in a folder that exists; create it"):
        MLP([2, 1]).save(path)


def test_saving_over_a_folder(tmp_path):
    with pytest.raises(ArgumentError, match=r"^path: got .*, a folder, expected a file; add a name"):
        MLP([2, 1]).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_holds_a_null_character_is_no_path():
    for call in (MLP([2, 1]).save, load):
        with pytest.raises(ArgumentError, match=r"^path: got 'a\\x00b' \(str\), expected .* without a null character$"):
            call("a\0b")


def test_a_link_stays_and_what_it_points_at_is_written(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "new").symlink_to("folder/m")
    (tmp_path / "link").symlink_to("new")
    for seed in (1, 2):  # the file is new, and then an old one
        MLP([2, 1], seed=seed).save(tmp_path / "link")
        assert load(tmp_path / "link").seed == seed
        assert os.readlink(tmp_path / "link") == "new"
        assert os.readlink(tmp_path / "new") == "folder/m"
        assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["m"]
    (tmp_path / "nowhere").symlink_to("none/m")
    with pytest.raises(ArgumentError, match=r"^path: got .*none/m, expected a file in a folder that exists; create it"):
        MLP([2, 1]).save(tmp_path / "nowhere")
    (tmp_path / "up").symlink_to(".")
    with pytest.raises(ArgumentError, match=r"^path: got .*, a folder, expected a file; add a name"):
        MLP([2, 1]).save(tmp_path / "up")


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_permissions_of_a_file_stay(mode, tmp_path, monkeypatch):
    path, seen, replace = tmp_path / "m", [], os.replace
    path.touch()
    path.chmod(mode)
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(stat.S_IMODE(a.stat().st_mode)), replace(a, b)))
    MLP([2, 1]).save(path)
    assert seen == [mode]
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(ArgumentError, match=r"^path: got .*pipe, a device or pipe, expected a file"):
            MLP([2, 1]).save(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()


def test_a_name_may_be_as_long_as_the_file_system_lets_it(tmp_path):
    path = tmp_path / ("m" * 255)
    MLP([2, 1], seed=3).save(path)
    assert load(path).seed == 3


@pytest.mark.parametrize("failing", ["replace", "fsync", "write", "out of memory"])
def test_a_failure_leaves_the_old_file_and_nothing_else(failing, content, tmp_path, monkeypatch):
    path = tmp_path / "m"
    path.write_bytes(content)

    def fail(*args, **kwargs):
        raise MemoryError if failing == "out of memory" else OSError(28, "No space left on device")

    if failing == "write":

        class FullDisk:
            def __init__(self, *args, **options):
                self.file = open(*args, **options)  # noqa: SIM115  # closed by __exit__

            def __enter__(self):
                return self

            def __exit__(self, *args):
                self.file.close()

            def write(self, data):
                self.file.write(data[:100])
                fail()

        monkeypatch.setattr(files, "open", FullDisk, raising=False)
    else:
        monkeypatch.setattr(os, "replace" if failing == "out of memory" else failing, fail)
    with pytest.raises((OSError, MemoryError)) as caught:
        MLP([3, 9, 2], seed=1).save(path)
    monkeypatch.undo()
    assert getattr(caught.value, "filename", str(path)) == str(path)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]
    assert load(path).n_outputs == 2


def test_the_bytes_are_on_the_disk_before_the_name_points_at_them(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    MLP([2, 1]).save(tmp_path / "m")
    assert calls[:2] == ["fsync", "replace"]
    if os.name == "posix":
        assert calls[2:] == ["fsync"]  # of the folder


SAVE_FOREVER = """
import sys
import mlp_scratch as ms
small, large = ms.MLP([50, 20, 2], seed=1), ms.MLP([50, 200, 2], seed=2)
small.save(sys.argv[1])
print("saved", flush=True)
while True:
    large.save(sys.argv[1])
    small.save(sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "m.safetensors"
    whole = {seed: MLP([50, width, 2], seed=seed).flat for seed, width in ((1, 20), (2, 200))}
    rng = random.Random(0)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"saved\n"
        time.sleep(rng.uniform(0.0, 0.05))  # the moment of death must not be always the same
        process.kill()
        process.wait()
        process.stdout.close()
        model = load(path)
        assert np.array_equal(model.flat, whole[model.seed])
