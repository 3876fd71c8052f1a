"""How the pages of this folder are built: `make docs`."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import tomllib

project = "Railyard"
_PROJECT = pathlib.Path(__file__).parents[1] / "pyproject.toml"
version = release = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"]
copyright = "the Railyard authors, Apache-2.0"  # noqa: A001 - Sphinx's name

extensions = ["myst_parser", "repository_pages"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["README.md"]  # for who writes pages, not for who reads them
myst_heading_anchors = 3  # links to `page.md#heading`, as on a forge
myst_enable_extensions = ["colon_fence", "deflist"]
nitpicky = True

html_theme = "furo"
html_title = f"Railyard {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path: list[str] = []
