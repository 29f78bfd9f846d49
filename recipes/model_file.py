"""Model file: a hash of what it holds, without TensorFlow, by which a network is known again."""

import hashlib
import zipfile

from lab.remote import as_path, is_file, is_folder, is_remote
from recipes.provenance import file_hash

# The other file of a .keras archive is metadata.json, which holds the time at which it was saved.
MEMBERS = ("config.json", "model.weights.h5")


def content_hash(source):
    """SHA-256 of the layers and weights in a model's file; of a model by name, of its name.

    A network that is saved again has the same hash: the times in an archive are left out.

    Args:
        source: path or address of a .keras or .h5 file or of a SavedModel, or a name of `lab.model_names.names`.

    Returns:
        str.
    """
    path = as_path(source)
    if is_folder(path) and not is_remote(path):
        return file_hash(path)
    if not is_file(path):
        return hashlib.sha256(str(source).encode("utf-8", "backslashreplace")).hexdigest()
    with path.open("rb") as file:
        return _archive_hash(file) if zipfile.is_zipfile(file) else _bytes_hash(file)


def _archive_hash(file):
    file.seek(0)
    digest = hashlib.sha256()
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        known = [name for name in MEMBERS if name in names] or sorted(names)
        for name in known:
            digest.update(name.encode() + hashlib.sha256(archive.read(name)).digest())
    return digest.hexdigest()


def _bytes_hash(file):
    file.seek(0)
    return hashlib.sha256(file.read()).hexdigest()
