"""What can be wrong with the machines of a run, found before it starts."""

from gcvideo.preflight.findings import checks_still_running
from gcvideo.preflight.inspection import Job, Preflight, inspect
from gcvideo.preflight.meeting import AbsentError, Meeting, Place
from gcvideo.preflight.report import Report

__all__ = ["AbsentError", "Job", "Meeting", "Place", "Preflight", "Report", "checks_still_running", "inspect"]
