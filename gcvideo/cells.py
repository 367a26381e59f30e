"""Cells of CSV files that a spreadsheet would take for formulas, and run."""

import re
from typing import Any

FORMULA = re.compile(r"'*[=+\-@\t\r].", re.DOTALL)
QUOTED = re.compile(r"'+[=+\-@\t\r].", re.DOTALL)


def quoted(cell: Any) -> Any:
    """Return a cell to be written: text that begins as a formula does stands behind a single quote.

    Numbers stay numbers, also as text.
    """
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) and not _is_number(cell) else cell


def unquoted(cell: Any) -> Any:
    """Return what a cell was before `quoted`."""
    return cell[1:] if isinstance(cell, str) and QUOTED.match(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
