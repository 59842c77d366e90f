"""How the site is built: `make doc`. Nothing is fetched, and every warning is an error."""

import re
import sys
from pathlib import Path

import matplotlib

import sklearn_mlp

matplotlib.use("Agg")
sys.path.insert(0, str(Path(__file__).parent))  # for gallery.py

project = "sklearn-mlp"
author = "the sklearn-mlp developers"
project_copyright = author
release = version = sklearn_mlp.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "performance"]
templates_path = ["_templates"]

# Links between headings go by the names that GitHub gives them.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autosummary_generate = True
autodoc_typehints = "none"  # docstrings say them, in the field's words
autodoc_default_options = {"inherited-members": "BaseEstimator"}
numpydoc_show_class_members = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"demo\.py",
    "within_subsection_order": "gallery.place",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e6,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "reset_modules": ("matplotlib", "gallery.reset"),
    "backreferences_dir": "generated/backreferences",
    "doc_module": "sklearn_mlp",
    "inspect_global_variables": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn-mlp"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {page: [] for page in ("index", "getting_started", "performance", "differences")}
html_theme_options = {
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "header_links_before_dropdown": 8,
}


# Pages link to each other, to examples and to files of the repository as they lie there, so that the
# links work where the repository is browsed, too. In the site the same files lie elsewhere.
TOP = Path(__file__).parents[1]
FROM_TOP = {"changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}
LINKS = [
    (r"\]\((?:\.\./)?examples/(plot_\w+)\.py\)", r"](auto_examples/\1.rst)"),
    (r"\]\((?:\.\./|\./)?CHANGELOG\.md", "](changelog.md"),
    (r"\]\((?:\.\./|\./)?CONTRIBUTING\.md", "](contributing.md"),
    (r"\]\(doc/", "]("),
]


def read_source(app, docname, source):
    if docname in FROM_TOP:
        path = TOP / FROM_TOP[docname]
        app.env.note_dependency(str(path))
        source[0] = path.read_text("utf-8")
    if not docname.startswith(("auto_examples", "generated")):
        for pattern, replacement in LINKS:
            source[0] = re.sub(pattern, replacement, source[0])


def plain_roles(app, what, name, obj, options, lines):
    """Docstrings that come from scikit-learn refer to its own pages: the text is left."""
    for i, line in enumerate(lines):
        lines[i] = re.sub(r":(?:ref|term|doc):`([^`<]+?)(?:\s*<[^`]*>)?`", r"\1", line)


def setup(app):
    app.connect("source-read", read_source)
    app.connect("autodoc-process-docstring", plain_roles)
    return {"parallel_read_safe": True}
