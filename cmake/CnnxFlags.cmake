# All compile flags live here.

# Where no build type is said, as in another project, this is optimised all the same.
set(CNNX_OPTIMISED $<OR:$<CONFIG:Release>,$<CONFIG:>>)
add_library(cnnx_flags INTERFACE)
target_compile_options(cnnx_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra $<$<BOOL:${CNNX_WERROR}>:-Werror>>
                       $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>)
# Each function by itself, so that the linker leaves out those that nothing points to.
target_compile_options(cnnx_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-ffunction-sections -fdata-sections>)
if(CNNX_INFERENCE_ONLY)
  target_compile_definitions(cnnx_flags INTERFACE CNNX_INFERENCE_ONLY)
endif()
if(CNNX_SANITIZE)
  target_compile_options(cnnx_flags INTERFACE -fsanitize=${CNNX_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(cnnx_flags INTERFACE -fsanitize=${CNNX_SANITIZE})
endif()

set(CNNX_HAS_OPENMP OFF)
if(CNNX_OPENMP)
  find_package(OpenMP COMPONENTS CXX)
  set(CNNX_HAS_OPENMP ${OpenMP_CXX_FOUND})
endif()
if(NOT CNNX_HAS_OPENMP)
  message(WARNING "cnnx: OpenMP was not found or is switched off; the kernels will run on one thread")
endif()

# The instruction sets that the kernels under csrc/kernels/cpu are compiled for, each in a namespace of its name. The best one
# that the CPU runs is chosen when the library loads. Only these files see the flags.
include(CheckCXXCompilerFlag)
set(CNNX_ONLY_TARGETS "" CACHE STRING "The CPU targets to build: some of v2;v3;v4 (of baseline on processors other than x86-64), or none; empty for all")
set(known_targets baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(known_targets v2 v3 v4)
endif()
set(wanted_targets ${known_targets})
if(NOT CNNX_ONLY_TARGETS STREQUAL "")
  set(wanted_targets ${CNNX_ONLY_TARGETS})
endif()
if(wanted_targets STREQUAL none)  # the reference alone
  set(wanted_targets "")
endif()
foreach(target ${wanted_targets})
  if(NOT target IN_LIST known_targets)
    message(FATAL_ERROR "cnnx: CNNX_ONLY_TARGETS is ${CNNX_ONLY_TARGETS}, but ${CMAKE_SYSTEM_PROCESSOR} has the targets ${known_targets}, "
                        "or none alone")
  endif()
endforeach()
set(CNNX_CPU_TARGETS "")
if(v2 IN_LIST known_targets)
  foreach(level ${known_targets})
    if(NOT level IN_LIST wanted_targets)
      continue()
    endif()
    check_cxx_compiler_flag(-march=x86-64-${level} CNNX_COMPILER_HAS_${level})
    if(CNNX_COMPILER_HAS_${level})
      list(APPEND CNNX_CPU_TARGETS ${level})
      set(CNNX_FLAGS_${level} -march=x86-64-${level})
    elseif(NOT CNNX_ONLY_TARGETS STREQUAL "")
      message(FATAL_ERROR "cnnx: CNNX_ONLY_TARGETS is ${CNNX_ONLY_TARGETS}, but ${CMAKE_CXX_COMPILER} knows no -march=x86-64-${level}")
    endif()
  endforeach()
  # Vectors of the native width, 512 bits: compilers prefer 256 for code that they vectorise themselves.
  list(APPEND CNNX_FLAGS_v4 -mprefer-vector-width=512)
  # Products in bfloat16 (csrc/kernels/cpu/bfloat16), for CPUs that have them beside v4.
  check_cxx_compiler_flag(-mavx512bf16 CNNX_COMPILER_HAS_bfloat16)
  set(CNNX_HAS_BFLOAT16 0)
  if(v4 IN_LIST CNNX_CPU_TARGETS AND CNNX_COMPILER_HAS_bfloat16)
    set(CNNX_HAS_BFLOAT16 1)
  endif()
else()
  set(CNNX_CPU_TARGETS ${wanted_targets})
  set(CNNX_HAS_BFLOAT16 0)
  set(CNNX_FLAGS_baseline "")
endif()
# Floating-point contraction gives the fused multiply-add the kernels are built on; -fno-math-errno and -fno-trapping-math change
# no result. There is no -ffast-math. With sanitizers the build type's level is enough, and far quicker to compile.
set(CNNX_KERNEL_FLAGS -ffp-contract=fast -fno-math-errno -fno-trapping-math)
if(NOT CNNX_SANITIZE)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # What the kernels need of -O3: vectors, and short loops over registers written out. Its copies of loops, for conditions that the
    # branch predictor foresees, are a quarter more code, and quicker in three files alone, which have them (csrc/CMakeLists.txt).
    list(PREPEND CNNX_KERNEL_FLAGS -O2 -ftree-vectorize -fvect-cost-model=dynamic -fpeel-loops)
  else()
    list(PREPEND CNNX_KERNEL_FLAGS -O3)
  endif()
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")  # which contracts where it has inlined, from -O2 on
  list(PREPEND CNNX_KERNEL_FLAGS -O2)
endif()
