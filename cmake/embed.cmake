# Writes a header with text files as C arrays, so that nothing is looked for on disk at run time.
#   embed_texts(<header> <file>...)      a file 001_init.sql becomes schema_001_init
function(embed_texts header)
  set(content "/* Generated from the files of the same names. */\n")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "((0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?)"
                         "\\1\n    " bytes "${bytes}")
    string(APPEND content "static const char schema_${name}[] = {\n    ${bytes}0x00};\n")
  endforeach()
  file(CONFIGURE OUTPUT ${header} CONTENT "${content}" @ONLY)
endfunction()
