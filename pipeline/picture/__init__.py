"""Pictures and movies of color frames, as a sonographer expects to see them."""
