"""Text of an expression to a syntax tree."""
