import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlp_scratch.data.download import _Bar, cache_folder, fetch
from mlp_scratch.errors import ArgumentError, DownloadError

CONTENT = bytes(range(256)) * 4096  # a megabyte
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /good, half of it at /broken, another file at /wrong and nothing elsewhere."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        folder = self.path.split("/")[1]
        if folder not in ("good", "broken", "wrong"):
            self.send_error(404)
            return
        content = b"<html>sign in to this network</html>" if folder == "wrong" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if folder == "broken" else content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def get(tmp_path):
    """`fetch` into tmp_path/cache from the URLs given."""

    def fetch_from(*base_urls, sha256=SHA256, folder=tmp_path / "cache"):
        return fetch("data.gz", sha256=sha256, base_urls=base_urls, folder=folder, mend="set MLP_SCRATCH_DATA")

    return fetch_from


def nothing_left(folder):
    return list(folder.iterdir()) == []


def test_fetches_once_and_keeps(server, get, tmp_path):
    for _ in range(2):
        path = get(f"{server.url}/good")
        assert path == tmp_path / "cache" / "data.gz"
        assert path.read_bytes() == CONTENT
    assert server.requests == ["/good/data.gz"]
    assert [file.name for file in path.parent.iterdir()] == ["data.gz"]


def test_what_is_there_needs_no_network(get, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "data.gz").write_bytes(CONTENT)
    assert get("http://127.0.0.1:1").read_bytes() == CONTENT


def test_what_is_there_and_damaged_is_fetched_again(server, get, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "data.gz").write_bytes(CONTENT[:-1])
    assert get(f"{server.url}/good/").read_bytes() == CONTENT


def test_mirrors_are_tried_in_turn(server, get, capfd):
    path = get("http://127.0.0.1:1", f"{server.url}/absent", f"{server.url}/wrong", f"{server.url}/good")
    assert path.read_bytes() == CONTENT
    assert server.requests == ["/absent/data.gz", "/wrong/data.gz", "/good/data.gz"]
    assert capfd.readouterr().out == ""


def test_a_folder_of_this_machine(get, tmp_path):
    shelf = tmp_path / "a shelf"
    shelf.mkdir()
    (shelf / "data.gz").write_bytes(CONTENT)
    assert get(shelf.as_uri()).read_bytes() == CONTENT
    assert (shelf / "data.gz").exists()


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("SERVER/absent", "404 Client Error: Not Found for url"),
        ("SERVER/broken", "IncompleteRead"),
        ("SERVER/wrong", "wrong checksum: SHA256 hash of downloaded file"),
        ("file:///no/such/folder", "[Errno 2] No such file or directory: '/no/such/folder/data.gz'"),
    ],
)
def test_failures_name_the_url_the_reason_and_the_mend(server, get, tmp_path, where, reason):
    where = where.replace("SERVER", server.url)
    with pytest.raises(DownloadError) as caught:
        get(where)
    message = str(caught.value)
    assert message.startswith(f"data.gz: could not be fetched from {where}/data.gz (")
    assert reason in message
    assert "HTTPConnectionPool" not in message
    assert message.endswith(f"; set MLP_SCRATCH_DATA, or put the file into {tmp_path / 'cache'} by hand")
    assert "\n" not in message
    assert nothing_left(tmp_path / "cache")


def test_all_failures_are_told(server, get):
    with pytest.raises(DownloadError, match=r"http://127.0.0.1:1/data.gz \(.*\) nor from .*/absent/data.gz \(404"):
        get("http://127.0.0.1:1", f"{server.url}/absent")


def test_a_failed_renewal_leaves_the_old_file(server, get, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "data.gz").write_bytes(b"old")
    with pytest.raises(DownloadError):
        get(f"{server.url}/broken")
    assert (tmp_path / "cache" / "data.gz").read_bytes() == b"old"


def test_the_reason_is_not_an_error_that_the_caller_was_handling(get):
    try:
        raise KeyError("something else")
    except KeyError:
        with pytest.raises(DownloadError, match="Connection refused"):
            get("http://127.0.0.1:1")


@pytest.mark.parametrize("below", [".", "mnist"])
def test_a_folder_that_cannot_be_written(get, tmp_path, below):
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / "file" / below
    with pytest.raises(DownloadError) as caught:
        get("http://127.0.0.1:1", folder=folder)
    message = str(caught.value)
    assert message.startswith(f"{folder}: got '")
    assert message.endswith(
        "expected a folder that can be written, to keep downloads in; set MLP_SCRATCH_CACHE to another folder"
    )


@pytest.mark.parametrize("mirror", ["/data/mnist", "ftp://127.0.0.1", "mnist.example", ""])
def test_what_is_no_url(get, mirror):
    with pytest.raises(ArgumentError, match=r"mirror: got '.*', expected a URL; start it with https://, http:// or fi"):
        get(mirror)


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("MLP_SCRATCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    for empty in ("", None):
        if empty is None:
            monkeypatch.delenv("MLP_SCRATCH_CACHE")
        else:
            monkeypatch.setenv("MLP_SCRATCH_CACHE", empty)
        assert cache_folder().name == "mlp-scratch"


def test_the_progress_bar_counts_bytes():
    from rich.progress import Progress

    with Progress(disable=True) as progress:
        bar = _Bar(progress, "data.gz")
        bar.total = 100
        bar.update(60)
        (task,) = progress.tasks
        assert (task.total, task.completed) == (100, 60)
        bar.reset()
        bar.update(100)
        assert task.finished
        bar.close()


def test_the_progress_bar_without_a_total():
    from rich.progress import Progress

    with Progress(disable=True) as progress:
        bar = _Bar(progress, "data.gz")
        bar.total = 0  # what pooch makes of a server that does not say
        bar.update(60)
        (task,) = progress.tasks
        assert (task.total, task.completed) == (None, 60)
        bar.reset()
        bar.update(bar.total or 0)
        bar.close()
