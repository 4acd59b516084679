/* A program in C, linked by a C compiler with what pkg-config says and nothing else. */
#include <cnnx/c.h>
#include <stdio.h>

int main(void) { return puts(cnnx_version()) < 0; }
