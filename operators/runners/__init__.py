"""Places of execution, one thin operator each."""
