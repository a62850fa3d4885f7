#!/bin/sh
# Python as the machine has it, without the libraries that came along for our programs.
unset LD_LIBRARY_PATH
exec "${DISTIL_PYTHON:-python3}" "$@"
