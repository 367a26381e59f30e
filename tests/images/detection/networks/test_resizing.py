import torch

from gcvideo.images.detection.networks.resizing import resize

# Of cv2.resize(picture, (7, 6), interpolation=cv2.INTER_LINEAR), OpenCV 4.14 and 5.0, plane by plane.
OF_OPENCV = """
  0 36 117 252 111 134 240   20 89 139 134 126 173 240   58 149 163 31 141 195 209
  136 174 172 96 140 129 90   126 111 91 72 141 156 138   95 41 9 31 143 199 215
  7 67 105 87 159 175 159   4 97 140 74 96 118 136   12 126 171 68 56 79 117
  59 121 149 102 146 153 138   146 155 165 176 184 192 198   220 190 188 240 199 212 252
  28 112 180 192 111 84 92   130 174 192 156 117 132 174   193 209 192 120 137 191 252
  38 100 139 123 197 233 242   52 85 125 166 204 187 144   103 97 125 207 196 130 47
"""


def test_pictures_are_resized_to_the_levels_of_opencv() -> None:
    picture = (torch.arange(60).reshape(4, 5, 3) ** 2 * 7 % 256).movedim(2, 0)

    found = resize(picture / 255, (6, 7))

    assert found.int().flatten().tolist() == [int(level) for level in OF_OPENCV.split()]


def test_half_the_size_is_the_mean_of_four_rounded() -> None:
    torch.manual_seed(0)
    picture = torch.randint(256, (3, 8, 12))

    found = resize(picture / 255, (4, 6))

    total = picture.unflatten(2, (6, 2)).unflatten(1, (4, 2)).sum(dim=(2, 4))
    assert torch.equal(found.int(), ((total + 2) // 4).int())


def test_the_same_size_is_the_same_picture() -> None:
    picture = torch.arange(256).reshape(1, 16, 16).expand(3, -1, -1)
    assert torch.equal(resize(picture / 255, (16, 16)).int(), picture.int())
