# SPDX-License-Identifier: GPL-3.0-or-later
include_guard(GLOBAL)

# remora_pytest(<name> <path> [LABEL <label>] [ENV <A=b>...]): one CTest test that runs pytest over a
# file or folder with the virtual environment of deploy/install-deps.sh; REMORA_BUILD_DIR and
# REMORA_SOURCE_DIR are set.
function(remora_pytest name path)
    cmake_parse_arguments(PYTEST "" "LABEL" "ENV" ${ARGN})
    if(NOT PYTEST_LABEL)
        set(PYTEST_LABEL interop)
    endif()
    get_filename_component(path ${path} ABSOLUTE)
    add_test(NAME ${PYTEST_LABEL}.${name}
        COMMAND ${CMAKE_SOURCE_DIR}/.deps/venv/bin/python -m pytest -q -p no:cacheprovider
                --timeout 120 ${path})
    set_tests_properties(${PYTEST_LABEL}.${name} PROPERTIES
        LABELS ${PYTEST_LABEL} TIMEOUT 900
        ENVIRONMENT
        "REMORA_BUILD_DIR=${CMAKE_BINARY_DIR};REMORA_SOURCE_DIR=${CMAKE_SOURCE_DIR};${PYTEST_ENV}")
endfunction()
