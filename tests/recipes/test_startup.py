"""Start-up: what can be answered from files is, and TensorFlow is imported by none of it."""

import json
import pathlib
import subprocess
import sys

import pytest

from recipes.artifacts import find_report
from recipes.commands.list import KINDS, OF_MODELS

ROOT = pathlib.Path(__file__).parent.parent.parent
# What takes seconds to import. NumPy, which takes a tenth of one, may be imported.
HEAVY = ("tensorflow", "keras", "scipy", "sklearn", "pandas", "skimage", "matplotlib", "cv2", "PIL")
CODE = """
import json, sys
sys.path.insert(0, {root!r})
from recipes.cli import main
for words in json.loads(sys.argv[1]):
    main(words, standalone_mode=False)
    print(words, [name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""


def run_commands(*commands):
    """Run commands in one process of their own -> (standard output, lines of the error stream with what was imported)."""
    code = CODE.format(root=str(ROOT), heavy=HEAVY)
    words = json.dumps([list(map(str, command)) for command in commands])
    done = subprocess.run([sys.executable, "-c", code, words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if line.startswith("[")]


def imported_nothing(lines):
    return all(line.endswith(" []") for line in lines)


def test_lists_import_nothing_heavy():
    output, lines = run_commands(*(("list", kind) for kind in KINDS if kind not in OF_MODELS))
    assert len(lines) == len(KINDS) - len(OF_MODELS) and imported_nothing(lines), lines
    assert "gradcam" in output and "MobileNetV2" in output


def test_doctor_imports_nothing_heavy():
    output, lines = run_commands(("doctor",))
    assert "tensorflow" in output and imported_nothing(lines), lines


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "PHOTO", "--method", "gradcam,occlusion"),
        ("check", "--method", "gradient", "--seeds", 2, "--fail-on", "fail"),
    ],
)
def test_a_finished_run_and_its_page_import_nothing_heavy(words, command, user, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (*(photo if word == "PHOTO" else word for word in words), *user, "--out", "artifacts")
    code, before, error = command(*words, out=False)
    assert code == 0, error
    output, lines = run_commands(words, ("show", words[0], "--print"))
    assert output == f"{before}{find_report(words[0])}\n"
    assert len(lines) == 2 and imported_nothing(lines), lines
