"""`mlp-scratch predict`."""

import io
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import mlp_scratch as ms
from mlp_scratch.data import Scaler
from tests.cli.conftest import ANIMALS, table


def test_class_names_come_back(run, trained, animals):
    result = run("predict", trained, "--data", animals)
    assert (result.code, result.err) == (0, "")
    assert result.out == 'prediction\ncat\n"dog, big"\ncat\n'


def test_features_are_scaled_as_in_training(run, trained, animals):
    """Unscaled, thousands of grams would drown the height; scaled by the new samples, one alone would say nothing."""
    model = ms.load(trained)
    scaler = Scaler.from_dict(model.metadata["scaler"])
    X = scaler.transform(np.loadtxt(io.StringIO(ANIMALS), delimiter=","))
    assert run("predict", trained, "--data", animals, "--proba", "--out", "p.npz").code == 0
    with np.load("p.npz") as arrays:
        assert arrays["probabilities"].tolist() == model.predict_proba(X).tolist()


def test_probabilities(run, trained, animals):
    header, *rows = table(run("predict", trained, "--data", animals, "--proba").out)
    assert header == ["prediction", "probability_cat", "probability_dog, big"]
    for name, *values in rows:
        cat, dog = map(float, values)
        assert cat + dog == pytest.approx(1, abs=1e-6)
        assert (cat > dog) == (name == "cat")


def test_probabilities_of_one_output(run, pets, animals):
    run("train", "--data", pets, "--loss", "binary_cross_entropy", "--lr", 0.01, "--hidden", 8, "--out", "m")
    header, *rows = table(run("predict", "m", "--data", animals, "--proba").out)
    assert header == ["prediction", "probability_cat", "probability_dog, big"]
    assert [row[0] for row in rows] == ["cat", "dog, big", "cat"]
    assert [float(row[1]) > 0.5 for row in rows] == [True, False, True]


def test_a_target_column_is_left_out(run, trained, pets):
    rows = table(run("predict", trained, "--data", pets).out)[1:]
    assert [row[0] for row in rows] == [row[2] for row in table(pets.read_text())[1:]]


def test_the_target_column_of_the_training_is_remembered(run, tmp_path):
    rows = "\n".join(f"{i % 2},{i % 2 + i / 1000},{5 - i / 1000}" for i in range(80))
    (tmp_path / "first.csv").write_text(f"kind,a,b\n{rows}\n")
    run("train", "--data", "first.csv", "--target", "kind", "--hidden", 4, "--lr", 0.05, "--out", "m")
    with_target = run("predict", "m", "--data", "first.csv").out
    (tmp_path / "bare.csv").write_text("a,b\n" + "\n".join(row.partition(",")[2] for row in rows.split("\n")))
    assert with_target == run("predict", "m", "--data", "bare.csv").out
    assert [int(row[0]) for row in table(with_target)[1:]] == [i % 2 for i in range(80)]


class TestColumnsByName:
    """A header says which column is which feature; the model knows their names."""

    @pytest.fixture
    def predicted(self, run, trained, tmp_path):
        def of(content, *options):
            (tmp_path / "new.csv").write_text(content)
            return run("predict", trained, "--data", "new.csv", *options)

        return of

    @pytest.mark.parametrize(
        "content",
        [
            "weight,height\n4100,0.24\n29000,0.61\n",
            "height,weight\n0.24,4100\n0.61,29000\n",
            "id,weight,height\n7,4100,0.24\n8,29000,0.61\n",
            "id,weight,height\nA-7,4100,0.24\n,29000,0.61\n",
            ",height,weight,kind\n0,0.24,4100,cat\n1,0.61,29000,?\n",
            "kind,weight,born,height\n?,4100,2019,0.24\n?,29000,2020,0.61\n",
        ],
        ids=["as trained", "swapped", "an id", "an id that is text", "an index and the target", "a column between"],
    )
    def test_order_and_other_columns_change_nothing(self, predicted, content):
        result = predicted(content)
        assert (result.code, result.out) == (0, 'prediction\ncat\n"dog, big"\n'), result.err

    def test_names_that_are_numbers(self, run, tmp_path):
        rows = [f"{i % 2},{i % 2 + i / 1000},{5 - i / 1000}" for i in range(80)]
        (tmp_path / "years.csv").write_text("\n".join(["kind,2019,2020", *rows, ""]))
        run("train", "--data", "years.csv", "--target", "kind", "--hidden", 4, "--lr", 0.05, "--out", "m")
        swapped = [",".join(reversed(row.split(",")[1:])) for row in rows]
        (tmp_path / "swapped.csv").write_text("\n".join(["2020,2019", *swapped, ""]))
        assert run("predict", "m", "--data", "swapped.csv").out == run("predict", "m", "--data", "years.csv").out

    def test_a_file_without_a_header_goes_by_place(self, predicted):
        assert predicted("4100,0.24\n").out == predicted("4100,0.24,?\n").out == "prediction\ncat\n"

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("weight,hight\n4100,0.24\n", ["new.csv, line 1: got no column 'height'", "is it 'hight'?"]),
            ("weight,kind\n4100,cat\n", ["got no column 'height', expected the 2 features of the model by name\n"]),
            ("a,b\n4100,0.24\n", ["got no column 'weight' (2 features are missing)"]),
            ("2019,weight\n4100,0.24\n", ["line 1: got no column 'height'"]),
            ("weight,height,weight\n4100,0.24,3\n", ["line 1: got the name 'weight' twice"]),
            ("id,weight,height\n7,4100,x\n", ["line 2, column 'height': got 'x'"]),
        ],
    )
    def test_columns_that_are_not_there_or_not_good(self, predicted, content, words):
        predicted(content).refused(*words)

    @pytest.mark.parametrize("content", ["weight,height\n4100,0.24\n", "4100,0.24\n"])
    def test_a_target_that_is_not_there(self, predicted, content):
        predicted(content, "--target", "nosuch").refused("--target: got 'nosuch'", "one of the 2 columns")

    def test_the_target_of_the_training_without_a_header(self, run, pets):
        """Where it stands nobody knows; that `--target` is wrong would be told to who has given none."""
        run("train", "--data", pets, "--target", "kind", "--hidden", 4, "--epochs", 1, "--out", "m")
        pets.with_name("new.csv").write_text("4100,0.24\n")
        assert run("predict", "m", "--data", "new.csv").code == 0
        pets.with_name("new.csv").write_text("4100,0.24,?\n")
        run("predict", "m", "--data", "new.csv").refused(
            "new.csv, line 1: got 3 columns without names, expected 2 features, or a header with the target 'kind'; "
            "put a header above the samples, or leave the target out\n"
        )

    def test_a_feature_is_no_target(self, predicted):
        predicted("weight,height,kind\n4100,0.24,?\n", "--target", "height").refused("--target: got 'height'")

    def test_a_target_beside_the_features(self, predicted):
        assert predicted("id,weight,height,kind\n7,4100,0.24,?\n", "--target", "kind").out == "prediction\ncat\n"


def test_regression_prints_every_digit(run, tmp_path):
    rng = np.random.default_rng(2)
    X = rng.uniform(-1, 1, (100, 3))
    np.savez(tmp_path / "wave.npz", X=X, y=np.stack([X[:, 0], X.sum(axis=1)], axis=1))
    run("train", "--data", "wave.npz", "--hidden", 5, "--epochs", 2, "--out", "m")
    header, *rows = table(run("predict", "m", "--data", "wave.npz").out)
    assert header == ["prediction_0", "prediction_1"]
    model = ms.load("m")
    expected = model.predict(Scaler.from_dict(model.metadata["scaler"]).transform(X))
    assert np.array(rows, dtype=np.float32).tolist() == expected.tolist()


def test_a_csv_file(run, trained, animals, tmp_path):
    printed = run("predict", trained, "--data", animals, "--proba").out
    result = run("predict", trained, "--data", animals, "--proba", "--out", "p.csv")
    assert result.out == "3 predictions written to p.csv\n"
    assert (tmp_path / "p.csv").read_text() == printed


def test_an_npz_file(run, trained, animals):
    assert run("predict", trained, "--data", animals, "--out", "p.NPZ").code == 0
    with np.load("p.NPZ") as arrays:
        assert arrays["predictions"].tolist() == ["cat", "dog, big", "cat"]
        assert arrays["class_names"].tolist() == ["cat", "dog, big"]


def test_json(run, trained, animals, tmp_path):
    result = run("predict", trained, "--data", animals, "--proba", "--json", "p.json")
    record = json.loads((tmp_path / "p.json").read_text())
    assert record["predictions"] == ["cat", "dog, big", "cat"]
    printed = [[float(value) for value in row[1:]] for row in table(result.out)[1:]]
    assert np.float32(record["probabilities"]).tolist() == np.float32(printed).tolist()


def test_a_model_that_carries_no_scaler_takes_features_as_they_are(run, animals):
    model = ms.MLP([2, 3, 2], seed=1)
    model.save("bare")
    expected = model.predict(np.loadtxt(io.StringIO(ANIMALS), delimiter=","))
    rows = table(run("predict", "bare", "--data", animals).out)[1:]
    assert [int(row[0]) for row in rows] == expected.tolist()


class TestModelsWithoutFeatureNames:
    """Columns go by place; which one was left out for the target is said where it has a name."""

    @pytest.fixture
    def predicted(self, run, tmp_path):
        def of(content, *options):
            ms.MLP([2, 3, 2], seed=1).save("bare")
            (tmp_path / "new.csv").write_text(content)
            result = run("predict", "bare", "--data", "new.csv", *options)
            assert (result.code, result.out.count("\n")) == (0, 3), result.err
            return result

        return of

    def test_the_last_column_is_named(self, predicted):
        result = predicted("label,a,b\n1,0.5,7\n0,0.25,9\n")
        assert result.err == (
            "mlp-scratch: new.csv: the last column, 'b', is left out; if another is the target, name it with --target\n"
        )

    @pytest.mark.parametrize(
        ("content", "options"),
        [
            ("label,a,b\n1,0.5,7\n0,0.25,9\n", ["--target", "label"]),
            ("a,b\n0.5,7\n0.25,9\n", []),
            ("0.5,7\n0.25,9\n", []),
            ("0.5,7,?\n0.25,9,?\n", []),
        ],
    )
    def test_nothing_is_said_of_a_named_target_or_none(self, predicted, content, options):
        assert predicted(content, *options).err == ""


class TestNamesWithoutClasses:
    """Class names that stay with a model whose predictions are something else."""

    @pytest.fixture
    def predicted(self, run, animals):
        def of(model, names, *options):
            model.metadata = {"class_names": names}
            model.save("m")
            result = run("predict", "m", "--data", animals, *options, "--json", "p.json")
            assert (result.code, result.err) == (0, "")
            with open("p.json") as file:
                return table(result.out), json.load(file)

        return of

    @pytest.mark.parametrize("n_outputs", [1, 2])
    def test_quantities(self, predicted, n_outputs):
        model = ms.MLP([2, 3, n_outputs])
        model.fit(np.eye(2), np.eye(2)[:, :n_outputs], loss="mse", epochs=1)
        _, record = predicted(model, ["cat", "dog"])
        assert record["predictions"] == model.predict(np.loadtxt(io.StringIO(ANIMALS), delimiter=",")).tolist()
        assert record["class_names"] == []

    def test_several_labels_a_sample(self, predicted):
        model = ms.MLP([2, 3])
        model.fit(np.eye(2), np.eye(2, 3), loss="binary_cross_entropy", epochs=1)
        model.flat[...] = [0, 0, 0, 0, 0, 0, 1, -1, 2]  # the weights, and a bias for each label
        (header, *rows), record = predicted(model, ["cat", "dog", "bird"], "--proba")
        assert header[:3] == ["prediction_0", "prediction_1", "prediction_2"]
        assert header[3:] == ["probability_cat", "probability_dog", "probability_bird"]
        assert [row[:3] for row in rows] == [["1", "0", "1"]] * 3
        assert record["predictions"] == [[1, 0, 1]] * 3


@pytest.mark.parametrize("content", ["1\n2\n", "1,2,3,4\n", "1,2\n3\n", "1,2\nx,3\n", ""])
def test_bad_features(run, trained, tmp_path, content):
    (tmp_path / "bad.csv").write_text(content)
    run("predict", trained, "--data", "bad.csv").refused("bad.csv")


def test_the_wrong_number_of_features_is_named(run, trained, tmp_path):
    (tmp_path / "wide.csv").write_text("1,2,3,4\n")
    run("predict", trained, "--data", "wide.csv").refused("4 columns", "2 features")
    np.savez(tmp_path / "narrow.npz", X=np.ones((3, 1)))
    run("predict", trained, "--data", "narrow.npz").refused("(3, 1)", "(N, 2)")


class TestModelFiles:
    def damaged(self, run, tmp_path, animals, content):
        (tmp_path / "bad.safetensors").write_bytes(content)
        return run("predict", "bad.safetensors", "--data", animals)

    def test_truncated(self, run, trained, tmp_path, animals):
        content = trained.read_bytes()
        for length in (0, 4, 100, len(content) // 2, len(content) - 1):
            self.damaged(run, tmp_path, animals, content[:length]).refused("bad.safetensors")

    def test_corrupt(self, run, trained, tmp_path, animals):
        content = bytearray(trained.read_bytes())
        content[-5] ^= 1
        self.damaged(run, tmp_path, animals, bytes(content)).refused("bad.safetensors", "checksum")

    def test_foreign(self, run, tmp_path, animals):
        self.damaged(run, tmp_path, animals, b"PK\x03\x04" * 50).refused("bad.safetensors")
        save_file({"weight": np.ones(3)}, tmp_path / "other.safetensors")
        run("predict", "other.safetensors", "--data", animals).refused("other.safetensors", "another program")

    def test_missing(self, run, animals):
        run("predict", "none.safetensors", "--data", animals).refused("none.safetensors", "No such file")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "p.txt"], ["--out", ".csv", ".npz"]),
        (["--out", "missing/p.csv"], ["--out", "'missing/p.csv'"]),
        (["--json", "animals.csv"], ["--json"]),
        (["--out", "animals.csv"], ["--out"]),
        (["--json", "pets.safetensors"], ["--json"]),
        (["--backend", "nunpy"], ["--backend", "'numpy'"]),
        (["--data", "none.csv"], ["none.csv"]),
        (["--data", "digits"], ["--data: got 'digits'", ".csv or .npz"]),
    ],
)
def test_bad_options(run, trained, animals, arguments, words):
    before = trained.read_bytes(), animals.read_bytes()
    run("predict", trained, "--data", animals, *arguments).refused(*words)
    assert (trained.read_bytes(), animals.read_bytes()) == before


def test_a_regression_has_no_probabilities(run, tmp_path):
    run("train", "--data", "xy", "--epochs", 1, "--out", "m")
    (tmp_path / "points.csv").write_text("0.5,0.5\n")
    run("predict", "m", "--data", "points.csv", "--proba").refused(
        "--proba: got a model of quantities, trained with mae, expected one of classes or labels; leave it out\n"
    )
