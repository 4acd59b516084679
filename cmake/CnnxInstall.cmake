# What C++ programs need of an installed cnnx: headers, the library, what find_package(cnnx) and pkg-config read. Once as
# `cmake --install` lays it out (component cpp), and once within the Python package, where `python -m cnnx --cmake-dir` finds it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
configure_file(cnnxConfig.cmake.in cnnxConfig.cmake @ONLY)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/cnnxConfigVersion.cmake COMPATIBILITY SameMinorVersion)

# `name` tells the sets of files apart; `rpath`: whether pkg-config's users get the folder written into their programs.
function(cnnx_install component name include_dir library_dir rpath)
  set(cmake_dir ${library_dir}/cmake/cnnx)
  install(TARGETS cnnx EXPORT ${name} COMPONENT ${component}
          ARCHIVE DESTINATION ${library_dir} LIBRARY DESTINATION ${library_dir} INCLUDES DESTINATION ${include_dir})
  install(DIRECTORY include/cnnx DESTINATION ${include_dir} COMPONENT ${component})
  install(EXPORT ${name} FILE cnnxTargets.cmake NAMESPACE cnnx:: DESTINATION ${cmake_dir} COMPONENT ${component})
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cnnxConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/cnnxConfigVersion.cmake
          DESTINATION ${cmake_dir} COMPONENT ${component})

  # The folder of the headers as seen from that of cnnx.pc, so that the whole can be moved; not where one of them is fixed.
  if(IS_ABSOLUTE "${library_dir}" OR IS_ABSOLUTE "${include_dir}")
    set(headers ${CMAKE_INSTALL_FULL_INCLUDEDIR})
  else()
    file(RELATIVE_PATH headers /${library_dir}/pkgconfig /${include_dir})
    set(headers "\${pcfiledir}/${headers}")
  endif()
  set(libraries "")
  if(rpath)
    set(libraries " -Wl,-rpath,\${libdir}")
  endif()
  if(NOT CNNX_SHARED)
    set(libraries " ${CNNX_STATIC_LIBRARIES}")
  endif()
  configure_file(cnnx.pc.in ${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc RENAME cnnx.pc DESTINATION ${library_dir}/pkgconfig COMPONENT ${component})
endfunction()

# What a static library needs beside it, C++'s own library for the linker of a C program.
set(CNNX_STATIC_LIBRARIES "-Wl,--gc-sections -pthread -ldl")
foreach(library stdc++ c++ c++abi m)
  if(library IN_LIST CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
    string(APPEND CNNX_STATIC_LIBRARIES " -l${library}")
  endif()
endforeach()
if(CNNX_HAS_OPENMP)
  set(CNNX_STATIC_LIBRARIES "-fopenmp ${CNNX_STATIC_LIBRARIES}")
endif()
if(CNNX_CUDA_MODE STREQUAL compiler)
  set(CNNX_STATIC_LIBRARIES "-L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lrt ${CNNX_STATIC_LIBRARIES}")
endif()

cnnx_install(cpp cnnxTargets ${CMAKE_INSTALL_INCLUDEDIR} ${CMAKE_INSTALL_LIBDIR} OFF)
if(CNNX_PYTHON AND CNNX_SHARED)
  cnnx_install(python cnnxWheelTargets cnnx/include cnnx/lib ON)
endif()
