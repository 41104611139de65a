"""Intel TDX: the quote (`quote`), what Intel says of the platform (`collateral`), both held together (`verify`)."""
