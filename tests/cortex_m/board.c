/* A Cortex-M board as QEMU has it (mps2-an385, mps2-an386): where a program begins, what it prints, its end. */
#include "board.h"

extern unsigned data_from[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];
int main(void);

/* Semihosting: the emulator does it. */
static int ask(int what, const void *with) {
    register int r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = with;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_print(const char *text) { ask(4, text); }

void board_print_number(long value) {
    char text[14];
    int at = 13;
    unsigned long rest = value < 0 ? 0ul - (unsigned long)value : (unsigned long)value;
    text[at] = 0;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) text[--at] = '-';
    board_print(text + at);
}

static void stop(int reason) {
    ask(0x18, (const void *)reason);
    for (;;) {
    }
}

static void fault(void) { stop(0x20023); }

void board_reset(void) {
    unsigned *from = data_from;
    for (unsigned *to = data_begin; to < data_end;) *to++ = *from++;
    for (unsigned *to = bss_begin; to < bss_end;) *to++ = 0;
    stop(main() == 0 ? 0x20026 : 0x20023);
}

__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))stack_top, board_reset, fault, fault, fault, fault, fault,
};
