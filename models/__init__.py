"""The learned part: the network that says by how many folds a pixel is aliased."""
