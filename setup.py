"""The package mapping that pyproject.toml cannot express: kernels/ and bench/ are top-level folders that install as
fastswap.kernels and fastswap.bench, so that neither shadows somebody else's package of that name."""

from setuptools import find_namespace_packages, find_packages, setup

setup(
    package_dir={"fastswap": "fastswap", "fastswap.kernels": "kernels", "fastswap.bench": "bench"},
    packages=[
        *find_packages(include=["fastswap", "fastswap.*"]),
        "fastswap.kernels",
        *(f"fastswap.kernels.{name}" for name in find_namespace_packages("kernels")),
        "fastswap.bench",
        *(f"fastswap.bench.{name}" for name in find_namespace_packages("bench", exclude=["results*"])),
    ],
    package_data={
        "": ["*.cu", "*.cuh", "*.h"],
        "fastswap.faces": ["*.safetensors", "*.json"],
    },
)
