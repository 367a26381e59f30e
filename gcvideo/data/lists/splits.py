"""The annotation files of a data set, and how the classes in them are numbered."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from gcvideo.agreement import digest_of_file, digest_of_values
from gcvideo.data.decoding.packet_file import PACKET_INDEX, PacketFile, mapped
from gcvideo.data.lists.annotations import largest_label, read_annotations
from gcvideo.data.lists.class_files import read_class_names
from gcvideo.data.lists.classes import Numbering, Trained, match, numbers
from gcvideo.data.lists.folds import Folds
from gcvideo.data.lists.forms import FormOfList, labelled_form
from gcvideo.data.lists.frame_folders import frame_folder_form
from gcvideo.data.lists.label_sets import frame_folder_label_set_form, label_set_form
from gcvideo.data.lists.missing_videos import Packed, said_of_missing, said_of_shared
from gcvideo.data.lists.records import VideoRecords

log = logging.getLogger(__name__)

FORMS: dict[tuple[bool, bool], FormOfList] = {
    (False, False): labelled_form,
    (True, False): frame_folder_form,
    (False, True): label_set_form,
    (True, True): frame_folder_label_set_form,
}
"""The forms of lists: of folders of pictures or of files, with several labels a video or with one."""


class SplitLists:
    """The lists of train, val and test; each is read once, when it is first asked for.

    Args:
        files: Annotation file of every split.
        videos: Folder that the paths in them are relative to.
        classes: File of the class names.
        needs_classes: Whether that file must be there; where it need not, classes are numbered.
        num_classes: Number of classes; by default the class names are counted, or else the training labels.
        folds: What part of the training list to hold out; the lists of val and test are not read then.
        of_folders: Whether videos are folders of pictures.
        multi_label: Whether a video may have several labels, or none.
        packed: What knows of the videos, where they are no files.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        *,
        videos: Path,
        classes: Path,
        needs_classes: bool,
        num_classes: int | None,
        folds: Folds | None = None,
        of_folders: bool = False,
        multi_label: bool = False,
        packed: Packed | None = None,
    ) -> None:
        self.files = files if folds is None else dict.fromkeys(files, files["train"])
        self.folds = folds
        if folds is not None:
            folds.require_possible()
        self.videos = videos
        self.classes = classes
        self.needs_classes = needs_classes
        self.num_classes = num_classes
        self.of_folders = of_folders
        self.multi_label = multi_label
        self.form_of_list = FORMS[of_folders, multi_label]
        self.packed = packed
        self._trained: Trained | None = None
        self._records: dict[str, VideoRecords] = {}
        self._packets: dict[Path, PacketFile | None] = {}

    def follow(self, trained: Trained) -> None:
        """Take the numbers that a trained network gives to classes, from now on."""
        self._trained = trained

    @property
    def class_names(self) -> list[str]:
        """The K class names in the order of the network's outputs.

        Raises:
            ValueError: The classes are not those of the network that is followed.
        """
        return self._numbering.names

    def records(self, split: str) -> VideoRecords:
        """Return the annotated videos of train, val or test."""
        if split not in self._records:
            records = self._read(self.files[split])
            self._records |= {split: records} if self.folds is None else self.folds.split(records)
        return self._records[split]

    def named(self, split: str) -> str:
        """Return which videos are meant: the file, and the fold of it."""
        return str(self.files[split]) if self.folds is None else f"{self.files[split]}, {self.folds}"

    def _read(self, file: Path) -> VideoRecords:
        names, output = self._numbering
        listed = names if output is None else self._own_class_names
        records = read_annotations(
            file,
            root=self.videos,
            num_classes=len(listed),
            class_names=listed,
            form_of_list=self.form_of_list,
            multi_label=self.multi_label,
        )
        if output is not None:
            records.relabel(output)
        if not self.of_folders:
            records.packets = self._packets_beside(file)
            if records.is_verified and not (file.parent / PACKET_INDEX).exists():
                log.info(
                    "%s has no %s beside it, which data_prep/verify.py writes: all videos are demuxed",
                    file,
                    PACKET_INDEX,
                )
        return records

    def _packets_beside(self, file: Path) -> PacketFile | None:
        """Return the packet index that data_prep/verify.py writes beside its lists."""
        path = file.parent / PACKET_INDEX
        if path not in self._packets:
            self._packets[path] = mapped(path)
        return self._packets[path]

    def look_for_videos(self, splits: Sequence[str], *, max_training_share: float) -> list[str]:
        """Return what to warn of: videos that are not there, or that are in two lists.

        Raises:
            ValueError: All videos of a list are absent, or a greater share of the training list than may be.
        """
        max_share = {"train": max_training_share}
        said = [
            said_of_missing(
                self.records(split),
                file=self.files[split],
                max_share=max_share.get(split, 1.0),
                of_folders=self.of_folders,
                packed=self.packed,
            )
            for split in splits
        ]
        if "train" in splits and "val" in splits:
            said.append(said_of_shared(self.records("val"), self.records("train"), file=self.files["val"]))
        return list(filter(None, said))

    def digests(self, splits: Iterable[str]) -> dict[str, str]:
        """Return the number of videos and a digest of each list, and a digest of the class names.

        Raises:
            AnnotationError: A list is missing or broken.
        """
        found = {
            f"{split} list": f"{len(self.records(split))} videos ({digest_of_file(self.files[split])})"
            for split in splits
        }
        names = {str(label): name for label, name in enumerate(self.class_names)}
        return {**found, "class names": digest_of_values(names)}

    @cached_property
    def _numbering(self) -> Numbering:
        if self._trained is None:
            return Numbering(self._own_class_names, None)
        known = self.classes.is_file() or self.num_classes is not None
        source = str(self.classes) if self.classes.is_file() else "num_classes"
        numbering = match(self._own_class_names if known else None, self._trained, source=source)
        if numbering.output is not None:
            log.warning(
                "%s lists the classes in another order than %s; labels are matched by name",
                source,
                self._trained.checkpoint,
            )
        return numbering

    @cached_property
    def _own_class_names(self) -> list[str]:
        """The class names in the order of the lists' labels: from the class-name file, else numbered."""
        if self.classes.is_file() or self.needs_classes:
            names = read_class_names(self.classes)
            if self.num_classes not in (None, len(names)):
                raise ValueError(
                    f"{self.classes} names {len(names)} classes, but num_classes is "
                    f"{self.num_classes}; drop num_classes or correct the file"
                )
            return names
        num_classes = self.num_classes or 1 + largest_label(
            self.files["train"], form_of_list=self.form_of_list, multi_label=self.multi_label
        )
        log.info("%s does not exist; classes are numbered 0..%d", self.classes, num_classes - 1)
        return numbers(num_classes)
