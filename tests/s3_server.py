"""S3 server: moto's, in a process of its own, with the environment in which the lab speaks to it."""

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid

import pytest

MISSING = [name for name in ("s3fs", "moto", "flask") if importlib.util.find_spec(name) is None]
# Values that no text of the lab may hold.
KEY, SECRET = "AKIAHUSHHUSHHUSHHUSH", "hush/hush+hush/hush+hush/hush+hush/hush+"
SECONDS = 60


@contextlib.contextmanager
def running():
    """While open, a server answers: gives its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(url))
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.kill()
        process.wait()


def _wait_for(url, process):
    end = time.monotonic() + SECONDS
    while True:
        try:
            return urllib.request.urlopen(f"{url}/moto-api/", timeout=5).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.2)


def environment(url, key=KEY, secret=SECRET):
    """The environment of a process that speaks to a server: dict."""
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def spoken_to(url, **keys):
    """While open, this process speaks to a server."""
    import s3fs

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(url, **keys).items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield
    s3fs.S3FileSystem.clear_instance_cache()


def check_keys(url, count):
    """Let the server take this many requests from anybody, and then only those with a key that it knows."""
    # A body that is said to be a form is not read by the server.
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{url}/moto-api/reset-auth", str(count).encode(), headers)
    urllib.request.urlopen(request, timeout=5).close()


def make_bucket():
    """A new bucket: str, its address."""
    import s3fs

    name = f"bucket-{uuid.uuid4().hex}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"
