"""The one extension module: a list of sources and flags. Everything else is in pyproject.toml."""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

flags = ["-std=c11", "-D_GNU_SOURCE", "-O3", "-g1", "-fvisibility=hidden", "-fstack-protector-strong", "-Wall"]
link = ["-Wl,-z,relro,-z,now"]
if os.environ.get("MESHFAST_SANITIZE"):
    flags += ["-O1", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    link += ["-fsanitize=address,undefined"]
else:
    # A call passes through many small functions of several files: 8 % less CPU per call where they are put together.
    flags.append("-flto=auto")
    link += ["-flto=auto", "-O3"]

core = Extension(
    "meshfast._core",
    ["meshfast/_core.pyx", *sorted(glob("csrc/*/*.c"))],
    include_dirs=["csrc"],
    depends=[*glob("csrc/*.h"), *glob("csrc/*/*.h"), *glob("meshfast/bind/*.pxi"), "meshfast/core.pxd"],
    extra_compile_args=flags,
    undef_macros=["NDEBUG"],  # Python's own flags define it; an impossible step must end here, not jump into nothing
    extra_link_args=link,
)

# The licence is here because no one way to write it in pyproject.toml suits every setuptools that can build this.
setup(
    license="Apache-2.0",
    ext_modules=cythonize([core], language_level=3, compiler_directives={"embedsignature": True}),
)
