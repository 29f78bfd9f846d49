"""Notebooks: runs the tutorials in place, so that they are stored with what they show.

python -m docs.notebooks [NOTEBOOK ...]      all of docs/tutorials where none is named
"""

import base64
import io
import os
import pathlib
import sys
import tempfile

import nbformat
from nbclient import NotebookClient
from PIL import Image

DOCS = pathlib.Path(__file__).parent
# Figures are drawn small.
FIGURES = {"MATPLOTLIBRC": str(DOCS / "matplotlibrc")}


def run(notebook, folder):
    """Run a notebook's cells in a kernel of its own.

    Args:
        notebook: `nbformat.NotebookNode`; its outputs are replaced.
        folder: where the kernel runs, and leaves its files.

    Returns:
        the same notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: for a cell that raises.
    """
    environment = {**os.environ, **FIGURES, "PYTHONPATH": str(DOCS.parent)}
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False, resources=_in(folder))
    return client.execute(env=environment)


def _in(folder):
    return {"metadata": {"path": str(folder)}}


def shrink(notebook):
    """Store a notebook's images with 256 colours, a third of the size, and leave out what is about a machine.

    TensorFlow's log lines are such, which it writes to the standard error.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = _to_palette(data["image/png"])
            elif "text/html" in data:
                # The words of the HTML are the value's own; its plain form repeats every number.
                del data["text/plain"]
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return notebook


def _to_palette(png):
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def main(names):
    """Run and store notebooks; all tutorials where none is named."""
    for path in map(pathlib.Path, names or sorted((DOCS / "tutorials").glob("*.ipynb"))):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(shrink(run(nbformat.read(path, 4), folder)), path)
        print(f"{path.name}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
