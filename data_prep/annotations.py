"""Official annotation files and a folder of videos become train.csv, val.csv, test.csv, classes.txt."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.lists.annotation_formats import (
    OfficialFileError,
    Splits,
    folder_splits,
    hmdb51_splits,
    kinetics_clips,
    ssv2_clips,
    ucf101_splits,
)
from data_prep.lists.clip_files import MatchedClips, class_counts, clips_of_several_classes, match_clips
from data_prep.lists.listable_names import unlistable
from data_prep.lists.video_lists import CLASSES, ListedVideo, listed_videos, write_list
from data_prep.running.console import counted, run_step, say, show_table
from data_prep.running.shards import add_run_options, shard_of
from gcvideo.atomic import write_table, write_text
from gcvideo.paths import user_path

SEVERAL_CLASSES = "several_classes.csv"
REPORT_COLUMNS = ("class", "split", "listed", "found", "missing", "extra")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the lists, and return 0."""
    arguments = _parser().parse_args(argv)
    if shard_of(arguments).number > 0:
        say("nothing to do: the lists are seconds of work, which shard 0 does")
        return 0
    names = listed_videos(arguments.videos, num_workers=arguments.workers)
    paths = [name for name in names if unlistable(name) is None]
    if len(paths) < len(names):
        say(f"{len(names) - len(paths)} files have names that no list can hold")
    splits = arguments.read(arguments, paths)
    result = match_clips(splits, paths)
    if not any(result.rows.values()):
        raise OfficialFileError(
            f"none of the {sum(map(len, splits)):,} clips listed has a file among the {len(paths):,} "
            f"videos under {arguments.videos}; a file is called like {_example(splits)}"
        )
    if not arguments.dry_run:
        write_annotations(splits, result, output=arguments.output)
    _summarise(splits, result, arguments.output, dry_run=arguments.dry_run)
    return 0


def write_annotations(splits: Splits, result: MatchedClips, *, output: Path) -> None:
    """Write the lists, the class names, and the report of what is there and what is not."""
    classes = class_names(splits)
    labels = {name: str(label) for label, name in enumerate(classes)}
    write_text(output / CLASSES, "".join(f"{name}\n" for name in classes))
    for split in splits._fields:
        rows = result.rows[split]
        write_list(output / f"{split}.csv", [ListedVideo(path, labels.get(name, "")) for path, name in rows])
    missing = [
        (split, clip.stems[0], clip.class_name) for split in splits._fields for clip in result.missing[split]
    ]
    write_table(output / "missing.csv", ("split", "clip", "class"), missing)
    write_table(output / "extra.csv", ("path",), [(path,) for path in result.extra])
    write_table(output / SEVERAL_CLASSES, ("clip", "split", "class"), clips_of_several_classes(splits))
    write_table(output / "annotation_report.csv", REPORT_COLUMNS, class_counts(splits, result))


def class_names(splits: Splits) -> list[str]:
    """Return the classes in label order: sorted, character by character, over all splits.

    Raises:
        OfficialFileError: The name of one cannot stand on a line.
    """
    names = sorted({clip.class_name for clips in splits for clip in clips} - {""})
    for name in names:
        if (trouble := unlistable(name.strip())) is not None or not name.strip():
            raise OfficialFileError(
                f"class {name!r} has a {trouble or 'name of spaces'}, which would shift the labels in "
                f"{CLASSES}; rename it"
            )
    return names


def _summarise(splits: Splits, result: MatchedClips, output: Path, *, dry_run: bool) -> None:
    rows = []
    for split, clips in splits._asdict().items():
        found, missing = len(result.rows[split]), len(result.missing[split])
        share = f"{100 * missing / max(1, found + missing):.2f} %"
        unlabelled = sum(clip.class_name == "" for clip in clips)
        rows.append((split, found + missing, found, missing, share, result.repeated[split], unlabelled))
    columns = ("split", "listed", "found", "missing", "share missing", "repeated", "unlabelled")
    show_table("clips", columns, rows)
    in_both = {path for path, _ in result.rows["train"]} & {path for path, _ in result.rows["val"]}
    if in_both:
        say(f"warning: {len(in_both):,} videos are in train and in val", style="yellow")
    if rows := clips_of_several_classes(splits):
        clip, number = rows[0][0], len({clip for clip, _, _ in rows})
        names = " and ".join(repr(name) for name in dict.fromkeys(row[2] for row in rows if row[0] == clip))
        say(
            f"warning: {counted(number, 'clip')} stand under several classes, as {clip} under {names}; "
            f"all are in {SEVERAL_CLASSES}",
            style="yellow",
        )
    say(
        f"{len(class_names(splits)):,} classes; label = position in the sorted list of class names; "
        f"{len(result.extra):,} files are in no list"
    )
    say("nothing was written" if dry_run else f"written to {output}")


def _example(splits: Splits) -> str:
    clip = next(clip for clips in splits for clip in clips)
    return " or ".join(f"{stem}.mp4" for stem in clip.stems)


def _read_kinetics(arguments: argparse.Namespace, paths: Sequence[str]) -> Splits:
    files = (arguments.train, arguments.val, arguments.test)
    return _some(Splits(*(kinetics_clips(file) if file else [] for file in files)))


def _read_ssv2(arguments: argparse.Namespace, paths: Sequence[str]) -> Splits:
    files = (arguments.train, arguments.val, arguments.test)
    return _some(Splits(*(ssv2_clips(file) if file else [] for file in files)))


def _read_ucf101(arguments: argparse.Namespace, paths: Sequence[str]) -> Splits:
    return ucf101_splits(arguments.lists, split=arguments.split)


def _read_hmdb51(arguments: argparse.Namespace, paths: Sequence[str]) -> Splits:
    return hmdb51_splits(arguments.lists, split=arguments.split)


def _read_folder(arguments: argparse.Namespace, paths: Sequence[str]) -> Splits:
    return _some(
        folder_splits(
            paths,
            val_fraction=arguments.val_fraction,
            test_fraction=arguments.test_fraction,
            seed=arguments.seed,
        )
    )


def _some(splits: Splits) -> Splits:
    if not any(splits):
        raise OfficialFileError("no clip is listed; name at least --train, or a folder with videos")
    return splits


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--videos", type=user_path, required=True, help="folder of the videos, however deep they lie"
    )
    common.add_argument("--output", type=user_path, required=True, help="folder to write the lists to")
    add_run_options(common, num_workers=8, workers_do="folders listed at a time")

    three = argparse.ArgumentParser(add_help=False)
    for split in ("train", "val", "test"):
        three.add_argument(f"--{split}", type=user_path, help=f"the official {split} file")
    numbered = argparse.ArgumentParser(add_help=False)
    numbered.add_argument("--lists", type=user_path, required=True, help="folder of the split files")
    numbered.add_argument("--split", type=int, choices=(1, 2, 3), default=1, help="(default: 1)")

    parser = argparse.ArgumentParser(
        prog="annotations.py",
        description=__doc__,
        epilog="A label is the position in the sorted list of all class names. Clips without a file "
        "are in missing.csv, files without a clip in extra.csv, both per class in "
        "annotation_report.csv. A test set whose labels are withheld has an empty label column.",
    )
    kinds = parser.add_subparsers(required=True, metavar="DATASET")
    for name, parent, read, text in (
        ("kinetics", three, _read_kinetics, "Kinetics-400, -600, -700: CSV with or without header"),
        ("ucf101", numbered, _read_ucf101, "UCF101: trainlist0N.txt, testlist0N.txt"),
        ("hmdb51", numbered, _read_hmdb51, "HMDB51: <class>_test_splitN.txt"),
        ("ssv2", three, _read_ssv2, "Something-Something v2: JSON"),
    ):
        kind = kinds.add_parser(name, parents=[parent, common], help=text, description=text)
        kind.set_defaults(read=read)
    text = "class folders, under train/, val/, test/ or divided at random"
    folder = kinds.add_parser("folder", parents=[common], help=text, description=text)
    folder.add_argument("--val-fraction", type=float, default=0.2, help="(default: 0.2)")
    folder.add_argument("--test-fraction", type=float, default=0.0, help="(default: 0)")
    folder.add_argument("--seed", type=int, default=0, help="of the division (default: 0)")
    folder.set_defaults(read=_read_folder)
    return parser


if __name__ == "__main__":
    run_step(main)
