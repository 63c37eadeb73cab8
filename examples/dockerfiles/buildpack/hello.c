#include <stdio.h>
#include <zlib.h>

int main(void)
{
    printf("built with zlib %s\n", zlibVersion());
    return 0;
}
