# One INTERFACE target carries the compiler's warnings and hardening; every target of ours links it.
add_library(p11enroll_flags INTERFACE)

target_compile_features(p11enroll_flags INTERFACE c_std_17)
target_compile_definitions(p11enroll_flags INTERFACE _GNU_SOURCE OPENSSL_API_COMPAT=30000)
target_include_directories(p11enroll_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
target_compile_options(
  p11enroll_flags
  INTERFACE -Wall
            -Wextra
            -Wconversion
            -Wsign-conversion
            -Wshadow
            -Wstrict-prototypes
            -Wmissing-prototypes
            -Wformat=2
            -Wundef
            -Wvla
            -Wpointer-arith
            -Wimplicit-fallthrough
            $<$<C_COMPILER_ID:GNU>:-Wjump-misses-init>
            -fvisibility=hidden
            -fno-strict-aliasing
            -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)

option(P11ENROLL_HARDEN "Compile and link with hardening flags" ON)
if(P11ENROLL_HARDEN)
  target_compile_options(p11enroll_flags INTERFACE -fstack-protector-strong -fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
    target_compile_options(p11enroll_flags INTERFACE -fcf-protection)
  endif()
  target_compile_options(p11enroll_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE
                                                   -D_FORTIFY_SOURCE=3>)
  target_link_options(p11enroll_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()

set(P11ENROLL_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, for instance address,undefined")
if(P11ENROLL_SANITIZE)
  target_compile_options(p11enroll_flags INTERFACE -fsanitize=${P11ENROLL_SANITIZE} -fno-omit-frame-pointer
                                                   -fno-sanitize-recover=undefined)
  target_link_options(p11enroll_flags INTERFACE -fsanitize=${P11ENROLL_SANITIZE})
endif()

option(P11ENROLL_COVERAGE "Instrument for gcov" OFF)
if(P11ENROLL_COVERAGE)
  target_compile_options(p11enroll_flags INTERFACE --coverage)
  target_link_options(p11enroll_flags INTERFACE --coverage)
endif()

option(P11ENROLL_ANALYZER "Run gcc -fanalyzer while compiling" OFF)
if(P11ENROLL_ANALYZER)
  target_compile_options(p11enroll_flags INTERFACE -fanalyzer)
endif()
