"""Scripts that do what is named on the command line, or all of it."""

import argparse
from collections.abc import Collection


def parse_sections(parser: argparse.ArgumentParser, sections: Collection[str]) -> argparse.Namespace:
    """Return the arguments, `sections` among them: those named, or all. Any other name ends the script."""
    names = ", ".join(sections)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {names} (default: all)")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.sections if name not in sections]:
        parser.error(f"no section {', '.join(unknown)}; there are {names}")
    arguments.sections = arguments.sections or list(sections)
    return arguments
