"""One page that says how runs went: curves, metrics, confusions, mistakes, costs."""

from gcvideo.analysis.report.page import write_report
from gcvideo.analysis.report.run import Run, read_run

__all__ = ["Run", "read_run", "write_report"]
