# SPDX-License-Identifier: GPL-3.0-or-later
# Writes INPUT's bytes as the C array NAME to OUTPUT; descriptor_set.h declares it.
file(READ ${INPUT} content HEX)
string(LENGTH "${content}" digits)
math(EXPR length "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${content}")
string(REGEX REPLACE "(0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"descriptor_set.h\"\nconst uint8_t ${NAME}[] = {\n${bytes}};\nconst size_t ${NAME}_length = ${length};\n")
