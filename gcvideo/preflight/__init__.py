"""What can be wrong with the machines of a run, found before it starts."""

from gcvideo.preflight.inspection import Job, Preflight, inspect
from gcvideo.preflight.rendezvous import AbsentError, Rendezvous
from gcvideo.preflight.report import Report
from gcvideo.preflight.time_limit import checks_still_running

__all__ = ["AbsentError", "Job", "Preflight", "Rendezvous", "Report", "checks_still_running", "inspect"]
