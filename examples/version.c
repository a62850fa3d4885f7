/* The smallest program: which distil is this?
 *
 *   cc -o version version.c $(pkg-config --static --cflags --libs distil)
 */
#include <distil/distil.h>
#include <stdio.h>

int main(void) {
  printf("header %d.%d.%d, library %s\n", DISTIL_VERSION_MAJOR, DISTIL_VERSION_MINOR, DISTIL_VERSION_PATCH,
         distil_version());
  return 0;
}
