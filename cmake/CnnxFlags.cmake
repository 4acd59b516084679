# All compile flags live here.

# Where no build type is said, as in another project, this is optimised all the same.
set(CNNX_OPTIMISED $<OR:$<CONFIG:Release>,$<CONFIG:>>)
add_library(cnnx_flags INTERFACE)
target_compile_options(cnnx_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra $<$<BOOL:${CNNX_WERROR}>:-Werror>>
                       $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>)
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
set(CNNX_CPU_TARGETS "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  # CNNX_ONLY_TARGETS, for example v3, builds fewer: the sanitizers take minutes over each.
  foreach(level v2 v3 v4)
    if(CNNX_ONLY_TARGETS AND NOT level IN_LIST CNNX_ONLY_TARGETS)
      continue()
    endif()
    check_cxx_compiler_flag(-march=x86-64-${level} CNNX_COMPILER_HAS_${level})
    if(CNNX_COMPILER_HAS_${level})
      list(APPEND CNNX_CPU_TARGETS ${level})
      set(CNNX_FLAGS_${level} -march=x86-64-${level})
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
  set(CNNX_CPU_TARGETS baseline)
  set(CNNX_HAS_BFLOAT16 0)
  set(CNNX_FLAGS_baseline "")
endif()
# Floating-point contraction gives the fused multiply-add the kernels are built on; -fno-math-errno and -fno-trapping-math change
# no result. There is no -ffast-math. With sanitizers the build type's level is enough, and far quicker to compile.
set(CNNX_KERNEL_FLAGS -ffp-contract=fast -fno-math-errno -fno-trapping-math)
if(NOT CNNX_SANITIZE)
  list(PREPEND CNNX_KERNEL_FLAGS -O3)
endif()
