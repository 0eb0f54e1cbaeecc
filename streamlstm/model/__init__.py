"""What a model is: its architecture, weights, standardizer, and the bundle file that holds them."""
