"""A picture as a DICOM Secondary Capture image in RGB (PS3.3 A.8.1), for archives and viewers that show nothing else."""

from __future__ import annotations

import io

import numpy as np
from pydicom.dataset import Dataset

from algorithms.dicom.results.origin import Origin, finished, new_object

SERIES_NUMBER = 904

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

WARNING = "PRELIMINARY - NOT RELEASED"
STRIP_SHARE = 0.04
"""Height of the strip with the warning, as a share of the picture's."""


def key_picture(origin: Origin, picture: bytes, name: str, number: int, caption: str) -> Dataset:
    """Return a PNG or JPEG picture as an object; a strip below it says where the result is not released.

    Parameters
    ----------
    origin
        The source series.
    picture
        The encoded picture; what is transparent becomes white.
    name, number
        Its name in the result, and its place in the series from 1.
    caption
        What it shows; cut to the 1024 characters of an LT value's shorter kin, ST.
    """
    pixels = _rgb(picture)
    if not origin.released:
        pixels = np.concatenate([pixels, _strip(pixels.shape[1], max(16, int(STRIP_SHARE * pixels.shape[0])))])
    dataset = new_object(origin, SECONDARY_CAPTURE, "OT", f"picture {name}", (SERIES_NUMBER, "Key pictures"))
    dataset.InstanceNumber = number
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    # Type 2C: wanted, if empty, where the body part is not named (PS3.3 C.7.3.1, C.7.6.1).
    dataset.Laterality, dataset.PatientOrientation = "", ""
    dataset.BurnedInAnnotation = "NO"  # the pictures' text names vessels and numbers, nobody
    dataset.DerivationDescription = origin.title(caption)[:1024]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    content = pixels.tobytes()
    dataset.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))
    return finished(dataset, origin)


def _rgb(picture: bytes) -> np.ndarray:
    """Return the picture on white, uint8 (rows, columns, 3)."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def _strip(width: int, height: int) -> np.ndarray:
    """Return the warning in white on dark red, uint8 (height, width, 3)."""
    from PIL import Image, ImageDraw, ImageFont

    strip = Image.new("RGB", (width, height), (139, 0, 0))
    font = ImageFont.load_default(0.7 * height)
    ImageDraw.Draw(strip).text((width / 2, height / 2), WARNING, fill="white", font=font, anchor="mm")
    return np.asarray(strip)
