"""How far along its time a long video is, while its timeline is made."""

import time

from rich.progress import Progress, TaskID

from gcvideo.clip import VideoRecord
from gcvideo.printable import printable


class TimelineBar:
    """A bar of the video's clips, with clips per second; the bar itself tells the time that is left.

    Args:
        progress: Where it is shown.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._task: TaskID | None = None
        self._began = 0.0

    def __call__(self, video: VideoRecord, done: int, total: int) -> None:
        """Show that `done` of a video's clips are classified; 0 begins a video."""
        name = printable(video.path.name)
        if done == 0:
            self.close()
            self._task, self._began = self.progress.add_task(name, total=total), time.perf_counter()
        assert self._task is not None  # a video is begun with 0
        speed = f", {done / (time.perf_counter() - self._began):.3g} clips/s" if done else ""
        self.progress.update(self._task, completed=done, description=name + speed)
        if done == total:
            self.close()

    def close(self) -> None:
        """Take the bar away, of a video that could not be read to its end too."""
        if self._task is not None:
            self.progress.remove_task(self._task)
        self._task = None
