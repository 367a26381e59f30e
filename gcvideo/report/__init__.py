"""One page that says how runs went: curves, metrics, confusions, mistakes, costs."""

from gcvideo.report.page import write_report
from gcvideo.report.run import Cost, Quartiles, Run, read_run

__all__ = ["Cost", "Quartiles", "Run", "read_run", "write_report"]
