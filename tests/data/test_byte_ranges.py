"""Parts of a file's bytes."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcvideo.data.decoding import byte_ranges
from gcvideo.data.decoding.byte_ranges import ByteRange, ByteRanges, LocalFile, together

CONTENT = bytes(range(251)) * 4
RANGES = st.lists(
    st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 60)).map(
        lambda drawn: ByteRange(drawn[0], min(sum(drawn), len(CONTENT)))
    ),
    max_size=12,
)


@given(RANGES, st.sampled_from([0, 7, 100]))
@settings(deadline=None)
def test_each_range_of_a_file_is_read_whatever_lies_between(tmp_path_factory, ranges, most_between):
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(CONTENT)
    file = LocalFile(path)
    assert isinstance(file, ByteRanges)
    assert file.num_bytes == len(CONTENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_ranges, "PAGES", most_between)
        assert [bytes(part) for part in file.read(ranges)] == [CONTENT[start:end] for start, end in ranges]
    file.close()


@given(RANGES, st.integers(0, 50))
def test_ranges_read_together_are_far_from_one_another_and_hold_what_was_asked(ranges, most_between):
    found = list(together(ranges, most_between=most_between))
    assert sorted(part for _, inside in found for part in inside) == sorted(ranges)
    for whole, inside in found:
        assert (whole.start, whole.end) == (min(p.start for p in inside), max(p.end for p in inside))
    for (before, _), (after, _) in pairwise(found):
        assert after.start - before.end > most_between


def test_a_range_behind_the_end_is_an_error_and_a_pipe_is_not_waited_for(tmp_path: Path):
    (tmp_path / "short").write_bytes(b"0123")
    file = LocalFile(tmp_path / "short")
    with pytest.raises(OSError, match="ends after 4 of 6 bytes"):
        file.read([ByteRange(2, 6)])
    file.close()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is no regular file"):
        LocalFile(tmp_path / "pipe")
