"""Thumbnails: arrays as PNG inside HTML, for the rich display of records in notebooks."""

import base64
import html
import io

import numpy as np
from PIL import Image


def uri(image):
    """An image as a PNG data URI: str.

    Args:
        image: [rows, columns, 3 or 1] in 0..1, or uint8. Other numbers of channels are shown as their mean.
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4):
        array = array.mean(axis=-1, keepdims=True).astype(array.dtype)
    if array.dtype != np.uint8:
        array = np.round(255 * np.clip(array, 0, 1)).astype("uint8")
    buffer = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 and array.ndim == 3 else array).save(
        buffer, "PNG", optimize=True
    )
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def strip(images, captions, title):
    """A row of captioned pictures under a title, if there is one, as HTML: str.

    Args:
        images: images that `uri` takes, one a picture.
        captions: what is written below each picture.
        title: str; "" for none.

    Returns:
        str.
    """
    figures = "".join(
        f'<figure style="display:inline-block;margin:4px"><img src="{uri(image)}" style="width:112px"><figcaption>{html.escape(str(caption))}</figcaption></figure>'
        for image, caption in zip(images, captions)
    )
    return (f"<p><b>{html.escape(title)}</b></p>" if title else "") + figures
