from pathlib import Path

from data_prep.running.journal import Journal, file_state
from data_prep.running.shards import Shard


def test_a_line_torn_by_a_kill_is_done_again_and_spoils_no_other(tmp_path: Path) -> None:
    seen = file_state(tmp_path)
    with Journal(tmp_path, step="verify", shard=Shard()) as journal:
        journal.add("a.mp4", seen, {"n": 1})
        journal.add("b.mp4", seen, {"n": 2})
    [file] = (tmp_path / ".journal").iterdir()
    whole = file.read_bytes()
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        with Journal(tmp_path, step="verify", shard=Shard()) as journal:
            rows = [journal.row_of(name, seen) for name in ("a.mp4", "b.mp4")]
            num_whole = whole[: cut + 1].count(b"\n")
            assert rows[:num_whole] == [{"n": 1}, {"n": 2}][:num_whole]
            journal.add("c.mp4", seen, {"n": 3})
        with Journal(tmp_path, step="verify", shard=Shard()) as journal:
            assert journal.row_of("c.mp4", seen) == {"n": 3}


def test_a_file_that_changed_or_other_settings_are_another_item(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"1")
    seen = file_state(tmp_path / "a.mp4", "crf 23")
    with Journal(tmp_path, step="transcode", shard=Shard()) as journal:
        journal.add("a.mp4", seen, {})
        assert journal.row_of("a.mp4", file_state(tmp_path / "a.mp4", "crf 23")) == {}
        assert journal.row_of("a.mp4", file_state(tmp_path / "a.mp4", "crf 18")) is None
        (tmp_path / "a.mp4").write_bytes(b"12")
        assert journal.row_of("a.mp4", file_state(tmp_path / "a.mp4", "crf 23")) is None


def test_each_shard_reads_what_all_wrote_and_other_steps_are_apart(tmp_path: Path) -> None:
    seen = file_state(tmp_path)
    with (
        Journal(tmp_path, step="verify", shard=Shard(0, 2)) as one,
        Journal(tmp_path, step="verify", shard=Shard(1, 2)) as two,
    ):
        one.add("a.mp4", seen, {"n": 1})
        two.add("b.mp4", seen, {"n": 2})
    with Journal(tmp_path, step="verify", shard=Shard()) as journal:
        assert journal.row_of("a.mp4", seen) == {"n": 1}
        assert journal.row_of("b.mp4", seen) == {"n": 2}
    with Journal(tmp_path, step="transcode", shard=Shard()) as journal:
        assert journal.row_of("a.mp4", seen) is None


def test_shards_are_a_partition() -> None:
    items = list(range(23))
    for count in (1, 2, 5, 40):
        shares = [Shard(index, count).share(items) for index in range(count)]
        assert sorted(item for share in shares for item in share) == items
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
