#ifndef MONEY_H
#define MONEY_H

/* Adds `permille` thousandths to `cents`; halves are rounded to even. */
long long money_with_tax(long long cents, int permille);

#endif
