"""Facts about genes: names and vocabularies."""
