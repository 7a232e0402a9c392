"""The nouns of the image specification, and the layout that stores them."""
