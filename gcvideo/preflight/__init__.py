"""Checks of machines, data and settings on every rank, before a run starts."""

from gcvideo.preflight.inspection import Job, Preflight, inspect
from gcvideo.preflight.rendezvous import AbsentError, Rendezvous
from gcvideo.preflight.report import Report
from gcvideo.preflight.time_limit import checks_still_running

__all__ = ["AbsentError", "Job", "Preflight", "Rendezvous", "Report", "checks_still_running", "inspect"]
