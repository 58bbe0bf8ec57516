"""Her agreement: recorded, asked for by her link, narrowed, renewed, withdrawn; records never change."""
