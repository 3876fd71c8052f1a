"""Types of a syntax tree, as cel-go's checker gives them."""
