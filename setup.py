"""What pyproject.toml can't say: an index shows the README, but has none of the files here that it links to."""

import re
from pathlib import Path

from setuptools import setup

README = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
setup(
    long_description=re.sub(r"\[([^]]+)\]\((?!https?:|#)[^)]+\)", r"\1", README),
    long_description_content_type="text/markdown",
)
