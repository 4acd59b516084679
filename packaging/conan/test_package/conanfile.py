"""A program with the packaged cnnx."""

from pathlib import Path

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, cmake_layout


class CnnxTest(ConanFile):
    """Builds and runs it."""

    settings = "os", "compiler", "build_type", "arch"
    generators = "CMakeToolchain", "CMakeDeps"

    def requirements(self):
        """The package under test."""
        self.requires(self.tested_reference_str)

    def layout(self):
        """CMake's."""
        cmake_layout(self)

    def build(self):
        """With find_package(cnnx)."""
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def test(self):
        """It ends with 0."""
        if can_run(self):
            self.run(str(Path(self.cpp.build.bindir) / "consumer"), env="conanrun")
