"""The Conan 2 recipe: conan create packaging/conan -s compiler.cppstd=20, from the sources around it."""

from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd, stdcpp_library
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class Cnnx(ConanFile):
    """Headers and library, without Python."""

    name = "cnnx"
    version = "0.1.0"
    license = "MIT"
    description = "Small, fast convolutional networks: training and inference in C++20"
    topics = ("deep learning", "convolutional neural network", "autograd", "SIMD")
    settings = "os", "compiler", "build_type", "arch"
    package_type = "library"
    options = {  # noqa: RUF012
        "shared": [True, False],
        "fPIC": [True, False],
        "openmp": [True, False],
        "inference_only": [True, False],
        "only_targets": ["ANY"],
    }
    default_options = {  # noqa: RUF012
        "shared": False,
        "fPIC": True,
        "openmp": True,
        "inference_only": False,
        "only_targets": "",
    }

    def export_sources(self):
        """The parts of the sources that the library is made of."""
        root = Path(self.recipe_folder).parent.parent
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "csrc/*"):
            copy(self, pattern, root, self.export_sources_folder)

    def configure(self):
        """A shared library is of position-independent code anyway."""
        if self.options.shared:
            self.options.rm_safe("fPIC")

    def validate(self):
        """What it needs."""
        check_min_cppstd(self, 20)
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("cnnx is for Linux")

    def layout(self):
        """CMake's."""
        cmake_layout(self)

    def generate(self):
        """The options for CMake."""
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["CNNX_SHARED"] = bool(self.options.shared)
        toolchain.cache_variables["CNNX_OPENMP"] = bool(self.options.openmp)
        toolchain.cache_variables["CNNX_INFERENCE_ONLY"] = bool(self.options.inference_only)
        toolchain.cache_variables["CNNX_ONLY_TARGETS"] = str(self.options.only_targets)
        toolchain.cache_variables["CNNX_CUDA"] = "OFF"
        toolchain.generate()

    def build(self):
        """The library alone."""
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        """As `cmake --install` lays it out."""
        copy(self, "LICENSE", self.source_folder, str(Path(self.package_folder) / "licenses"))
        CMake(self).install()

    def package_info(self):
        """For CMake cnnx's own files; for other generators what its cnnx.pc has (cmake/CnnxInstall.cmake)."""
        self.cpp_info.libs = ["cnnx"]
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["lib/cmake/cnnx"]
        if self.options.shared:
            return
        self.cpp_info.system_libs = ["pthread", "dl", "m"]
        if stdcpp := stdcpp_library(self):
            self.cpp_info.system_libs.append(stdcpp)  # for programs in C
        flags = ["-Wl,--gc-sections"]
        if self.options.openmp:
            flags.append("-fopenmp")
        self.cpp_info.exelinkflags = flags
        self.cpp_info.sharedlinkflags = flags
