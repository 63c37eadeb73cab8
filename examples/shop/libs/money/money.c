#include "money.h"

/* Money is counted in whole cents: no floating point. */
long long money_with_tax(long long cents, int permille)
{
    long long exact = cents * (1000 + permille);
    long long whole = exact / 1000;
    long long rest = exact % 1000;

    if (rest > 500 || (rest == 500 && whole % 2 == 1))
        whole += 1;
    return whole;
}
