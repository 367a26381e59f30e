"""What can be wrong with the machines of a run, found before it starts."""

from gcvideo.analysis.preflight.findings import checks_still_running
from gcvideo.analysis.preflight.inspection import Job, Preflight, inspect
from gcvideo.analysis.preflight.meeting import AbsentError, Meeting, Place
from gcvideo.analysis.preflight.report import Report

__all__ = ["AbsentError", "Job", "Meeting", "Place", "Preflight", "Report", "checks_still_running", "inspect"]
