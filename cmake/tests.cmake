# Tests are registered by two functions; labels choose what a run executes (ctest -L unit).
#
#   p11enroll_unit_test(<name> LAYER <target>... [LABEL <label>] SOURCES <file>...)
#       a cmocka program linked with the layer it tests and nothing above it
#   p11enroll_pytest(<name> LABEL <label> PATH <dir or file> [TIMEOUT <s>] [ARGS ...])
#       a folder of pytest cases; they find the build through P11ENROLL_BUILD
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
set(P11ENROLL_PYTHON /usr/bin/python3)

function(p11enroll_unit_test name)
  cmake_parse_arguments(T "" "LABEL" "LAYER;SOURCES" ${ARGN})
  if(NOT T_LABEL)
    set(T_LABEL unit)
  endif()
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_LAYER} PkgConfig::CMOCKA)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${T_LABEL} TIMEOUT 120 SKIP_RETURN_CODE 77)
endfunction()

function(p11enroll_pytest name)
  cmake_parse_arguments(T "" "LABEL;PATH;TIMEOUT" "ARGS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 1200)
  endif()
  add_test(NAME ${name} COMMAND ${P11ENROLL_PYTHON} -m pytest -q -rs -p no:cacheprovider ${T_ARGS}
                                ${PROJECT_SOURCE_DIR}/tests/${T_PATH})
  set_tests_properties(
    ${name}
    PROPERTIES LABELS ${T_LABEL}
               TIMEOUT ${T_TIMEOUT}
               ENVIRONMENT "P11ENROLL_BUILD=${PROJECT_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()
