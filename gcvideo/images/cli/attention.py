"""`gcvideo image attention`: the paper's table 1 on the pictures that it was made for."""

import logging
from collections.abc import Sequence
from typing import Any

from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning.pytorch.cli import LightningArgumentParser

from gcvideo.attention.maps import Query
from gcvideo.attention.table import as_in_the_paper
from gcvideo.cli.attention import print_means
from gcvideo.images.attention import AttentionWriter, named_blocks
from gcvideo.images.attention.writer import TWO_PLACES
from gcvideo.images.cli.image_cli import ImageCLI
from gcvideo.images.cli.run import run_cli
from gcvideo.run_folder import RunFolder

log = logging.getLogger(__name__)


class AttentionCLI(ImageCLI):
    """A prediction whose blocks are watched."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"predict": ImageCLI.subcommands()["predict"]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--blocks",
            type=str,
            nargs="+",
            help="Look at these context blocks, as c4.3; at all if unset.",
        )
        parser.add_argument(
            "--num_pairs",
            type=PositiveInt,
            default=2000,
            help="Take the Jensen-Shannon divergence of a picture over so many pairs of positions.",
        )
        parser.add_argument(
            "--maps", type=NonNegativeInt, default=2, help="Draw maps of so many pictures, the first ones."
        )
        parser.add_argument(
            "--query",
            type=str,
            nargs="+",
            help="Draw maps of these query points, T,Y,X in shares, 0..1, of height and width (T is of no "
            "account): by default the middle and a place near the corner.",
        )

    def before_predict(self) -> None:
        config: Any = self.config_init["predict"]
        self.datamodule.predict_on(config.pictures)
        self.datamodule.test_batch_size = 1
        self.writer = AttentionWriter(
            config.out or RunFolder(config.run_dir).attention,
            named_blocks(self.model.network, config.blocks or ()),
            num_pairs=config.num_pairs,
            maps=config.maps,
            queries=[Query.parse(text) for text in config.query or ()] or TWO_PLACES,
        )
        self.trainer.callbacks.append(self.writer)  # pyright: ignore[reportAttributeAccessIssue]

    def after_predict(self) -> None:
        if self.trainer.is_global_zero:
            print_means(as_in_the_paper(self.writer.summary, "mean"), self.writer.said)
            log.info("wrote distances.csv, distances.md and plots to %s", self.writer.folder)


def run(arguments: Sequence[str]) -> None:
    """Measure and draw what `arguments`, behind the word attention, name."""
    run_cli(AttentionCLI, ["predict", *arguments[1:]], prog="gcvideo image attention")
