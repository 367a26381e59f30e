"""Kinetics, under its own name."""

from gcvideo.data.datamodule import VideoDataModule


class KineticsDataModule(VideoDataModule):
    """Kinetics-400, 600 or 700 as the scripts of data_prep leave it.

    They leave what `VideoDataModule` reads: train.csv, val.csv, test.csv and classes.txt in a folder, and the
    videos that the lists name. So nothing is changed here; configs/data/kinetics400.yaml has the settings.
    """
