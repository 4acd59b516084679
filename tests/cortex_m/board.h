/* What a program on the board may call. */
#ifndef BOARD_H
#define BOARD_H

void board_print(const char* text);
void board_print_number(long value);

#endif
