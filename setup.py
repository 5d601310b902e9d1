"""What pyproject.toml can't say: kernels are compiled, an index shows the README without links to files."""

import os
import re
import sys
from pathlib import Path

from setuptools import Command, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build
from setuptools.dist import Distribution

HERE = Path(__file__).parent
README = HERE.joinpath("README.md").read_text(encoding="utf-8")
sys.path.insert(0, str(HERE / "kernels"))
import building  # noqa: E402

del sys.path[0]


class Kernels(Command):
    """Compile the kernels: for this processor in an editable install, else for all of its kind."""

    description = "compile the kernels"
    user_options = (("build-lib=", "d", "where the package is built"),)
    editable_mode = False

    def initialize_options(self):
        self.build_lib = None

    def finalize_options(self):
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    @property
    def levels(self):
        named = os.environ.get("SPIKECERT_LEVELS", "").split()
        return named or ((building.NATIVE,) if self.editable_mode else building.levels())

    @property
    def target(self):
        return Path(self.build_lib) / "spikecert" / "kernels" / "built"

    def run(self):
        building.build(self.target, self.levels, HERE / "build" / "kernels")

    def get_outputs(self):
        return [str(self.target / name) for name in building.outputs(self.levels)]

    def get_output_mapping(self):
        return {}

    def get_source_files(self):
        return [str(path.relative_to(HERE)) for path in sorted(building.SOURCES.rglob("*.[ch]"))]


class Wheel(bdist_wheel):
    """ctypes needs no ABI of Python's: one wheel a platform."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class Compiled(Distribution):
    def has_ext_modules(self):
        return True


build.sub_commands = [*build.sub_commands, ("build_kernels", None)]
try:
    building.compiler()
    needed = []
except building.NotBuilt:
    needed = ["ziglang>=0.13"]
setup(
    setup_requires=needed,
    cmdclass={"build_kernels": Kernels, "bdist_wheel": Wheel},
    distclass=Compiled,
    long_description=re.sub(r"\[([^]]+)\]\((?!https?:|#)[^)]+\)", r"\1", README),
    long_description_content_type="text/markdown",
)
