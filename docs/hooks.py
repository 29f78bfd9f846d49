"""Hooks of mkdocs: pages of notebooks are read offline, and link and describe as other pages do."""

import html
import logging
import posixpath
import re

import nbformat

logger = logging.getLogger("mkdocs.plugins.notebooks")


def on_page_content(content, page, config, files):
    """The HTML of a notebook's page without scripts from elsewhere, with links to pages and with words for its images."""
    if not page.file.src_uri.endswith(".ipynb"):
        return content
    # The converter appends its styles once more, as a Python list.
    content = re.sub(r"<style>\s*\[.*?</style>", "", content, flags=re.S)
    content = re.sub(r"<script\b[^>]*>.*?</script>", _keep_local, content, flags=re.S)
    content = re.sub(r'href="(?!https?:|#)([^"#]+)', lambda link: f'href="{_address(link[1], page, files)}', content)
    return _describe(content, nbformat.read(page.file.abs_src_path, 4))


def _keep_local(script):
    return "" if "https://" in script[0] else script[0]


def _address(target, page, files):
    """The address of a page or image that a notebook links to by its file."""
    file = files.get_file_from_path(posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), target)))
    if file is None:
        logger.warning(f"{page.file.src_uri} links to {target!r}, which is not among the pages.")
        return target
    return file.url_relative_to(page.file)


def _describe(content, notebook):
    """Put the words that are stored beside each image into its `alt`."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    words = iter([output.metadata["image/png"].alt for output in outputs if "image/png" in output.get("data", {})])
    return re.sub(r'alt="No description[^"]*"', lambda _: f'alt="{html.escape(next(words))}"', content)
