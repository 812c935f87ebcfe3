"""One module per framework: the only places that import them."""
