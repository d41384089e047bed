# SPDX-License-Identifier: Apache-2.0
# headers.cmake - every public header compiles alone, as C11 and as C++20.
# cmake -DROOT=... -DCC=... -DCXX=... -P headers.cmake
file(GLOB_RECURSE headers RELATIVE ${ROOT}/include ${ROOT}/include/tkx/*.h)
set(bad 0)
foreach(header IN LISTS headers)
  foreach(language c c++)
    if(language STREQUAL "c")
      set(command ${CC} -std=c11 -Wpedantic -Wstrict-prototypes)
    elseif(CXX)
      set(command ${CXX} -std=c++20 -Wpedantic)
    else()
      continue()
    endif()
    execute_process(COMMAND ${command} -x ${language} -Wall -Wextra -Werror -fsyntax-only
      -I${ROOT}/include -include ${ROOT}/include/${header} ${ROOT}/tests/build/alone.c
      RESULT_VARIABLE result ERROR_VARIABLE text)
    if(result)
      message("${header} does not compile alone as ${language}:\n${text}")
      set(bad 1)
    endif()
  endforeach()
endforeach()
if(bad)
  message(FATAL_ERROR "public headers must compile alone")
endif()
