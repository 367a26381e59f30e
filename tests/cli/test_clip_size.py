"""What --clip and --size come to."""

import pytest
from jsonargparse import Namespace

from gcvideo.cli.clip_size import settle_clip_and_size


def configured(*, size: int, transform: Namespace | None, arguments: tuple[str, ...] = ()) -> Namespace:
    config = Namespace(clip=None, size=size, data=Namespace(train_transform=transform))
    for views in ("val_views", "test_views"):
        config[f"data.{views}"] = Namespace(short_side=None, crop_size=None)
    settle_clip_and_size(config, arguments)
    return config.data


def a_class(name: str, **settings: object) -> Namespace:
    return Namespace(class_path=name, init_args=Namespace(**settings))


@pytest.mark.parametrize(
    ("size", "short_sides"),
    [(224, (256, 320)), (160, (182, 228)), (112, (128, 160))],  # PySlowFast, X3D-S of pytorchvideo, 7/8
)
def test_short_sides_are_those_of_the_papers(size: int, short_sides: tuple[int, int]) -> None:
    data = configured(size=size, transform=None)
    settings = data.train_transform.init_args
    assert data.train_transform.class_path == "gcvideo.data.ScaleJitter"
    assert (settings.min_short_side, settings.max_short_side) == short_sides
    assert (data.val_views.short_side, data.val_views.crop_size) == (short_sides[0], size)
    assert (data.test_views.short_side, data.test_views.crop_size) == (short_sides[0], short_sides[0])


def test_a_crop_of_an_area_keeps_its_other_settings() -> None:
    area = a_class("gcvideo.data.AreaJitter", crop_size=224, min_area=0.08)
    settings = configured(size=112, transform=area).train_transform.init_args
    assert settings.as_dict() == {"crop_size": 112, "min_area": 0.08}


def test_a_class_without_a_crop_size_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"size is 112, and data.train_transform my\.Crop takes no crop_size"
    ):
        configured(size=112, transform=a_class("my.Crop", side=1))


def test_arguments_of_the_settings_own_count_more() -> None:
    named = ("--data.train_transform.init_args.max_short_side", "140", "--data.test_views={}")
    jitter = a_class("gcvideo.data.ScaleJitter", crop_size=64, min_short_side=72, max_short_side=140)
    data = configured(size=112, transform=jitter, arguments=named)
    assert data.train_transform.init_args.as_dict() == {
        "crop_size": 112,
        "min_short_side": 128,
        "max_short_side": 140,
    }
    assert data.test_views.crop_size is None
    assert data.val_views.crop_size == 112
