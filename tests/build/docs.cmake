# SPDX-License-Identifier: Apache-2.0
# docs.cmake - what the documents point at exists: links, `folder/file.c`, `src/folder`.
# cmake -DROOT=... -P docs.cmake
set(places . src src/infer include mock_server tests docs docs/design)
set(bad 0)

# find(DOCUMENT PATH) - from the root, from the layers' root, or from where it is named
function(find document path)
  string(REGEX REPLACE "#.*" "" path "${path}")
  get_filename_component(folder ${document} DIRECTORY)
  foreach(place IN LISTS places)
    if(EXISTS ${ROOT}/${place}/${path})
      return()
    endif()
  endforeach()
  if(NOT EXISTS ${ROOT}/${folder}/${path})
    message("${document} names ${path}, which does not exist")
    set(bad 1 PARENT_SCOPE)
  endif()
endfunction()

file(GLOB_RECURSE documents RELATIVE ${ROOT} ${ROOT}/docs/*.md)
foreach(document README.md CHANGELOG.md ${documents})
  file(READ ${ROOT}/${document} text)
  string(REGEX MATCHALL "`[a-z_]+/[A-Za-z0-9_./-]+\\.[a-z0-9]+`" paths "${text}")
  string(REGEX MATCHALL "`(src|tests|docs|mock_server|scripts|types|cli)/[A-Za-z0-9_./-]+`" roots
    "${text}")
  string(REGEX MATCHALL "\\]\\([A-Za-z0-9_./#-]+\\)" links "${text}")
  foreach(path IN LISTS paths roots links)
    string(REGEX REPLACE "[]`()]" "" path "${path}")
    find(${document} ${path})
  endforeach()
endforeach()
if(bad)
  message(FATAL_ERROR "the documents point at what does not exist")
endif()
