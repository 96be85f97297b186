"""The command as a whole: help, mistakes, exit codes, pipes."""

import os
import re
import subprocess
import sys

import pytest

import mlp_scratch
from mlp_kernels.cuda import availability
from mlp_scratch.backends import BACKENDS
from mlp_scratch.cli import commands, main
from mlp_scratch.layers import ACTIVATIONS
from mlp_scratch.losses import LOSSES
from tests.cli.conftest import COMMAND, QUICK

HEAVY = {"numba", "llvmlite", "torch", "jax", "keras", "sklearn", "matplotlib", "rich", "pooch", "safetensors", "scipy"}


def test_without_arguments_it_shows_its_commands(run):
    result = run()
    assert result.code == 0
    for name in ("train", "predict", "gradcheck", "info"):
        assert re.search(rf"^  {name} +\w", result.out, re.MULTILINE)


@pytest.mark.parametrize("command", [[], *([name] for name in commands.commands)])
def test_help(run, command):
    result = run(*command, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(" ".join(["Usage: mlp-scratch", *command]))


def test_help_of_train_lists_every_option_of_the_contract(run):
    text = run("train", "--help").out
    for option in ("data", "hidden", "activation", "loss", "optimizer", "lr", "batch-size", "epochs", "backend",
                   "dtype", "seed", "threads", "out", "plot", "json"):  # fmt: skip
        assert f"--{option} " in text


def test_help_of_train_has_a_recipe_for_each_data_set(run):
    rows = run("train", "--help").out.partition("Defaults by data set")[2].splitlines()
    assert any(re.match(r" *xy +24 +mae +adam +0.001 +32 +100", row) for row in rows)
    assert {"digits", "mnist", "fashion-mnist", "classification", "regression"} <= {row.split()[0] for row in rows[2:]}


@pytest.mark.parametrize("command", ["train", "gradcheck"])
def test_help_names_what_an_option_takes(run, command):
    text = " ".join(run(command, "--help").out.split())
    for table in (ACTIVATIONS, LOSSES, [*BACKENDS, "auto"]):
        for name in table:
            assert name in text


def test_version(run):
    assert run("--version").out == f"mlp-scratch {mlp_scratch.__version__}\n"


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from mlp_scratch.cli import main; main(['train', '--help']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "click" in loaded, "the list of modules was not read"
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["'trian'", "did you mean 'train'?"]),
        (["train", "--epoch", "3"], ["'--epoch'", "'--epochs'", "mlp-scratch train --help"]),
        (["--versoin"], ["'--versoin'", "mlp-scratch --help"]),
        (["train", "--epochs", "ten"], ["'--epochs'", "'ten'"]),
        (["train", "extra"], ["extra"]),
        (["predict"], ["MODEL", "mlp-scratch predict --help"]),
        (["predict", "m.safetensors"], ["--data"]),
    ],
)
def test_bad_usage(run, arguments, words):
    run(*arguments).refused(*words)


def test_an_error_of_the_operating_system_is_one_line(run, monkeypatch, trained):
    def full(*_):
        raise OSError(28, "No space left on device", "full.json")

    monkeypatch.setattr("mlp_scratch.cli.predict.write_json", full)
    run("predict", trained, "--data", "pets.csv", "--json", "full.json").refused("full.json", "No space left")


@pytest.mark.parametrize("command", ["train", "gradcheck"])
def test_what_python_spells_in_another_way_is_spelled_as_an_option(run, monkeypatch, command):
    monkeypatch.setattr(availability, "unavailability", lambda: "no GPU")
    run(command, "--backend", "cuda").refused("can't run here: no GPU; use --backend numba\n")


def test_too_little_memory_is_one_line(run):
    run("train", "--hidden", 10**10).refused("memory")


def test_ctrl_c_outside_the_training(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mlp_scratch.cli.train.load_dataset", interrupted)
    result = run("train")
    assert result.code == 130
    assert result.err.strip() == "mlp-scratch: interrupted"


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("mlp_scratch.cli.train.load_dataset", broken)
    with pytest.raises(ZeroDivisionError):
        main(["train"])


def test_no_progress_bar_in_a_pipe(pipe):
    result = pipe("train", "--hidden", 8, "--epochs", 2)
    assert (result.code, result.err) == (0, "")
    assert "\r" not in result.out
    assert "\x1b" not in result.out


class TestEncodings:
    """A standard output that has not all letters."""

    PETS = "a,b,kind\n" + "".join(f"{i},{i % 2},{('größe', '日本')[i % 2]}\n" for i in range(40))

    @pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs a file system that takes any bytes")
    def test_a_file_whose_name_is_not_utf_8_is_trained_on(self, pipe, monkeypatch, tmp_path):
        monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
        name = os.fsdecode(b"bad\xff.csv")
        (tmp_path / name).write_text(self.PETS, encoding="utf-8")
        result = pipe("train", "--data", name, *QUICK, "--out", os.fsdecode(b"m\xff"))
        assert (result.code, result.err) == (0, "")
        assert r"bad\udcff: 32 training and 8 test samples" in result.out
        assert r"--out written to m\udcff" in result.out

    def test_classes_that_cannot_be_printed_are_no_others(self, pipe, monkeypatch, tmp_path):
        monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
        (tmp_path / "pets.csv").write_text(self.PETS, encoding="utf-8")
        assert pipe("train", "--data", "pets.csv", *QUICK, "--out", "m").code == 0
        result = pipe("predict", "m", "--data", "pets.csv")
        result.refused(r"got the class '\u65e5\u672c', for which cp1252 has no letters", "; use --out FILE, or set")
        assert pipe("predict", "m", "--data", "pets.csv", "--out", "p.csv").code == 0
        assert "日本" in (tmp_path / "p.csv").read_text(encoding="utf-8")


class TestClosedStreams:
    """Streams that the shell closes, as `>&-` does."""

    def ends(self, arguments, *, closed, cwd):
        shut = " ".join(f"{number}>&-" for number in closed)
        command = ["sh", "-c", f'exec "$@" {shut}', "sh", *COMMAND, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
        return done.returncode, done.stdout, done.stderr

    @pytest.mark.parametrize("closed", [[1], [1, 2]])
    @pytest.mark.parametrize("arguments", [["--version"], ["train", *QUICK, "--out", "m"]])
    def test_what_is_said_goes_nowhere(self, tmp_path, arguments, closed):
        assert self.ends(arguments, closed=closed, cwd=tmp_path) == (0, "", "")
        assert (tmp_path / "m").exists() == ("--out" in arguments)

    def test_predictions_go_nowhere(self, tmp_path, trained):
        arguments = ["predict", trained, "--data", "pets.csv"]
        assert self.ends(arguments, closed=[1], cwd=tmp_path) == (0, "", "")

    def test_a_mistake_is_still_told(self, tmp_path):
        code, _, error = self.ends(["trian"], closed=[1], cwd=tmp_path)
        assert code == 2
        assert error.startswith("mlp-scratch: command: got 'trian'")
        assert self.ends(["trian"], closed=[2], cwd=tmp_path) == (2, "", "")


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("NUMBA_NUM_THREADS", "0", "an integer of at least 1"),
        ("NUMBA_NUM_THREADS", "-3", "an integer of at least 1"),
        ("NUMBA_NUM_THREADS", "two", "an integer of at least 1"),
        ("NUMBA_DISABLE_JIT", "1", "0"),
    ],
)
class TestNumbaSettings:
    """What the environment says to Numba, which reads it when it is imported."""

    @pytest.mark.parametrize(
        "command", [["train", *QUICK], ["gradcheck"], ["predict", "m", "--data", "x.csv"], ["info"]]
    )
    def test_with_which_nothing_is_compiled(self, run, monkeypatch, setting, value, expected, command):
        monkeypatch.setenv(setting, value)
        run(*command).refused(f"mlp-scratch: {setting}: got '{value}', expected {expected}", "unset it")

    def test_are_nothing_to_numpy(self, pipe, monkeypatch, setting, value, expected):
        monkeypatch.setenv(setting, value)
        result = pipe("train", *QUICK, "--backend", "numpy")
        assert (result.code, result.err) == (0, "")


def test_good_numba_settings(pipe, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    result = pipe("train", *QUICK)
    assert (result.code, result.err) == (0, "")


def test_a_reader_that_leaves_the_pipe_gets_no_traceback(tmp_path, trained):
    (tmp_path / "many.csv").write_text("5000,0.3\n" * 200_000)  # far more than a pipe holds
    command = [*COMMAND, "predict", str(trained), "--data", "many.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout.readline() == b"prediction\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
