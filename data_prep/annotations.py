"""Official annotation files and a folder of videos become train.csv, val.csv, test.csv, classes.txt."""

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.lists.activitynet import activitynet_lists
from data_prep.lists.annotation_formats import (
    folder_splits,
    hmdb51_splits,
    kinetics_clips,
    kinetics_parts,
    ssv2_clips,
    ucf101_splits,
)
from data_prep.lists.ava import Window, ava_lists
from data_prep.lists.charades import charades_lists
from data_prep.lists.clip_files import MatchedClips, class_counts, clips_of_several_classes, match_clips
from data_prep.lists.listable_names import unlistable
from data_prep.lists.moments import moments_lists
from data_prep.lists.official import OfficialFileError, OfficialLists, Refused, Splits, in_short
from data_prep.lists.video_lists import CLASSES, IN_SECONDS, ListedVideo, listed_videos, write_list
from data_prep.running.console import counted, program, run_step, say, show_table
from data_prep.running.shards import add_run_options, shard_of
from gcvideo.atomic import write_table, write_text
from gcvideo.paths import user_path

SEVERAL_CLASSES = "several_classes.csv"
REFUSED = "refused.csv"
REPORT_COLUMNS = ("class", "split", "listed", "found", "missing", "extra")
SPLIT_REPORT = "split_report.csv"
SPLIT_COLUMNS = (
    *("split", "listed", "found", "missing", "share missing"),
    *("repeated", "unlabelled", "refused"),
)


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
    official = arguments.read(arguments, paths)
    if not any(official.splits):
        raise OfficialFileError("no clip is listed; name at least --train, or a folder with videos")
    result = match_clips(official.splits, paths)
    if not any(result.rows.values()):
        raise OfficialFileError(
            f"none of the {sum(map(len, official.splits)):,} clips listed has a file among the "
            f"{len(paths):,} videos under {arguments.videos}; a file is called like "
            f"{_example(official.splits)}"
        )
    if not arguments.dry_run:
        write_annotations(official, result, output=arguments.output)
    _summarise(official, result, arguments.output, dry_run=arguments.dry_run)
    return 0


def write_annotations(official: OfficialLists, result: MatchedClips, *, output: Path) -> None:
    """Write the lists, the class names, and the report of what is there and what is not."""
    splits = official.splits
    classes = class_names(official)
    labels = {name: label for label, name in enumerate(classes)}

    @cache
    def cell(names: tuple[str, ...]) -> str:
        return ";".join(map(str, sorted(labels[name] for name in names)))

    write_text(output / CLASSES, "".join(f"{name}\n" for name in classes))
    for split in splits._fields:
        rows = [
            ListedVideo(path, cell(clip.class_names), tuple(map(in_short, clip.times or ())))
            for path, clip in result.rows[split]
        ]
        bounds = IN_SECONDS if any(clip.times for _, clip in result.rows[split]) else ()
        write_list(output / f"{split}.csv", rows, bounds=bounds)
    missing = [
        (split, clip.name, clip.class_name) for split in splits._fields for clip in result.missing[split]
    ]
    write_table(output / "missing.csv", ("split", "clip", "class"), missing)
    write_table(output / "extra.csv", ("path",), [(path,) for path in result.extra])
    write_table(output / SEVERAL_CLASSES, ("clip", "split", "class"), clips_of_several_classes(splits))
    write_table(output / "annotation_report.csv", REPORT_COLUMNS, class_counts(splits, result))
    write_table(output / SPLIT_REPORT, SPLIT_COLUMNS, split_counts(official, result))
    if official.refused or (output / REFUSED).exists():
        write_table(output / REFUSED, Refused._fields, official.refused)


def class_names(official: OfficialLists) -> list[str]:
    """Return the classes in label order: the data set's own, or else sorted, character by character.

    Raises:
        OfficialFileError: The name of one cannot stand on a line.
    """
    listed = {name for clips in official.splits for clip in clips for name in clip.class_names}
    names = sorted(listed) if official.class_names is None else list(official.class_names)
    for name in names:
        if (trouble := unlistable(name.strip())) is not None or not name.strip():
            raise OfficialFileError(
                f"class {name!r} has a {trouble or 'name of spaces'}, which would shift the labels in "
                f"{CLASSES}; rename it"
            )
    return names


def split_counts(official: OfficialLists, result: MatchedClips) -> list[tuple[object, ...]]:
    """Return a row of SPLIT_COLUMNS for each split."""
    rows = []
    for split, clips in official.splits._asdict().items():
        found, missing = len(result.rows[split]), len(result.missing[split])
        share = f"{100 * missing / max(1, found + missing):.2f} %"
        unlabelled = sum(not clip.class_names for clip in clips)
        refused = sum(one.split == split for one in official.refused)
        counts = (found + missing, found, missing, share, result.repeated[split], unlabelled, refused)
        rows.append((split, *counts))
    return rows


def _summarise(official: OfficialLists, result: MatchedClips, output: Path, *, dry_run: bool) -> None:
    splits = official.splits
    show_table("clips", SPLIT_COLUMNS, split_counts(official, result))
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
    if official.refused:
        first = official.refused[0]
        say(
            f"warning: {counted(len(official.refused), 'annotation')} left out, each in {REFUSED} with its "
            f"reason, as {first.where}: {first.clip} {first.reason}",
            style="yellow",
        )
    has_sets = any(len(clip.class_names) > 1 for clips in splits for clip in clips)
    order = "sorted list of class names" if official.class_names is None else "data set's list of classes"
    say(
        f"{len(class_names(official)):,} classes; label = position in the {order}; "
        f"{len(result.extra):,} files are in no list"
        + "; clips have several labels: train with data.multi_label true"
        * has_sets
    )
    say("nothing was written" if dry_run else f"written to {output}")


def _example(splits: Splits) -> str:
    clip = next(clip for clips in splits for clip in clips)
    return " or ".join(f"{stem}.mp4" for stem in clip.stems)


def _files(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return the official file of each split that one was named for."""
    named = {split: getattr(arguments, split) for split in Splits._fields}
    return {split: file for split, file in named.items() if file is not None}


def _read_kinetics(arguments: argparse.Namespace, paths: Sequence[str]) -> OfficialLists:
    splits, refused = Splits([], [], []), []
    for split, file in _files(arguments).items():
        if arguments.whole_videos:
            clips, empty = kinetics_parts(file, split=split)
            refused += empty
        else:
            clips = kinetics_clips(file)
        getattr(splits, split).extend(clips)
    return OfficialLists(splits, refused=tuple(refused))


def _read_ssv2(arguments: argparse.Namespace, paths: Sequence[str]) -> OfficialLists:
    lists = {split: ssv2_clips(file) for split, file in _files(arguments).items()}
    return OfficialLists(Splits(*(lists.get(split, []) for split in Splits._fields)))


def _read_ucf101(arguments: argparse.Namespace, paths: Sequence[str]) -> OfficialLists:
    return OfficialLists(ucf101_splits(arguments.lists, split=arguments.split))


def _read_hmdb51(arguments: argparse.Namespace, paths: Sequence[str]) -> OfficialLists:
    return OfficialLists(hmdb51_splits(arguments.lists, split=arguments.split))


def _read_activitynet(arguments: argparse.Namespace, paths: Sequence[str]) -> OfficialLists:
    return activitynet_lists(arguments.annotations, sample=arguments.sample)


def _read_charades(arguments: argparse.Namespace, paths: Sequence[str]) -> OfficialLists:
    return charades_lists(_files(arguments), classes=arguments.classes, sample=arguments.sample)


def _read_ava(arguments: argparse.Namespace, paths: Sequence[str]) -> OfficialLists:
    if not arguments.seconds > 0:
        raise ValueError(f"--seconds {arguments.seconds:g} is no length of a sample; expected more than 0")
    window = Window(arguments.seconds, arguments.starts_at)
    return ava_lists(_files(arguments), classes=arguments.classes, window=window, excluded=arguments.excluded)


def _read_moments(arguments: argparse.Namespace, paths: Sequence[str]) -> OfficialLists:
    return moments_lists(_files(arguments), classes=arguments.classes)


def _read_folder(arguments: argparse.Namespace, paths: Sequence[str]) -> OfficialLists:
    return OfficialLists(
        folder_splits(
            paths,
            val_fraction=arguments.val_fraction,
            test_fraction=arguments.test_fraction,
            seed=arguments.seed,
        )
    )


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
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--classes", type=user_path, required=True, help="the data set's file of classes")
    numbered = argparse.ArgumentParser(add_help=False)
    numbered.add_argument("--lists", type=user_path, required=True, help="folder of the split files")
    numbered.add_argument("--split", type=int, choices=(1, 2, 3), default=1, help="(default: 1)")

    parser = argparse.ArgumentParser(
        prog=program("annotations"),
        description=__doc__,
        epilog="A label is the position in the sorted list of all class names, or in the data set's own "
        "file of classes where that is asked for. Clips without a file are in missing.csv, files without a "
        "clip in extra.csv, both per class in annotation_report.csv; annotations of which no sample can be "
        "made, as one that ends before it begins, are in refused.csv. A test set whose labels are withheld "
        "has an empty label column.",
    )
    kinds = parser.add_subparsers(required=True, metavar="DATASET")
    added = {}
    for name, parents, read, text in (
        ("kinetics", [three], _read_kinetics, "Kinetics-400, -600, -700: CSV with or without header"),
        ("ucf101", [numbered], _read_ucf101, "UCF101: trainlist0N.txt, testlist0N.txt"),
        ("hmdb51", [numbered], _read_hmdb51, "HMDB51: <class>_test_splitN.txt"),
        ("ssv2", [three], _read_ssv2, "Something-Something v2: JSON"),
        ("activitynet", [], _read_activitynet, "ActivityNet, HACS Segments: JSON with a database"),
        ("charades", [three, named], _read_charades, "Charades: CSV with actions, Charades_v1_classes.txt"),
        ("ava", [three, named], _read_ava, "AVA: CSV of actions at moments, ava_action_list pbtxt"),
        ("moments", [three, named], _read_moments, "Multi-Moments in Time: CSV of labels, class file"),
    ):
        added[name] = kinds.add_parser(name, parents=[*parents, common], help=text, description=text)
        added[name].set_defaults(read=read)
    added["kinetics"].add_argument(
        "--whole-videos",
        action="store_true",
        help="the videos are whole, as on YouTube: clips are parts of ID.mp4, from time_start to time_end",
    )
    added["activitynet"].add_argument(
        "--annotations", type=user_path, required=True, help="as activity_net.v1-3.min.json"
    )
    for name, default in (("activitynet", "segment"), ("charades", "video")):
        added[name].add_argument(
            "--sample",
            choices=("segment", "video"),
            default=default,
            help="what a row is: a segment, or a video with all its classes (default: %(default)s)",
        )
    added["ava"].add_argument(
        "--seconds",
        type=float,
        default=Window().seconds,
        help="length of a sample, the moment in its middle (default: %(default)g)",
    )
    added["ava"].add_argument(
        "--starts-at",
        type=float,
        default=Window().starts_at,
        metavar="SECONDS",
        help="moment at which the files begin: 900 if they were cut from minute 15 on (default: %(default)g)",
    )
    added["ava"].add_argument(
        "--excluded",
        type=user_path,
        nargs="+",
        default=[],
        help="files of moments to leave out, as ava_train_excluded_timestamps_v2.2.csv",
    )
    text = "class folders, under train/, val/, test/ or divided at random"
    folder = kinds.add_parser("folder", parents=[common], help=text, description=text)
    folder.add_argument("--val-fraction", type=float, default=0.2, help="(default: 0.2)")
    folder.add_argument("--test-fraction", type=float, default=0.0, help="(default: 0)")
    folder.add_argument("--seed", type=int, default=0, help="of the division (default: 0)")
    folder.set_defaults(read=_read_folder)
    return parser


if __name__ == "__main__":
    run_step(main)
