import gzip
import hashlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from data_prep import download
from data_prep.archives import transfer
from data_prep.archives.archive_lists import Remote
from data_prep.archives.transfer import Patience, download_file, retries
from gcvideo.atomic import read_table
from tests.data_prep.site import Page, Site, serving

BODY = random.Random(0).randbytes(300_000)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def run(site: Site, output: Path, *lines: str, options: tuple[str, ...] = ()) -> int:
    urls = output.parent / f"{output.name}.txt"
    urls.write_text("\n".join(lines))
    return download.main(
        [
            *("--urls", str(urls), "--output", str(output)),
            *("--pause-seconds", "0.01", "--timeout-seconds", "2", "--retries", "3", *options),
        ]
    )


def report(output: Path) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in read_table(output / "download_report.csv")}


def leftovers(output: Path) -> list[str]:
    return [path.name for path in output.rglob(".*.partial*")]


def test_a_file_arrives_whole_and_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar.gz", BODY)
    assert run(site, tmp_path / "out", url) == 0
    assert (tmp_path / "out/a.tar.gz").read_bytes() == BODY
    row = report(tmp_path / "out")["a.tar.gz"]
    assert row["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert (row["status"], row["bytes"]) == ("ok", "300000")
    first = (tmp_path / "out/download_report.csv").read_bytes()
    asked = len(site.requests)
    assert run(site, tmp_path / "out", url) == 0
    assert len(site.requests) == asked
    assert (tmp_path / "out/download_report.csv").read_bytes() == first


def test_a_dropped_connection_goes_on_from_the_byte_where_it_dropped(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, drops_after=[100_000, 50_000, 1])
    assert run(site, tmp_path / "out", url) == 0
    assert (tmp_path / "out/a.tar").read_bytes() == BODY
    ranges = [asked for _, _, asked in site.requests]
    assert ranges == ["", "bytes=100000-", "bytes=150000-", "bytes=150001-"]
    assert leftovers(tmp_path / "out") == []


def test_an_interrupted_run_is_gone_on_with_by_the_next(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, drops_after=[100_000, 0, 0, 0, 0])
    assert run(site, tmp_path / "out", url) == 1
    assert "ended at byte 100,000 of 300,000" in report(tmp_path / "out")["a.tar"]["reason"]
    assert not (tmp_path / "out/a.tar").exists()
    site.requests.clear()
    assert run(site, tmp_path / "out", url) == 0
    assert site.requests[0] == ("GET", "/a.tar", "bytes=100000-")
    assert (tmp_path / "out/a.tar").read_bytes() == BODY


def test_a_file_that_was_killed_before_it_got_its_name_is_not_fetched_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    lines = [f"{site.add(f'/{name}.tar', BODY)} {hashlib.md5(BODY).hexdigest()}" for name in "ab"]
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "settle", killed)
        for line in lines:
            with pytest.raises(KeyboardInterrupt):
                run(site, tmp_path / "out", line)
    assert not list((tmp_path / "out").glob("*.tar"))
    damaged = tmp_path / "out/.b.tar.partial"
    damaged.write_bytes(BODY[:-1] + b"?")
    site.requests.clear()
    assert run(site, tmp_path / "out", *lines) == 0
    assert all((tmp_path / f"out/{name}.tar").read_bytes() == BODY for name in "ab")
    asked = [(path, ranges) for _, path, ranges in site.requests]
    assert [ranges for path, ranges in asked if path == "/a.tar"] == ["bytes=300000-"]
    assert [ranges for path, ranges in asked if path == "/b.tar"] == ["bytes=300000-", ""]
    assert leftovers(tmp_path / "out") == []


def test_a_server_that_ignores_ranges_is_asked_for_the_whole_again(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, drops_after=[100_000, 200_000], ignores_ranges=True)
    assert run(site, tmp_path / "out", url) == 0
    assert (tmp_path / "out/a.tar").read_bytes() == BODY


def test_a_server_that_sends_another_range_than_asked_is_not_believed(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, drops_after=[100_000], wrong_range=True)
    assert run(site, tmp_path / "out", url) == 0
    assert (tmp_path / "out/a.tar").read_bytes() == BODY


def test_a_file_that_changed_between_two_attempts_is_not_pieced_together(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, drops_after=[100_000, 0, 0, 0, 0])
    assert run(site, tmp_path / "out", url) == 1
    other = BODY[::-1]
    site.add("/a.tar", other)
    assert run(site, tmp_path / "out", url) == 0
    assert (tmp_path / "out/a.tar").read_bytes() == other


MONDAY, TUESDAY = "Mon, 05 Oct 2026 07:28:00 GMT", "Tue, 06 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({}, {"etag": ""}),
        ({"etag": "", "last_modified": MONDAY}, {"etag": "", "last_modified": TUESDAY}),
        ({"etag": 'W/"1"'}, {"etag": 'W/"2"'}),
        ({"etag": '"1"'}, {"etag": '"1"', "body": BODY[::-1] + b"!"}),
        ({"etag": ""}, {"etag": ""}),
    ],
    ids=["etag", "no etag", "last-modified", "weak etag", "length", "nothing to tell them by"],
)
def test_halves_of_two_versions_never_become_one_file(
    site: Site, tmp_path: Path, before: dict[str, str], after: dict[str, Any]
) -> None:
    url = site.add("/a.tar", BODY, drops_after=[100_000, 0, 0, 0], **before)
    assert run(site, tmp_path / "out", url) == 1
    site.add("/a.tar", **{"body": BODY[::-1], "ignores_if_range": True, **after})
    assert run(site, tmp_path / "out", url) == 0
    assert (tmp_path / "out/a.tar").read_bytes() == site.pages["/a.tar"].body


def test_what_no_server_tells_apart_is_gone_on_with_if_its_checksum_is_known(
    site: Site, tmp_path: Path
) -> None:
    line = f"{site.add('/a.tar', BODY, drops_after=[100_000], etag='')} {hashlib.md5(BODY).hexdigest()}"
    assert run(site, tmp_path / "out", line) == 0
    assert [asked for _, _, asked in site.requests] == ["", "bytes=100000-"]
    assert (tmp_path / "out/a.tar").read_bytes() == BODY


def test_an_encoded_answer_is_refused_unless_the_file_itself_is_what_the_server_calls_encoded(
    site: Site, tmp_path: Path
) -> None:
    body = gzip.compress(BODY)
    urls = [site.add(name, body, encoding="gzip") for name in ("/a.csv", "/a.tar.gz", "/a.TGZ")]
    urls.append(site.add("/b.tar.gz", body, encoding="br"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.csv").write_bytes(body)  # as an earlier version left it
    assert run(site, tmp_path / "out", *urls) == 1
    rows = report(tmp_path / "out")
    assert {name: row["status"] for name, row in rows.items()} == {
        **{"a.csv": "failed", "b.tar.gz": "failed"},
        **{"a.tar.gz": "ok", "a.TGZ": "ok"},
    }
    assert rows["a.csv"]["reason"].startswith("the server sends it encoded (gzip), though asked not to")
    assert gzip.decompress((tmp_path / "out/a.tar.gz").read_bytes()) == BODY
    assert site.num_gets("/a.csv") == 1


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("ftp://127.0.0.1/a.tar", "ftp"),
        ("file:///etc/passwd", "expected http:// or https://, redirects included"),
        ("/moved.tar", "too many redirects"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_refused(
    site: Site, tmp_path: Path, place: str, reason: str
) -> None:
    site.add("/moved.tar", BODY, moved_to="/moved.tar")
    assert run(site, tmp_path / "out", site.add("/a.tar", BODY, moved_to=place)) == 1
    assert reason in report(tmp_path / "out")["a.tar"]["reason"]
    assert not (tmp_path / "out/a.tar").exists()


def test_a_redirect_is_followed_and_what_it_leads_to_is_gone_on_with(site: Site, tmp_path: Path) -> None:
    with serving() as mirror:
        place = mirror.add("/b", BODY, drops_after=[100_000])
        assert run(site, tmp_path / "out", site.add("/a.tar", BODY, moved_to=place)) == 0
        assert mirror.requests == [("GET", "/b", ""), ("GET", "/b", "bytes=100000-")]
    assert (tmp_path / "out/a.tar").read_bytes() == BODY


def test_the_proxy_of_the_environment_is_asked(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, gone = "http://elsewhere.invalid/a.tar", "http://elsewhere.invalid/b.tar"
    site.pages[url] = Page(BODY)
    site.pages[gone] = Page(BODY, moved_to="ftp://elsewhere.invalid/b.tar")
    site.pages["ftp://elsewhere.invalid/b.tar"] = Page(BODY)
    for proxy in (site.url, site.url.replace("http://", "me:secret@")):
        monkeypatch.setenv("http_proxy", proxy)
        assert run(site, tmp_path / "out", url, gone) == 1
        rows = report(tmp_path / "out")
        assert rows["a.tar"]["status"] == "ok"
        assert rows["b.tar"]["reason"].startswith("the server redirects to ftp://elsewhere.invalid/b.tar;")
        assert (tmp_path / "out/a.tar").read_bytes() == BODY
        (tmp_path / "out/a.tar").unlink()


def test_a_length_that_is_too_long_is_never_taken_for_the_whole(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, says_length=400_000)
    assert run(site, tmp_path / "out", url) == 1
    assert not (tmp_path / "out/a.tar").exists()
    assert report(tmp_path / "out")["a.tar"]["status"] == "failed"


def test_a_length_that_is_too_short_is_found_by_the_checksum(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, says_length=200_000)
    assert run(site, tmp_path / "out", f"{url} {hashlib.md5(BODY).hexdigest()}") == 1
    assert "checksum of 200,000 bytes" in report(tmp_path / "out")["a.tar"]["reason"]
    assert not (tmp_path / "out/a.tar").exists()


def test_a_body_without_length_is_taken_as_it_comes(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, says_no_length=True)
    assert run(site, tmp_path / "out", f"{url} {hashlib.sha256(BODY).hexdigest()}") == 0
    assert (tmp_path / "out/a.tar").read_bytes() == BODY


def test_damage_on_the_way_is_fetched_anew_until_the_checksum_is_right(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, corrupt_answers=2)
    assert run(site, tmp_path / "out", f"{url} {hashlib.sha256(BODY).hexdigest()}") == 0
    assert (tmp_path / "out/a.tar").read_bytes() == BODY
    assert site.num_gets("/a.tar") == 3


def test_the_md5_that_amazon_s3_gives_as_etag_is_checked(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, is_s3=True, corrupt_answers=1)
    other = site.add("/b.tar", BODY, corrupt_answers=1)
    assert run(site, tmp_path / "out", url, other) == 0
    assert (tmp_path / "out/a.tar").read_bytes() == BODY
    assert (tmp_path / "out/b.tar").read_bytes() != BODY  # of another server, it means nothing


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path, status: int) -> None:
    url = site.add("/a.tar", BODY, statuses=[status, status], retry_after="0")
    assert run(site, tmp_path / "out", url) == 0
    assert (tmp_path / "out/a.tar").read_bytes() == BODY


@pytest.mark.parametrize(
    ("num_busy", "retry_after", "pauses"),
    [
        (1, "7", [7.0]),
        (1, "Wed, 21 Oct 2015 07:28:00 GMT", [0.0]),
        (1, "86400", [120.0]),
        (4, None, [0.0, 1.0, 2.0, 4.0]),
    ],
)
def test_pauses_double_unless_the_server_asks_for_another(
    site: Site, tmp_path: Path, num_busy: int, retry_after: str | None, pauses: list[float]
) -> None:
    class Recorder(threading.Event):
        waits: ClassVar[list[float | None]] = []

        def wait(self, timeout: float | None = None) -> bool:
            self.waits.append(timeout)
            return False

    Recorder.waits.clear()
    url = site.add("/a.tar", BODY, statuses=[503] * num_busy, retry_after=retry_after)
    download_file(
        Remote(url, "a.tar"),
        tmp_path / "a.tar",
        patience=Patience(retries(9, pause_seconds=0.5)),
        stop=Recorder(),
        advance=lambda *_: None,
    )
    assert Recorder.waits == pauses


def test_each_wait_is_said_with_its_reason(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = site.add("/a.tar", BODY, statuses=[429, 503], drops_after=[0, 0, 100_000])
    with caplog.at_level("INFO"):
        assert run(site, tmp_path / "out", url) == 0
    assert caplog.messages == [
        "a.tar: HTTP 429; next attempt in 0 s",
        "a.tar: HTTP 503; next attempt in 0.02 s",
        "a.tar: the connection ended at byte 100,000 of 300,000; next attempt in 0 s",
    ]


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--retries=-1", "expected at least 0"),
        ("--pause-seconds=nan", "expected 0 or more"),
        ("--timeout-seconds=0", "expected more than 0"),
        ("--timeout-seconds=inf", "at most 86,400"),
    ],
)
def test_a_setting_out_of_range_is_refused(site: Site, tmp_path: Path, option: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        run(site, tmp_path / "out", site.add("/a.tar", BODY), options=(option,))


@pytest.mark.parametrize("status", [403, 404])
def test_a_refused_file_is_not_asked_for_again_and_stops_no_other(
    site: Site, tmp_path: Path, status: int
) -> None:
    bad, good = site.add("/a.tar", BODY, statuses=[status]), site.add("/b.tar", BODY)
    assert run(site, tmp_path / "out", bad, good) == 1
    rows = report(tmp_path / "out")
    assert rows["a.tar"]["reason"].startswith(f"HTTP {status}")
    assert rows["b.tar"]["status"] == "ok"
    assert site.num_gets("/a.tar") == 1


def test_a_server_that_stays_busy_is_given_up(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY, statuses=[503] * 99)
    assert run(site, tmp_path / "out", url) == 1
    assert "HTTP 503; gave up after 4 attempts" in report(tmp_path / "out")["a.tar"]["reason"]


def test_a_file_that_came_otherwise_is_kept_if_it_has_the_right_size_and_checksum(
    site: Site, tmp_path: Path
) -> None:
    lines = [f"{site.add(f'/{name}.tar', BODY)} {hashlib.sha256(BODY).hexdigest()}" for name in "abc"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.tar").write_bytes(BODY)
    (tmp_path / "out/b.tar").write_bytes(BODY[:-1])
    (tmp_path / "out/c.tar").write_bytes(BODY[:-1] + b"?")
    assert run(site, tmp_path / "out", *lines) == 0
    assert [site.num_gets(f"/{name}.tar") for name in "abc"] == [0, 1, 1]
    assert all((tmp_path / f"out/{name}.tar").read_bytes() == BODY for name in "abc")


def test_a_file_that_was_changed_on_the_disk_is_fetched_again(site: Site, tmp_path: Path) -> None:
    url = site.add("/a.tar", BODY)
    assert run(site, tmp_path / "out", url) == 0
    (tmp_path / "out/a.tar").write_bytes(BODY[:1000])
    assert run(site, tmp_path / "out", url) == 0
    assert (tmp_path / "out/a.tar").read_bytes() == BODY


def test_names_with_spaces_and_parentheses_are_asked_for_escaped(site: Site, tmp_path: Path) -> None:
    site.add("/600/petting%20animal%20%28not%20cat%29.tar.gz", BODY)
    assert run(site, tmp_path / "out", f"{site.url}/600/petting animal (not cat).tar.gz") == 0
    assert (tmp_path / "out/petting animal (not cat).tar.gz").read_bytes() == BODY


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("file:///etc/passwd", "expected http:// or https://"),
        ("https://host/a/%2e%2e", "does not end in a file name"),
        ("https://host/", "does not end in a file name"),
        ("just words", "expected http:// or https://"),
        ("http://[::1/a.tar", "is not a URL .Invalid IPv6 URL"),
        ("http://host/a%0ab.tar", "does not end in a file name"),
        (f"http://host/{'n' * 241}", "does not end in a file name"),
    ],
)
def test_a_line_that_is_no_file_on_the_web_is_refused_by_number(
    site: Site, tmp_path: Path, line: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=rf"out\.txt:2: .*{problem}"):
        run(site, tmp_path / "out", "# archives", line)


def test_two_files_of_one_name_are_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"would both be written to part_0\.tar"):
        run(site, tmp_path / "out", "http://h/train/part_0.tar", "http://h/val/part_0.tar")


def test_a_dry_run_says_what_is_missing_and_writes_nothing(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(site, tmp_path / "out", site.add("/a.tar", BODY), options=("--dry-run",)) == 0
    assert "a.tar" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_shards_share_the_files_and_a_last_run_reports_them_all(site: Site, tmp_path: Path) -> None:
    urls = [site.add(f"/{n}.tar", BODY[: 100 + n]) for n in range(5)]
    for shard in ("0", "1"):
        options = ("--shard", shard, "--num-shards", "2")
        assert run(site, tmp_path / "out", *urls, options=options) == 0
    assert [site.num_gets(f"/{n}.tar") for n in range(5)] == [1] * 5
    assert run(site, tmp_path / "out", *urls) == 0
    assert [site.num_gets(f"/{n}.tar") for n in range(5)] == [1] * 5
    assert list(report(tmp_path / "out")) == [f"{n}.tar" for n in range(5)]


def test_a_data_set_is_its_lists_annotations_and_replacements(site: Site, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        archive = site.add(f"/400/{split}/part_0.tar.gz", split.encode())
        site.add(f"/400/{split}/k400_{split}_path.txt", f"{archive}\n".encode())
        site.add(f"/400/annotations/{split}.csv", b"label\n")
    site.add("/400/replacement_for_corrupted_k400.tgz", b"r")
    output = tmp_path / "k400"
    assert download.main(["k400", "--output", str(output), "--site", site.url]) == 0
    assert (output / "archives/val/part_0.tar.gz").read_bytes() == b"val"
    assert sorted(str(p.relative_to(output)) for p in output.rglob("*.*") if p.is_file()) == [
        ".journal/download.0-of-1.jsonl",
        *(f"annotations/{split}.csv" for split in ("test", "train", "val")),
        *(f"archives/{split}/part_0.tar.gz" for split in ("test", "train", "val")),
        "download_report.csv",
        "replacements/replacement_for_corrupted_k400.tgz",
    ]


def test_a_second_run_of_the_same_shard_is_refused(site: Site, tmp_path: Path) -> None:
    from data_prep.running.journal import Journal
    from data_prep.running.shards import Shard

    url = site.add("/a.tar", BODY)
    with (
        Journal(tmp_path / "out", step="download", shard=Shard()),
        pytest.raises(ValueError, match="another run of this step and shard is at work"),
    ):
        run(site, tmp_path / "out", url)
