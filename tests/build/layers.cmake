# SPDX-License-Identifier: Apache-2.0
# layers.cmake - who may include whom.  cmake -DROOT=... -P layers.cmake
#
# A row: files (glob below ROOT) and the include prefixes they may use.  System headers are
# free, but for curl and libevent, which only the rows that name them may use.
set(rows
  "include/tkx|tkx/"
  "src/base|tkx/ base/"
  "src/json|tkx/ base/ json/"
  "types|tkx/ base/ json/ types/ protobuf"
  "src/net|tkx/ base/ json/ net/ curl/ event2/"
  "src/journal|tkx/ base/ journal/"
  "src/model|tkx/ base/ json/ model/"
  "src/infer|tkx/ base/ json/ model/ infer/"
  "src/api|tkx/ base/ json/ types/ net/ api/"
  "src/client|tkx/ base/ json/ types/ journal/ net/ api/ model/ infer/ client/"
  "cli|tkx/ cli/"
  "docs/examples|tkx/"
  "mock_server|tkx/ base/ json/ model/ mock_server/ types/proto/ event2/ protobuf")
# What belongs to us or is fenced in; any other <header> is the system's or a library's.
set(ours "base/|json/|types/|journal/|net/|model/|infer/|api/|client/|cli/|tests/|support/|mock_server/|src/|include/|tkx/|curl/|event2/|protobuf")

set(bad 0)
foreach(row IN LISTS rows)
  string(REPLACE "|" ";" row "${row}")
  list(GET row 0 folder)
  list(GET row 1 allowed)
  string(REPLACE " " ";" allowed "${allowed}")
  file(GLOB_RECURSE files ${ROOT}/${folder}/*.c ${ROOT}/${folder}/*.h)
  foreach(file IN LISTS files)
    file(STRINGS ${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"]")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^[^<\"]*[<\"]([^>\"]*)[>\"].*" "\\1" header "${line}")
      if(NOT header MATCHES "^(${ours})")
        continue()
      endif()
      set(ok FALSE)
      foreach(prefix IN LISTS allowed)
        string(FIND "${header}" "${prefix}" at)
        if(at EQUAL 0)
          set(ok TRUE)
        endif()
      endforeach()
      if(NOT ok)
        file(RELATIVE_PATH name ${ROOT} ${file})
        message("${name} may not include ${header}: ${folder} may use ${allowed}")
        set(bad 1)
      endif()
    endforeach()
  endforeach()
endforeach()
if(bad)
  message(FATAL_ERROR "the layers are broken")
endif()
