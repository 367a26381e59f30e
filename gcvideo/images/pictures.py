"""Pictures in files and folders."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from torchvision.datasets.folder import IMG_EXTENSIONS


def read_picture(file: str | Path) -> Image.Image:
    """Return a picture in red, green and blue.

    Raises:
        ValueError: It is not there, is no picture, or is cut short.
    """
    try:
        with Image.open(file) as opened:
            return opened.convert("RGB")
    except FileNotFoundError as error:
        raise ValueError(f"{file}: there is no such file") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{file}: is no picture that Pillow can read; drop it, or convert it") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file}: cannot be read: {error}; fetch it again, or drop it") from error


def is_picture(file: Path) -> bool:
    """Return whether a file's name ends as that of a picture."""
    return file.suffix.lower() in IMG_EXTENSIONS


def find_pictures(named: Sequence[Path]) -> list[Path]:
    """Return the files that are named, and the pictures below the folders that are.

    Raises:
        ValueError: One is not there, or a folder has no picture in it.
    """
    found: list[Path] = []
    for path in named:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if is_picture(file))
            if not inside:
                raise ValueError(f"{path}: has no picture in it; expected {', '.join(IMG_EXTENSIONS)}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise ValueError(f"{path}: there is no such file or folder")
    return list(dict.fromkeys(found))
