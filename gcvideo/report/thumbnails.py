"""Small pictures of videos."""

from io import BytesIO

from PIL import Image

from gcvideo.clip import VideoRecord
from gcvideo.data.decoding import OpenReader, open_record
from gcvideo.report.run import data_uri

HEIGHT = 120
NUM_FRAMES = 3


def thumbnail(video: VideoRecord, open_video: OpenReader) -> str:
    """Draw three frames of a video, or of its segment, side by side, as an address that needs no file.

    Raises:
        DecodeError: The video cannot be read.
    """
    with open_record(video, open_video) as reader:
        numbers = [len(reader) * part // (2 * NUM_FRAMES) for part in range(1, 2 * NUM_FRAMES, 2)]
        frames = reader.frames_at(numbers)
    height, width = frames.shape[1:3]
    strip = Image.new("RGB", (round(width * HEIGHT / height) * NUM_FRAMES, HEIGHT))
    for place, frame in enumerate(frames):
        picture = Image.fromarray(frame.numpy()).resize((strip.width // NUM_FRAMES, HEIGHT))
        strip.paste(picture, (place * picture.width, 0))
    jpeg = BytesIO()
    strip.save(jpeg, "JPEG", quality=80)
    return data_uri(jpeg.getvalue(), "image/jpeg")
