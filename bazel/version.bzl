"""The version of distil: the one place besides DISTIL_VERSION_* in distil.h; //tests/dist checks that they agree."""

VERSION = "0.1.0"
