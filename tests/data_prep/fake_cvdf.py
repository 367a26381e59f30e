"""A small Kinetics-400 as CVDF serves it, with everything that is wrong with the real one."""

import io
import tarfile
from pathlib import Path

from tests.data.encoding import cut_by_stream_copy, h264, write_video
from tests.data_prep.site import Site

CLASSES = ("abseiling", "petting animal (not cat)")
NUM_TRAIN, NUM_VAL = 8, 2
ODD, BROKEN, REPLACED, CUT = 3, 4, 5, 6
"""Train clips unlike the others: of odd size, broken, broken and replaced, cut by stream copy."""


def clip_id(split: str, number: int) -> str:
    """Eleven characters, the first a dash."""
    return f"-{split[:1]}{number:09d}"


def file_name(split: str, number: int) -> str:
    return f"{clip_id(split, number)}_{number:06d}_{number + 10:06d}.mp4"


def put_up(site: Site, folder: Path) -> None:
    """Archives, lists, annotations and replacements.

    Train: part_0 is tar.gz, part_1 a plain tar of that name with paths seven folders deep. Of the
    eight clips two are broken, one of them replaced, and one is cut by stream copy; clip 7 is
    listed and in no archive. Val: one clip is listed and missing. Test: listed without labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = write_video(folder / "whole.mp4", num_frames=24, options=h264(keyint=250)).read_bytes()
    odd = write_video(
        folder / "odd.mp4", num_frames=24, width=161, height=121, pixel_format="yuv444p"
    ).read_bytes()
    cut = cut_by_stream_copy(folder / "whole.mp4", folder / "cut.mp4", first_frame=7).read_bytes()
    train = dict.fromkeys((file_name("train", number) for number in range(NUM_TRAIN - 1)), whole)
    train[file_name("train", ODD)] = odd
    train[file_name("train", BROKEN)] = whole[: len(whole) // 2]
    train[file_name("train", REPLACED)] = b"\0" * 5000
    train[file_name("train", CUT)] = cut
    names = list(train)
    archives = {
        "train/part_0": _tar({name: train[name] for name in names[:4]}, mode="w:gz"),
        "train/part_1": _tar({f"a/b/c/d/e/f/g/{n}": train[n] for n in names[4:]}, mode="w"),
        "val/part_0": _tar({file_name("val", 0): whole}, mode="w:gz"),
        "test/part_0": _tar({file_name("test", 0): whole}, mode="w:gz"),
    }
    for name, body in archives.items():
        site.add(f"/400/{name}.tar.gz", body)
    for split in ("train", "val", "test"):
        urls = [f"{site.url}/400/{name}.tar.gz\n" for name in archives if name.startswith(split)]
        site.add(f"/400/{split}/k400_{split}_path.txt", "".join(urls).encode())
    site.add(
        "/400/replacement_for_corrupted_k400.tgz",
        _tar({f"replacement_for_corrupted_k400/{file_name('train', REPLACED)}": whole}, mode="w:gz"),
    )
    header = "label,youtube_id,time_start,time_end,split"
    rows = [_row("train", number, f"{CLASSES[number % 2]},") for number in range(NUM_TRAIN)]
    site.add("/400/annotations/train.csv", "\n".join([header, *rows, ""]).encode())
    rows = [_row("val", number, f'"{CLASSES[number % 2]}",') for number in range(NUM_VAL)]
    site.add("/400/annotations/val.csv", "\n".join([*rows, ""]).encode())
    header = "youtube_id,time_start,time_end,split"
    site.add("/400/annotations/test.csv", "\n".join([header, _row("test", 0, ""), ""]).encode())


def commands(site_url: str, root: Path) -> list[tuple[str, list[str]]]:
    """(step, arguments) of the whole walk-through, in order."""
    lists, videos, small = root / "lists", root / "videos", root / "k400"
    official = root / "download/annotations"
    return [
        (
            "download",
            ["k400", "--site", site_url, "--output", f"{root}/download", "--pause-seconds", "0.01"],
        ),
        *(
            (
                "extract",
                [
                    *("--archives", f"{root}/download/archives/{split}", "--output", f"{videos}/{split}"),
                    *(("--replacements", f"{root}/download/replacements") if split == "train" else ()),
                ],
            )
            for split in ("train", "val", "test")
        ),
        (
            "annotations",
            [
                *("kinetics", "--videos", str(videos), "--output", str(lists)),
                *(f"--{split}={official}/{split}.csv" for split in ("train", "val", "test")),
            ],
        ),
        (
            "transcode",
            [
                *("--root", str(videos), "--output", str(small), "--short-side", "64"),
                *("--preset", "ultrafast", "--workers", "2", "--lists"),
                *(f"{lists}/{split}.csv" for split in ("train", "val", "test")),
            ],
        ),
        (
            "verify",
            [
                *("--root", str(small), "--output", str(small), "--workers", "2", "--lists"),
                *(f"{small}/lists/{split}.csv" for split in ("train", "val", "test")),
            ],
        ),
        (
            "stats",
            [
                *("--manifests", str(small), "--annotations", str(lists), "--root", str(small)),
                *("--output", str(small)),
            ],
        ),
    ]


def lists_of(root: Path) -> dict[str, bytes]:
    """Every list and report of the walk-through, as bytes, with the root's own path taken out."""
    return {
        str(path.relative_to(root)): path.read_bytes().replace(str(root).encode(), b"ROOT")
        for pattern in ("*.csv", "*.txt", "*.html")
        for path in sorted(root.rglob(pattern))
    }


def _row(split: str, number: int, label: str) -> str:
    return f"{label}{clip_id(split, number)},{number},{number + 10},{split}"


def _tar(files: dict[str, bytes], *, mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()
