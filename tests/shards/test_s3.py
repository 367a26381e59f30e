"""A real S3 server on this machine, behind one that drops, resets and answers 503.

It needs s3fs (pip install 'gcvideo[s3]') and moto[server], which are no part of the environment of the tests:
botocore takes no python-dateutil 4.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from data_prep import pack, verify
from gcvideo.shards import BrokenShardError, Shards, UnreachableError, Whereabouts
from gcvideo.shards.patience import Patience
from tests.data.annotated import write_dataset
from tests.shards.packed import write_shards
from tests.shards.server import Server, serving
from tests.shards.test_members import SIZES, all_of
from tests.training.trials import NUM_VIDEOS, Kill, Outcome, try_kill, whole_run

s3fs = pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

pytestmark = pytest.mark.slow
QUICK = Patience(timeout_seconds=5.0, give_up_seconds=40.0)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def bucket(tmp_path: Path, credentials: None) -> Iterator[tuple[Server, dict[str, bytes]]]:
    """A set of shards at s3://bucket/set, and what stands between."""
    contents = write_shards(tmp_path / "shards", SIZES)
    upstream = moto_server.ThreadedMotoServer(port=0, ip_address="127.0.0.1", verbose=False)
    upstream.start()
    host, port = upstream.get_host_and_port()
    try:
        with serving(upstream=f"http://{host}:{port}") as server:
            files = s3fs.S3FileSystem(endpoint_url=server.url, skip_instance_cache=True)
            files.mkdir("bucket")
            for file in [*(tmp_path / "shards").glob("*.tar"), tmp_path / "shards/shards.arrow"]:
                files.pipe_file(f"bucket/set/{file.name}", file.read_bytes())
            server.asked.clear()
            yield server, contents
    finally:
        urllib3.request("POST", f"http://{host}:{port}/moto-api/reset")
        upstream.stop()


def opened(server: Server, patience: Patience = QUICK, **more: object) -> Shards:
    where = Whereabouts(
        "s3://bucket/set",
        patience=patience,
        options={"endpoint_url": server.url},
        **more,  # type: ignore[arg-type]
    )
    return Shards(where, where.index())


def test_members_are_those_of_the_files_while_the_server_fails(bucket):
    server, contents = bucket
    assert all_of(opened(server)) == contents
    server.faults = ["503", "", "drop", "reset", "", "503", "503", "drop", "reset", "", "500"]
    shards = opened(server)
    assert all_of(shards) == contents
    assert server.faults == []
    assert shards.broken == {}


def test_a_store_that_stays_away_is_given_up_and_what_is_not_there_is_named_at_once(bucket):
    server, _ = bucket
    shards = opened(server, Patience(timeout_seconds=2.0, give_up_seconds=1.0))
    server.faults = ["503"] * 10_000
    with pytest.raises(UnreachableError, match=r"shard-00000.tar, member 001.mp4: .* given up"):
        shards.open("001.mp4").read_whole()
    server.faults = []
    files = s3fs.S3FileSystem(endpoint_url=server.url, skip_instance_cache=True)
    files.rm("bucket/set/shard-00000.tar")
    with pytest.raises(BrokenShardError, match=r"s3://bucket/set/shard-00000.tar, member 001.mp4: FileN"):
        shards.open("001.mp4").read_whole()
    assert [*shards.broken] == [0]


READER = """
import sys
from pathlib import Path
from tests.shards.test_s3 import opened
from tests.shards.server import Server
shards = opened(Server(url=sys.argv[1]), cache=Path(sys.argv[2]), cache_bytes=10**8)
while True:
    for path in shards.index.paths:
        shards.open(path).read_whole()
        print(path, flush=True)
    if len(sys.argv) > 3:
        break
"""


def test_readers_killed_at_any_moment_leave_a_cache_that_is_right(bucket, tmp_path):
    server, contents = bucket
    server.latency_seconds = 0.05
    cache = tmp_path / "cache"
    for attempt in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", READER, server.url, str(cache)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(0.05 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert all_of(opened(server, cache=cache, cache_bytes=10**8)) == contents


def test_processes_that_fork_from_one_that_has_read_read_on(bucket):
    server, contents = bucket
    shards = opened(server)
    assert bytes(shards.open("001.mp4").read_whole()) == contents["001.mp4"]
    child = os.fork()
    if child == 0:
        try:
            right = all_of(shards) == contents
        finally:
            os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert all_of(shards) == contents


def test_a_run_on_a_store_that_fails_is_killed_and_goes_on_as_one_on_files(bucket, tmp_path):
    server, _ = bucket
    files = write_dataset(tmp_path / "videos", **NUM_VIDEOS)
    small, shards = tmp_path / "small", tmp_path / "packed"
    lists = [str(files / f"{split}.csv") for split in ("train", "val", "test")]
    assert verify.main(["--root", str(files), "--output", str(small), "--lists", *lists]) == 0
    lists = [str(small / f"{split}.csv") for split in ("train", "val", "test")]
    assert pack.main(["--root", str(files), "--output", str(shards), "--lists", *lists]) == 0
    store = s3fs.S3FileSystem(endpoint_url=server.url, skip_instance_cache=True)
    for file in [*shards.glob("*.tar"), shards / "shards.arrow"]:
        store.pipe_file(f"bucket/videos/{file.name}", file.read_bytes())
    whole = whole_run(tmp_path / "whole", small, processes=1, data={"videos": str(files)})
    server.faults = ["", "503", "reset", "", "drop"] * 4
    options = {"endpoint_url": server.url, "key": "anyone", "secret": "anything"}
    where = {"address": "s3://bucket/videos", "options": options}
    kill = Kill(4, workers=1, every=2)
    killed = try_kill(kill, tmp_path / "killed", shards, whole, data={"shards": where})
    assert killed == Outcome(survived=True, unlike=[])
    assert server.faults == []
