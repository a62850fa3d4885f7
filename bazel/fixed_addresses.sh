#!/bin/sh
# Runs a program without address randomisation where the system allows it: the thread sanitizer of GCC 12 cannot place
# its shadow memory when the kernel uses more than 28 random bits.
if setarch -R true 2>/dev/null; then
  exec setarch -R "$@"
fi
exec "$@"
