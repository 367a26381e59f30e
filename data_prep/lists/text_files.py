"""Text that people wrote."""

from pathlib import Path


def read_text(file: Path) -> str:
    """Return the text of a file in UTF-8, without a byte order mark.

    Raises:
        ValueError: It is none.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: is not UTF-8 text ({error.reason}); write the file again as UTF-8"
        ) from error
