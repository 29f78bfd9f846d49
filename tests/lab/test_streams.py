"""Streams: folders, CSV lists, tar and TFRecord shards give the same images, by any address, and read no more than they need."""

import csv
import io
import pathlib
import pickle
import struct
import tarfile
import tracemalloc
import uuid

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

import lab
import lab.data
from lab.images import read
from lab.patterns import expand
from lab.remote import RemotePath, as_path
from lab.sequences import Lazy, Texts, chain
from lab.sources import is_record_file, is_stream
from lab.streams import open_images
from lab.streams.checksum import masked_crc32c

PICTURES = {
    f"{number:03}": np.random.default_rng(number).integers(0, 256, (6 + number, 9, 3), "uint8") for number in range(6)
}
CLASSES = {name: ("cat", "dog")[number % 2] for number, name in enumerate(PICTURES)}


def encoded(image, kind="PNG"):
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind)
    return content.getvalue()


def write_tar(path, members, kind=tarfile.PAX_FORMAT):
    """A tar file of (name, bytes)."""
    with tarfile.open(path, "w", format=kind) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def samples(names=PICTURES):
    """The members of a webdataset shard."""
    for name in names:
        yield f"{name}.png", encoded(PICTURES[name])
        yield f"{name}.cls", CLASSES[name].encode()


def example(**features):
    """A serialized `tf.train.Example`; __ in a name stands for /."""

    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))

    named = {name.replace("__", "/"): feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def write_records(path, contents):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in contents:
            writer.write(content)
    return path


def examples(names=PICTURES):
    return [
        example(image__encoded=encoded(PICTURES[name]), image__class__text=CLASSES[name].encode()) for name in names
    ]


@pytest.fixture
def sources(tmp_path):
    """The same six pictures as every kind of source -> dict of kind to address."""
    for name, image in PICTURES.items():
        folder = tmp_path / "folder" / CLASSES[name]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{name}.png")
    with open(tmp_path / "list.csv", "w", newline="") as file:
        rows = [
            ("label", "path", "more"),
            *((CLASSES[name], f"folder/{CLASSES[name]}/{name}.png", 1) for name in PICTURES),
        ]
        csv.writer(file).writerows(rows)
    first, last = sorted(PICTURES)[:2], sorted(PICTURES)[2:]
    for number, names in enumerate((first, last)):
        write_tar(tmp_path / f"part-{number:02}.tar", samples(names))
        write_records(tmp_path / f"part-{number:05}-of-00002", examples(names))
    return {
        "list": tmp_path / "list.csv",
        "archive": write_tar(tmp_path / "all.tar", samples()),
        "records": write_records(tmp_path / "all.tfrecord", examples()),
        "archives": f"{tmp_path}/part-{{00..01}}.tar",
        "matched archives": f"{tmp_path}/part-*.tar",
        "matched records": f"{tmp_path}/part-*-of-00002",
        "two addresses": [tmp_path / "part-00.tar", tmp_path / "part-00001-of-00002"],
        "files and an archive": [*sorted((tmp_path / "folder").rglob("00[01].png")), tmp_path / "part-01.tar"],
    }


KINDS = ["list", "archive", "records", "archives", "matched archives", "matched records", "two addresses"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_gives_the_same_images_and_labels(sources, kind):
    data = open_images(sources[kind])
    assert len(data) == 6 == len(set(data.names))
    order = np.random.default_rng(0).permutation(6)
    for place in order:
        assert np.array_equal(data.images[place], list(PICTURES.values())[place])
    assert list(data.labels) == list(CLASSES.values())
    for part in (slice(2, 5), slice(None, None, -2)):
        assert [image.shape for image in data.images[part]] == [image.shape for image in list(PICTURES.values())[part]]
    assert np.array_equal(data.images[-1], PICTURES["005"])
    with pytest.raises(IndexError):
        data.images[6]
    again = pickle.loads(pickle.dumps(data))
    assert list(again.names) == list(data.names) and np.array_equal(again.images[3], data.images[3])
    assert "6 images" in repr(data) and "one by one" in repr(data)


def test_a_folder_is_what_it_was_and_labels_need_all(sources, tmp_path):
    data, plain = open_images(tmp_path / "folder"), lab.folder(tmp_path / "folder")
    assert (data.names, data.labels, data.groups) == (plain.names, plain.labels, plain.groups)
    assert open_images(tmp_path / "folder", most=2).labels == ("cat", "cat")
    data = open_images(sources["files and an archive"])
    assert data.labels is None and list(data.names)[:3] == ["000.png", "001.png", "part-01/002.png"]
    assert [image.shape[0] for image in data.images] == [6, 7, 8, 9, 10, 11]


def test_names_tell_the_images_of_several_shards_apart(sources, tmp_path):
    assert list(open_images(sources["archive"]).names) == [f"{name}.png" for name in PICTURES]
    assert open_images(sources["archives"]).names[2] == "part-01/002.png"
    (tmp_path / "other").mkdir()
    write_tar(tmp_path / "other" / "all.tar", samples())
    names = open_images([sources["archive"], tmp_path / "other" / "all.tar"]).names
    assert len(set(names)) == 12 and names[6] == f"{tmp_path}/other/all.tar/000.png"


@pytest.mark.parametrize("kind", ["list", "archive", "records", "archives"])
def test_no_more_is_listed_than_is_asked_for(sources, tmp_path, kind):
    assert list(open_images(sources[kind], most=3).labels) == ["cat", "dog", "cat"]
    # What follows is never reached.
    for path in (tmp_path / "all.tar", tmp_path / "all.tfrecord"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "part-01.tar").write_bytes(b"broken")
    if kind != "list":
        with pytest.raises(lab.Refused):
            open_images(sources[kind])
    assert len(open_images(sources[kind], most=2)) == 2


def test_channels_and_levels_reach_every_source(tmp_path):
    deep = np.arange(4096, dtype="uint16").reshape(64, 64)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    content = (tmp_path / "deep.png").read_bytes()
    (tmp_path / "list.csv").write_text("path\ndeep.png\n")
    write_tar(tmp_path / "a.tar", [("deep.png", content)])
    write_records(tmp_path / "a.tfrecord", [example(image=content)])
    for name in ("list.csv", "a.tar", "a.tfrecord", "deep.png"):
        data = open_images(tmp_path / name, channels=1, levels=4095)
        np.testing.assert_allclose(data.images[0][..., 0], deep / 4095 * 255, rtol=1e-6)
        assert data.labels is None


def test_bytes_are_decoded_as_files_are(tmp_path):
    pictures = PICTURES["004"]
    for suffix in ("png", "jpg", "gif", "bmp", "webp", "tif"):
        Image.fromarray(pictures).save(tmp_path / f"a.{suffix}")
    tifffile.imwrite(tmp_path / "deep.tif", pictures.astype("uint16") * 257, photometric="rgb")
    tifffile.imwrite(
        tmp_path / "bands.tif", np.moveaxis(pictures, -1, 0), photometric="minisblack", planarconfig="separate"
    )
    Image.fromarray(pictures).save(tmp_path / "turned.png", exif=Image.Exif())
    for path in sorted(tmp_path.iterdir()):
        levels = 65535 if path.name == "deep.tif" else None
        assert np.array_equal(read(path.read_bytes(), levels=levels), read(path, levels=levels)), path
    with pytest.raises(lab.Refused, match="shard.tar: 7.png, which Pillow does not recognize"):
        read(b"no image", name="shard.tar: 7.png")
    with pytest.raises(lab.Refused, match="shard.tar: 7.png: "):
        read(encoded(pictures, "JPEG")[:300], name="shard.tar: 7.png")


# Patterns -----------------------------------------------------------------------------------------------------------------


def test_patterns_stand_for_what_a_shell_makes_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a-08.tar", "a-09.tar", "a-10.tar", "b-1.tar", "c{x,y}.tar", "d[1].tar"):
        pathlib.Path(name).touch()

    def names(text):
        return [path.name for path in expand(text)]

    assert names("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert names("{a-08,b-1}.tar") == ["a-08.tar", "b-1.tar"]
    assert names("{b,a}-*.tar") == ["b-1.tar", "a-08.tar", "a-09.tar", "a-10.tar"]
    assert names("a-*.tar") == names("a-?[0-9].tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert names("c{x,y}.tar") == ["c{x,y}.tar"] and names("d[1].tar") == ["d[1].tar"]
    assert names("nothing.tar") == ["nothing.tar"]


@pytest.mark.parametrize(
    "pattern, words",
    [
        ("a-{08..11}.tar", "a-11.tar' is missing"),
        ("a-{10..08}.tar", r"\{first..last\}.*10..08"),
        ("a-{0..9999999}.tar", "at most 1,000,000"),
        ("{0..9999}-{0..9999}.tar", "at most 1,000,000"),
        ("z*.tar", "matches none"),
        ("a-{08,12}.tar", "a-12.tar' is missing"),
    ],
)
def test_patterns_that_name_nothing_are_refused(tmp_path, monkeypatch, pattern, words):
    monkeypatch.chdir(tmp_path)
    for number in (8, 9, 10):
        pathlib.Path(f"a-{number:02}.tar").touch()
    with pytest.raises(lab.Refused, match=words):
        open_images(pattern)


def test_addresses_that_are_no_source_are_refused(tmp_path, sources):
    (tmp_path / "a.tar.gz").touch()
    (tmp_path / "shards").mkdir()
    write_tar(tmp_path / "shards" / "a.tar", samples())
    for address, words in (
        ([], "at least one address"),
        (tmp_path / "a.tar.gz", "packed; unpack it"),
        (tmp_path / "shards", r"holds none.*1 shards.*shards/\*.tar', in quotes"),
        (tmp_path / "none.tar", "A shard is a file"),
        (tmp_path / "none.tfrecord", "A shard is a file"),
        (tmp_path / "none.csv", "which is not a file"),
        (tmp_path / "none.png", "which is not a file"),
    ):
        with pytest.raises(lab.Refused, match=words):
            list(open_images(address).images)


# Lists --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "with no columns.*Write path,label"),
        ("file,label\na.png,cat\n", "with file, label"),
        ("path;label\na.png;cat\n", "with path;label"),
        ("path,label\n", "at least one row"),
        ("path,label\na.png,cat\n,dog\n", "line 3, without one"),
        ("path,label\na.png,cat\n\na.png,\n", "line 4, without one.*leave the column label out"),
        ("path,label\na.png\n", "line 2, without one"),
        ("path\nb.png\n", "line 2: .*b.png' is no file.*folder of the list"),
        ("path\n\xff.png\n", "CSV file in UTF-8"),
        ("path\n" + "x" * 200_000 + "\n", "CSV file in UTF-8.*field larger"),
    ],
)
def test_lists_that_cannot_be_read_are_refused_with_the_line(tmp_path, text, words):
    Image.fromarray(PICTURES["000"]).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(lab.Refused, match=words) as error:
        open_images(tmp_path / "list.csv")
    assert str(tmp_path / "list.csv") in str(error.value)


def test_a_file_that_is_missing_further_down_a_list_is_told_with_its_line(tmp_path):
    Image.fromarray(PICTURES["000"]).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(f'\ufeffpath,label\n{tmp_path}/a.png,"c\nat"\ngone.png,dog\n', "utf-8")
    data = open_images(tmp_path / "list.csv")
    assert np.array_equal(data.images[0], PICTURES["000"]) and list(data.labels) == ["c\nat", "dog"]
    with pytest.raises(lab.Refused, match="line 4: .*gone.png' is no file"):
        data.images[1]


# Archives -----------------------------------------------------------------------------------------------------------------


def test_labels_of_archives(tmp_path):
    image = encoded(PICTURES["000"])
    members = [("a/1.PNG", image), ("a/1.cls", b"7\n"), ("2.png", image), ("2.json", b'{"label": "dog", "more": [1]}')]
    members += [("3.txt", b" a cup "), ("3.jpg", image), ("4.json", b"5"), ("4.txt", b"no"), ("4.bmp", image)]
    assert list(open_images(write_tar(tmp_path / "a.tar", members)).labels) == ["7", "dog", "a cup", "5"]
    for more in ([("5.png", image)], [("5.json", b"{}"), ("0.png", image)]):
        assert open_images(write_tar(tmp_path / "b.tar", [*more, *members])).labels is None
    for more, words in (
        ([("5.json", b"{}"), ("5.png", image)], "5.png has none, and a/1.PNG has"),
        ([("5.cls", b"\xff"), ("5.png", image)], ".cls of 5.png"),
        ([("5.json", b"{"), ("5.png", image)], ".json of 5.png"),
        ([("5.json", b'{"label": [1]}'), ("5.png", image)], ".json of 5.png.*here \\[1\\]"),
        ([("5.json", b'{"label": true}'), ("5.png", image)], ".json of 5.png.*here True"),
        ([("5.json", b"[" * 100_000), ("5.png", image)], ".json of 5.png"),
    ):
        with pytest.raises(lab.Refused, match=words):
            list(open_images(write_tar(tmp_path / "c.tar", [*members, *more])).labels)


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_every_format(tmp_path, kind):
    image = encoded(PICTURES["000"])
    folder = "f" * 60 + "/" + "g" * 60 if kind == tarfile.USTAR_FORMAT else "f" * 90 + "/" + "größe" * 30
    members = [
        ("._1.png", b"of a Mac"),
        (".hidden", b""),
        ("README", b""),
        (f"{folder}/1.png", image),
        ("2.v1.jpg", image),
    ]
    data = open_images(write_tar(tmp_path / "a.tar", members, kind))
    assert list(data.names) == [f"{folder}/1.png", "2.v1.jpg"] and np.array_equal(data.images[0], PICTURES["000"])


def test_links_and_folders_of_archives_are_no_images(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("a.png", tarfile.DIRTYPE), ("b.png", tarfile.SYMTYPE), ("c.png", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    with pytest.raises(lab.Refused, match="holds none"):
        open_images(tmp_path / "a.tar")


def test_every_image_of_a_sample_is_taken_and_said(tmp_path):
    image = encoded(PICTURES["000"])
    members = [("1.png", image), ("1.mask.png", image), ("1.cls", b"cat"), ("2.png", image), ("2.cls", b"dog")]
    with pytest.warns(UserWarning, match="several images .1.png and 1.mask.png.. Every one"):
        data = open_images(write_tar(tmp_path / "a.tar", members))
    assert list(data.names) == ["1.png", "1.mask.png", "2.png"] and list(data.labels) == ["cat", "cat", "dog"]


def test_an_archive_that_is_cut_anywhere_is_refused(tmp_path):
    whole = write_tar(tmp_path / "a.tar", samples(["000", "001"])).read_bytes()
    end = len(whole.rstrip(b"\0"))
    closed = -(-end // 512) * 512 + 512
    places = [*range(0, closed, 512), *np.random.default_rng(0).integers(0, closed, 40)]
    for place in places:
        (tmp_path / "a.tar").write_bytes(whole[:place])
        with pytest.raises(lab.Refused, match="a.tar"):
            open_images(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(whole[:closed])
    assert len(open_images(tmp_path / "a.tar")) == 2


def test_an_archive_with_a_damaged_header_does_not_end_there_in_silence(tmp_path):
    path = write_tar(tmp_path / "a.tar", samples())
    with tarfile.open(path) as archive:
        offset = archive.getmembers()[4].offset
    content = bytearray(path.read_bytes())
    content[offset + 10] ^= 1
    path.write_bytes(content)
    with pytest.raises(lab.Refused, match=f"at byte {offset:,} is damaged"):
        open_images(path)


def test_an_archive_that_becomes_shorter_and_an_image_that_is_none_are_told(tmp_path):
    path = write_tar(tmp_path / "a.tar", [*samples(["000"]), ("bad.png", b"no image")])
    data = open_images(path)
    with pytest.raises(lab.Refused, match="a.tar: bad.png, which Pillow does not recognize"):
        data.images[1]
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(lab.Refused, match="does not change while it is read"):
        data.images[0]


# Records ------------------------------------------------------------------------------------------------------------------


def test_record_files_are_known_by_their_names():
    names = ("a.tfrecord", "a.TFRecords", "a.tfrec", "train-00000-of-01024", "a.tfrecord-00003-of-00010")
    assert all(is_record_file(pathlib.Path(name)) for name in names)
    assert not any(
        is_record_file(pathlib.Path(name)) for name in ("a.tar", "tfrecord", "one-of-two", "a.png", "1-of-2")
    )


def test_checksums_are_those_of_tensorflow(tmp_path):
    """By the definition for known values (RFC 3720), and as TensorFlow writes them for contents of every length."""
    for content, plain in ((b"\0" * 32, 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (b"123456789", 0xE3069283)):
        assert masked_crc32c(content) == ((plain >> 15 | plain << 17) + 0xA282EAD8) % 2**32
    rng = np.random.default_rng(0)
    contents = [rng.bytes(length) for length in (*range(300), 1000, 4096, 65_537)]
    written, start = write_records(tmp_path / "a.tfrecord", contents).read_bytes(), 0
    for content in contents:
        length, length_sum = struct.unpack_from("<QI", written, start)
        assert length == len(content) and masked_crc32c(written[start : start + 8]) == length_sum
        assert struct.unpack_from("<I", written, start + 12 + length)[0] == masked_crc32c(content)
        start += 16 + length
    assert start == len(written)


def test_labels_of_records(tmp_path):
    image = encoded(PICTURES["000"])
    contents = [
        example(image=image, image__class__label=3, image__class__text="grüße".encode()),
        example(image=image, image__class__label=3),
        example(image=image, label=4, image__class__text=b"cup"),
        example(image=image, label=b"dog"),
    ]
    data = open_images(write_records(tmp_path / "a.tfrecord", contents))
    assert list(data.labels) == ["grüße", "3", "cup", "dog"] and data.names[3] == "record-3"
    data = open_images(write_records(tmp_path / "a.tfrecord", [*contents, example(image=image)]))
    with pytest.raises(lab.Refused, match="record 4 at byte .* without image/class/text"):
        list(data.labels)
    assert open_images(write_records(tmp_path / "a.tfrecord", [example(image=image), *contents])).labels is None
    several = tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 2]))
    features = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])), "label": several}
    content = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    with pytest.raises(lab.Refused, match="record 1 at byte .* with 2. Write one"):
        list(open_images(write_records(tmp_path / "a.tfrecord", [contents[1], content])).labels)


@pytest.mark.parametrize(
    "content, words",
    [
        (lambda image: example(picture=image, size=3), "with picture, size. Nearest"),
        (lambda image: example(), "with no features"),
        (lambda image: example(image__encoded=[0.5, 0.25]), "bytes of one JPEG.*2 values.*encode_png"),
        (lambda image: example(image__encoded=7), "bytes of one JPEG"),
        (lambda image: example(image=b"\1\2\3"), "a.tfrecord: record 1, which Pillow does not recognize"),
        (lambda image: b"no example", "record 1 at byte .*which is none"),
    ],
)
def test_records_without_an_image_are_refused_with_their_place(tmp_path, content, words):
    image = encoded(PICTURES["000"])
    path = write_records(tmp_path / "a.tfrecord", [example(image=image), content(image)])
    data = open_images(path)
    with pytest.raises(lab.Refused, match=words):
        data.images[1]


def test_records_that_are_cut_or_damaged_anywhere_are_refused(tmp_path):
    path = write_records(tmp_path / "a.tfrecord", [example(image=encoded(PICTURES["000"]), label=1)] * 2)
    whole = path.read_bytes()
    boundary = len(whole) // 2
    for place in range(len(whole)):
        path.write_bytes(whole[:place])
        if place == boundary:
            assert len(open_images(path)) == 1
            continue
        with pytest.raises(lab.Refused, match="cut short" if place else "empty"):
            open_images(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(lab.Refused, match="record 0|record 1|does not begin as one"):
            list(open_images(path).images)
    path.write_bytes(encoded(PICTURES["000"]))
    with pytest.raises(lab.Refused, match="does not begin as one"):
        open_images(path)


# Memory -------------------------------------------------------------------------------------------------------------------


COUNT = 5_000


def many_archive(path):
    write_tar(
        path,
        ((f"{number:08}.{kind}", b"7") for number in range(COUNT) for kind in ("jpg", "cls")),
        tarfile.USTAR_FORMAT,
    )


def many_records(path):
    write_records(path, [example(image=b"7", label=7)] * COUNT)


def many_rows(path):
    (path.parent / "0.jpg").touch()
    path.write_text("path,label\n" + "".join(f"{number % 1}.jpg,class {number % 1000}\n" for number in range(COUNT)))


@pytest.mark.parametrize("write, name", [(many_archive, "a.tar"), (many_records, "a.tfrecord"), (many_rows, "a.csv")])
def test_a_list_of_many_images_takes_little_memory(tmp_path, write, name):
    write(tmp_path / name)
    open_images(tmp_path / name, most=1)
    tracemalloc.start()
    data = open_images(tmp_path / name)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data) == COUNT and data.labels[COUNT - 1] is not None
    assert kept < 100 * COUNT and peak < 2 * kept + 500_000


def test_sequences():
    words = ["", "grüße", "a\udcffb", "x" * 300]
    texts = Texts(words)
    assert list(texts) == words and texts[-1] == words[-1] and list(texts[1:3]) == words[1:3] and len(texts[::2]) == 2
    joined = chain([texts, (), Lazy(str, range(5, 9)), texts[:1]])
    assert list(joined) == [*words, "5", "6", "7", "8", ""] and list(joined[-2:]) == ["8", ""] and len(chain([])) == 0
    with pytest.raises(IndexError):
        joined[9]


def test_a_folder_is_listed_without_reading_its_files(tmp_path, monkeypatch):
    """Files of one size may be copies, which is looked up when the groups are asked for, and of those in question alone."""
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(bytes([number % 2]) * 100)
    compared, content = [], lab.data._content
    monkeypatch.setattr("lab.data._content", lambda path, place: (compared.append(path.name), content(path, place))[1])
    data = open_images(tmp_path)
    assert not compared and list(data.part(slice(3)).groups) == [0, 1, 0] and compared == ["0.png", "1.png", "2.png"]
    assert list(data.groups) == [0, 1, 0, 1]


def test_stamps_change_with_their_images_and_no_others(sources, tmp_path):
    def stamps():
        return {kind: list(open_images(address).stamps) for kind, address in sources.items()}

    before = stamps()
    assert stamps() == before and all(len(set(values)) == 6 for values in (before["records"], before["archive"]))
    image = encoded(np.zeros((3, 3, 3), "uint8"))
    (tmp_path / "folder" / "cat" / "002.png").write_bytes(image)
    contents = examples()
    contents[2] = example(image__encoded=image)
    write_records(tmp_path / "all.tfrecord", contents)
    after = stamps()
    for kind in ("list", "records"):
        assert [place for place in range(6) if before[kind][place] != after[kind][place]] == [2]
    assert before["archive"] == after["archive"] and before["matched records"] == after["matched records"]
    (tmp_path / "list.csv").write_text(
        (tmp_path / "list.csv").read_text().replace("dog,folder/dog/005", "cup,folder/dog/005")
    )
    assert [place for place in range(6) if stamps()["list"][place] != after["list"][place]] == [5]


# Addresses ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(sources, tmp_path):
    """The same sources in the memory of this process, as a filesystem of fsspec -> str, the address of their folder."""
    root = as_path(f"memory://{uuid.uuid4().hex}")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            (root / path.relative_to(tmp_path).as_posix()).write_bytes(path.read_bytes())
    return str(root)


@pytest.mark.parametrize(
    "name",
    [
        "list.csv",
        "all.tar",
        "all.tfrecord",
        "part-{00..01}.tar",
        "part-*.tar",
        "part-*-of-00002",
        "part-{00000..00001}-of-*",
    ],
)
def test_lists_and_shards_lie_at_an_address(bucket, name):
    data = open_images(f"{bucket}/{name}")
    assert list(data.labels) == list(CLASSES.values()) and is_stream(f"{bucket}/{name}")
    for image, expected in zip(data.images[::-1], list(PICTURES.values())[::-1]):
        assert np.array_equal(image, expected)
    assert list(data.stamps) == list(open_images(f"{bucket}/{name}").stamps) and all(data.stamps)
    assert len(open_images(f"{bucket}/{name}", most=2)) == 2


def test_a_folder_at_an_address_is_asked_once_for_all_stamps(bucket, tmp_path, monkeypatch):
    data = open_images(f"{bucket}/folder")
    assert list(data.names) == list(open_images(tmp_path / "folder").names)
    monkeypatch.setattr(RemotePath, "_call", lambda *rest, **more: pytest.fail("the filesystem was asked again"))
    assert all(int(stamp.split()[0]) > 50 for stamp in data.stamps)


@pytest.mark.parametrize("name", ["all.tar", "all.tfrecord"])
def test_an_image_of_a_shard_is_read_without_the_rest(bucket, monkeypatch, name):
    data, read_range, sizes = open_images(f"{bucket}/{name}"), RemotePath.read_range, []

    def measured(path, start, stop):
        sizes.append(stop - start)
        return read_range(path, start, stop)

    monkeypatch.setattr(RemotePath, "read_bytes", lambda path: pytest.fail("the whole shard was read"))
    monkeypatch.setattr(RemotePath, "read_range", measured)
    assert np.array_equal(data.images[3], PICTURES["003"])
    assert len(sizes) == 1 and sizes[0] < len(encoded(PICTURES["003"])) + 100


def test_addresses_without_files_are_refused(bucket):
    (as_path(bucket) / "bad.csv").write_bytes(b"path\ngone.png\n")
    for name, words in (
        ("none.tar", "A shard is a file. Received: 'memory://.*none.tar'"),
        ("none.csv", "A list of images is a CSV file"),
        ("none-*.tar", "matches none"),
        ("part-{00..02}.tar", "part-02.tar' is missing"),
        ("bad.csv", "line 2: 'memory://.*gone.png' is no file"),
    ):
        with pytest.raises(lab.Refused, match=words):
            open_images(f"{bucket}/{name}")


def test_a_list_names_images_at_addresses(bucket, tmp_path):
    names = [f"{bucket}/folder/cat/000.png", str(tmp_path / "folder/dog/001.png")]
    (tmp_path / "mixed.csv").write_text("\n".join(["path", *names]))
    data = open_images(tmp_path / "mixed.csv")
    assert [image.shape[0] for image in data.images] == [6, 7] and all(data.stamps)
