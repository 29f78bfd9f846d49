"""Data URIs: bytes of pictures -> text that an offline page holds itself."""

import base64


def png_uri(content):
    """PNG bytes as a data URI: str."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def file_uri(path):
    """A PNG file as a data URI: str."""
    return png_uri(path.read_bytes())
