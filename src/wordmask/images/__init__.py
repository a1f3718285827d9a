"""Images of any kind as RGB uint8: paths, bytes, PIL images, arrays and tensors."""

from wordmask.images.files import IMAGE_SUFFIXES, MAX_BYTES, SAMPLES, check_path, read_all
from wordmask.images.load import ImageInput, load_image
from wordmask.images.rgb import MAX_PIXELS, RgbImage

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SAMPLES",
    "ImageInput",
    "RgbImage",
    "check_path",
    "load_image",
    "read_all",
]
