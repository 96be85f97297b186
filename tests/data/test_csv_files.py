import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlp_scratch.data import read_csv
from mlp_scratch.data.csv_files import read_csv_features
from mlp_scratch.errors import ArgumentTypeError, DataFileError, UnknownNameError


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "table.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


X22 = [[1.5, 2.0], [3.0, -4e-3]]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("1.5,2,0.5\n3,-4e-3,0.25\n", ()),
        ("a,b,t\n1.5,2,0.5\n3,-4e-3,0.25\n", ("a", "b")),
        ("a,b,t\n1.5,2,0.5\n3,-4e-3,0.25", ("a", "b")),
        ("a,b,t\r\n1.5,2,0.5\r\n3,-4e-3,0.25\r\n", ("a", "b")),
        (b"\xef\xbb\xbfa,b,t\n1.5,2,0.5\n3,-4e-3,0.25\n", ("a", "b")),
        (b"\xef\xbb\xbf1.5,2,0.5\n3,-4e-3,0.25\n", ()),
        ('"a","b, quoted","t"\n"1.5","2","0.5"\n3,-4e-3,"0.25"\n', ("a", "b, quoted")),
        ("a , b, t\n 1.5 ,2 , 0.5\n3, -4e-3,0.25 \n", ("a", "b")),
        ("\n\na,b,t\n\n1.5,2,0.5\n\n3,-4e-3,0.25\n\n\n", ("a", "b")),
        ("größe,b,t\n1.5,2,0.5\n3,-4e-3,0.25\n", ("größe", "b")),
    ],
    ids=["plain", "header", "no newline", "crlf", "bom", "bom, no header", "quotes", "spaces", "empty", "umlaut"],
)
def test_ways_to_write_the_same(write, content, names):
    table = read_csv(write(content))
    assert table.task == "regression"
    assert table.feature_names == names
    assert table.class_names == ()
    assert table.X.dtype == table.y.dtype == np.float64
    np.testing.assert_array_equal(table.X, X22)
    np.testing.assert_array_equal(table.y, [0.5, 0.25])


@pytest.mark.parametrize(
    ("targets", "task", "class_names", "y"),
    [
        (["7", "-2", "7"], "classification", ("-2", "7"), [1, 0, 1]),
        (["10", "9", "10"], "classification", ("9", "10"), [1, 0, 1]),
        (["01", "1", "+2"], "classification", ("1", "2"), [0, 0, 1]),
        ([f"{-(2**63)}", f"{2**63 - 1}", "1"], "classification", (f"{-(2**63)}", "1", f"{2**63 - 1}"), [0, 2, 1]),
        ([f"{2**63}", "1", "1"], "regression", (), [2.0**63, 1, 1]),
        ([f"{-(2**63) - 1}", "1", "1"], "regression", (), [-(2.0**63), 1, 1]),
        (["rose", "Iris", "a b"], "classification", ("Iris", "a b", "rose"), [2, 0, 1]),
        (["a_1", "b_2", "a_1"], "classification", ("a_1", "b_2"), [0, 1, 0]),
        (["1", "2.0", "3"], "regression", (), [1, 2, 3]),
        (["1e2", "-.5", "3"], "regression", (), [100, -0.5, 3]),
    ],
)
def test_targets_say_what_the_task_is(write, targets, task, class_names, y):
    table = read_csv(write("x,y\n" + "".join(f"{i}.5,{text}\n" for i, text in enumerate(targets))))
    assert (table.task, table.class_names) == (task, class_names)
    np.testing.assert_array_equal(table.y, y)
    assert table.y.dtype == (np.int64 if task == "classification" else np.float64)


@pytest.mark.parametrize(
    ("targets", "task", "class_names", "y"),
    [
        (["30", "10", "30"], "regression", (), [30.0, 10.0, 30.0]),
        (["1.0", "0", "1"], "classification", ("0.0", "1.0"), [1, 0, 1]),
        (["3", "none of them", "3"], "classification", ("3", "none of them"), [0, 1, 0]),
    ],
)
def test_the_task_can_be_said(write, targets, task, class_names, y):
    table = read_csv(write("x,y\n" + "".join(f"{i}.5,{text}\n" for i, text in enumerate(targets))), task=task)
    assert (table.task, table.class_names) == (task, class_names)
    np.testing.assert_array_equal(table.y, y)


def test_the_target_by_name(write):
    path = write("kind,2019,2020\nx,1,2\ny,3,4\n")
    table = read_csv(path, target="kind")
    assert (table.feature_names, table.class_names) == (("2019", "2020"), ("x", "y"))
    np.testing.assert_array_equal(table.X, [[1, 2], [3, 4]])


@settings(deadline=None)
@given(
    X=hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(-1e300, 1e300)),
    header=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read_to_the_last_bit(tmp_path_factory, X, header, quoting, newline):
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=newline)
    if header:
        writer.writerow([f"feature {i}" for i in range(X.shape[1])] + ["target"])
    for row in X.tolist():
        writer.writerow([*map(repr, row), repr(sum(row) / 2)])
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    path.write_bytes(text.getvalue().encode())
    table = read_csv(path)
    np.testing.assert_array_equal(table.X, X)
    np.testing.assert_array_equal(table.y, [sum(row) / 2 for row in X.tolist()])


BIG = "x" * 200_000
BAD_FILES = [
    ("", ": got an empty file, expected lines of comma-separated numbers"),
    ("\n\n  \n", ": got an empty file"),
    ("a,b,t\n", ": got a header and no samples, expected at least one line of numbers"),
    ("1\n2\n", ", line 1: got 1 column, expected at least 2, features and a target; separate columns by commas"),
    ("\n\n1\n2\n", ", line 3: got 1 column, expected at least 2"),
    ('a,"b,t\n', ", from line 1 on: got unexpected end of data, expected well-formed CSV"),
    (b"a,b,t\n" + b"1,2,3\n" * 9999 + b"1,2,\xff\n", ", line 10001: got bytes that are not UTF-8 (invalid start byte)"),
    ("1;2;3\n4;5;6\n", ", line 1: got 1 column"),
    ("a,b,t\n1,2,3\n1,2\n", ", line 3: got 2 columns, expected 3, as on line 1"),
    ("\n\n1,2,3\n1,2,3,4\n", ", line 4: got 4 columns, expected 3, as on line 3"),
    ("a,b,t\n1,2,3\n1,2,3,\n", ", line 3: got 4 columns, expected 3"),
    ("a,b,t\n1,2,3\n\n1,x,3\n", ", line 4, column 'b': got 'x', expected a number"),
    ("1,2,3\n4,x,6\n", ", line 2, column 2: got 'x', expected a number"),
    ("1,t,3\nx,u,6\n", ", line 1: got 't' beside numbers, expected only numbers, or only names"),
    ("a,b,t\n1,,3\n", ", line 2, column 'b': got an empty cell, expected a number; drop or fill"),
    ("a,b,t\n1,NA,3\n", ", line 2, column 'b': got 'NA', expected a number; drop or fill"),
    ("a,b,t\n1,?,3\n", ", line 2, column 'b': got '?', expected a number; drop or fill"),
    ("a,b,t\n1,2,3\n1,NaN,3\n", ", line 3, column 'b': got 'nan', expected a number; drop or fill"),
    ("a,b,t\n1,2,3\n-inf,2,3\n", ", line 3, column 'a': got '-inf', expected a number"),
    ("a,b,t\n1,1e999,3\n", ", line 2, column 'b': got 'inf', expected a number"),
    ("a,b,t\n1_000,2,3\n", ", line 2, column 'a': got '1_000', expected a number"),
    ('a,b,t\n"1,5",2,3\n', ", line 2, column 'a': got '1,5', expected a number"),
    ("a,b,t\n1,2,\n", ", line 2, column 't': got an empty cell, expected a target; drop or fill"),
    ("a,b,t\n1,2,0.5\n1,2,nan\n", ", line 3, column 't': got 'nan', expected a target; drop or fill"),
    ("a,b,t\n1,2,0.5\n1,2,1e999\n", ", line 3, column 't': got '1e999', expected a number"),
    ("a,b,t\n1,2,0.5\n1,2,many\n", ", line 3, column 't': got 'many', expected a number"),
    ("1,2,1\n1,2,many\n", ", line 2, column 3: got 'many', expected a number"),
    ("a,b,t\n1,2,3\n4,5,3\n", ": got one class only, 3, expected at least two classes"),
    ("a,b,a\n1,2,3\n", ", line 1: got the name 'a' twice, expected different names"),
    (",b,t\n0,1,2\n", ", line 1, column 1: got no name, expected a name for every column; if it numbers the lines"),
    ('a,b,t\n1,2,3\n1,"2,3\n4,5,6\n', ", from line 3 on: got unexpected end of data, expected well-formed CSV"),
    ('a,b,t\n1,"2"x,3\n', ", from line 2 on: got ',' expected after '\"', expected well-formed CSV"),
    (f'a,b,t\n1,"{BIG}",3\n', ", from line 2 on: got field larger than field limit"),
    (
        b"a,b,t\n1,\xe9,3\n",
        ", line 2: got bytes that are not UTF-8 (invalid continuation byte), expected text in UTF-8",
    ),
    ("a,b,t\n1,2,3\n".encode("utf-16"), ", line 1: got bytes that are not UTF-8"),
    (b"\x89PNG\r\n\x1a\n\0\0", ", line 1: got bytes that are not UTF-8"),
]


@pytest.mark.parametrize(("content", "message"), BAD_FILES, ids=[repr(message)[:60] for _, message in BAD_FILES])
def test_bad_files_are_named_by_line_and_column(write, content, message):
    path = write(content)
    with pytest.raises(DataFileError) as caught:
        read_csv(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("task", [None, "classification"])
@pytest.mark.parametrize("missing", ["", " ", "NA", "n/a", "nan", "NaN", "null", "NULL", "?"])
@pytest.mark.parametrize("labels", ["rose iris rose", "3 5 3", "1.0 0 1"])
def test_a_missing_label_is_no_class(write, labels, missing, task):
    cells = [*labels.split(), missing, "rose"]
    with pytest.raises(DataFileError, match=r", line 5, column 't': got .*, expected a target; drop or fill samples"):
        read_csv(write("a,t\n" + "".join(f"{i}.5,{cell}\n" for i, cell in enumerate(cells))), task=task)


@pytest.mark.parametrize("none", ["none", "None"])
def test_none_is_a_label(write, none):
    assert read_csv(write(f"a,t\n1,{none}\n2,rose\n")).class_names == (none, "rose")


def test_a_quoted_cell_over_two_lines_keeps_the_count(write):
    with pytest.raises(DataFileError, match=r", line 4, column 'b': got 'x'"):
        read_csv(write('a,b,"t\nu"\n1,2,3\n1,x,3\n'))


def test_a_task_that_the_targets_do_not_fit(write):
    with pytest.raises(DataFileError, match=", line 2, column 't': got 'rose', expected a number"):
        read_csv(write("a,t\n1,rose\n2,iris\n"), task="regression")
    with pytest.raises(UnknownNameError, match=r"task: got 'regresion'.*did you mean 'regression'"):
        read_csv(write("a,t\n1,2.5\n"), task="regresion")


def test_a_target_that_is_not_there(write):
    names = ",".join(f"pixel{i}" for i in range(784))
    with pytest.raises(UnknownNameError, match="target: got 'labl', expected one of the 785 columns") as caught:
        read_csv(write(f"{names},label\n"), target="labl")
    assert "the nearest are 'label'" in str(caught.value)
    assert len(str(caught.value)) < 300


NUMBERED = (
    r", line 1: got 0, 1(, 2)?(, \.\.\.)?, numbers that count the columns, expected a sample, or .*; if it is a header"
)


@pytest.mark.parametrize(
    "content",
    [
        "0,1,2\n1.5,2.5,0\n3.5,4.5,1\n5.5,6.5,0\n",
        "0,1,2\n1.5,2.5,0.125\n3.5,4.5,1.5\n",
        "0,1,2\n0,1,0\n1,0,1\n0,1,1\n",
        "0,1,2,label\n1.5,2.5,3,cat\n3.5,4.5,3,dog\n5.5,6.5,3,cat\n",
        "0,1,label\n1.5,2.5,cat\n3.5,4.5,dog\n5.5,6.5,cat\n",
        "0,1,2,label\n1.5,2.5,3,1\n3.5,4.5,3,0\n5.5,6.5,3,1\n",
    ],
)
def test_numbers_that_count_the_columns_are_no_sample(write, content):
    with pytest.raises(DataFileError, match=NUMBERED):
        read_csv(write(content))
    with pytest.raises(DataFileError, match=NUMBERED):
        read_csv_features(write(content), n_features=content.split("\n")[0].count(","))
    target = content[: content.index("\n")].split(",")[-1]
    assert len(read_csv(write(content), target=target).X) == content.count("\n") - 1  # a header: it has the name


@pytest.mark.parametrize(
    "content",
    [
        "0,1,2\n1,1,2\n0,0,0\n",  # each is found again
        "0,1\n1,3\n2,5\n",  # a quantity over time, say
        "0,1,2,3.5\n1,2,3,4.5\n",
        "0,2,1\n1,2,3\n",
        "0.0,1,2\n1,2,3\n",
    ],
)
def test_a_first_sample_of_small_numbers(write, content):
    assert len(read_csv(write(content), task="regression").X) == content.count("\n")
    assert len(read_csv_features(write(content), n_features=content.split("\n")[0].count(","))) == content.count("\n")


def test_the_numbers_of_columns_that_are_no_sample_when_predicting(write):
    content = ",".join(map(str, range(64))) + "\n" + (",".join(["3"] * 64) + "\n") * 3
    with pytest.raises(DataFileError, match=NUMBERED):
        read_csv_features(write(content), n_features=64)
    assert read_csv_features(write("0,1,2\n"), n_features=3).tolist() == [[0, 1, 2]]  # a header alone makes no file


@pytest.mark.parametrize("task", [None, "classification"])
@pytest.mark.parametrize("header", ["2019,2020,kind", "5,0.5,kind"])
def test_a_label_that_only_the_first_line_has_is_a_header_among_numbers(write, header, task):
    with pytest.raises(
        DataFileError, match="line 1: got the label 'kind', which no other line has, beside numbers"
    ) as e:
        read_csv(write(f"{header}\n1,2,cat\n3,4,dog\n5,6,cat\n"), task=task)
    assert "if it is a header, name the target; if it is a sample, put a header above it" in str(e.value)
    assert read_csv(write(f"{header}\n1,2,cat\n3,4,dog\n"), target="kind").class_names == ("cat", "dog")


def test_labels_that_are_all_different(write):
    assert read_csv(write("1,2,cat\n3,4,dog\n")).class_names == ("cat", "dog")


@pytest.mark.parametrize("read", [read_csv, lambda path: read_csv_features(path, n_features=1)])
def test_no_such_file(tmp_path, read):
    with pytest.raises(DataFileError, match=r"absent\.csv: got 'No such file or directory', expected a file that"):
        read(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("content", "target"),
    [
        ("1.5,2\n3,-4e-3\n", None),
        ("a,b\n1.5,2\n3,-4e-3\n", None),
        ("a,b\n1.5,2\n3,-4e-3\n", "t"),
        ("1.5,2,rose\n3,-4e-3,\n", None),
        ("a,b,t\n1.5,2,rose\n3,-4e-3,?\n", None),
        ("t,a,b\nrose,1.5,2\n?,3,-4e-3\n", "t"),
    ],
)
def test_features_with_and_without_a_target(write, content, target):
    np.testing.assert_array_equal(read_csv_features(write(content), n_features=2, target=target), X22)


@pytest.mark.parametrize(
    ("content", "target", "error", "words"),
    [
        ("1\n2\n", None, DataFileError, "line 1: got 1 columns, expected 2 features, with a target column or without"),
        ("1,2,3,4\n", None, DataFileError, "line 1: got 4 columns, expected 2 features"),
        ("a,t\n1,2\n", "t", DataFileError, "line 1: got 2 columns, 't' among them, expected 2 features, with a targ"),
        ("1,2\nx,3\n", None, DataFileError, "line 2, column 1: got 'x', expected a number"),
        ("a,b\n1,nan\n", None, DataFileError, "line 2, column 'b': got 'nan', expected a number"),
        ("a,b,c\n1,2,3\n", "t", UnknownNameError, "target: got 't', expected one of the 3 columns"),
        ("a,b\n1,2\n", 0, ArgumentTypeError, r"target: got 0 \(int\), expected the name of a column"),
    ],
)
def test_features_that_do_not_fit(write, content, target, error, words):
    with pytest.raises(error, match=words):
        read_csv_features(write(content), n_features=2, target=target)
